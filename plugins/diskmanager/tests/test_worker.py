from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from plugins.diskmanager.tests.conftest import PATIENCE, Loops, Machine, Recorder, Udevd, needs, system

from undercroft import outcome
from undercroft.linux.watch import IN_CLOSE_WRITE, Inotify
from undercroft.process import SystemProcess
from undercroft.testing import FakeClock, clean_kill
from undercroft.testing.agent import FakeAgent
from undercroft_diskmanager.plugin import Config
from undercroft_diskmanager.sysfs import Roots
from undercroft_diskmanager.worker import DiskManager

needs_root = pytest.mark.root


@contextlib.asynccontextmanager
async def running(
    recorder: Recorder, config: Config | None = None, *, agent: FakeAgent | None = None, roots: Roots | None = None
) -> AsyncIterator[DiskManager]:
    """A disk manager that has published once."""
    worker = DiskManager(agent or FakeAgent(process=SystemProcess()), config or Config(), devices=recorder, roots=roots)
    try:
        await recorder.until(lambda: bool(recorder.lists))
        yield worker
    finally:
        await clean_kill(worker)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not holds():
            await asyncio.sleep(0.005)


def rescans(worker: DiskManager) -> int:
    count = worker.report()["rescans"]
    assert isinstance(count, int)
    return count


def name_of(device: str) -> str:
    return device.removeprefix("/dev/")


def uevents(path: str, number: int) -> None:
    """Have the kernel tell so many times that a device has changed."""
    with Path("/sys", path, "uevent").open("w") as file:
        for _ in range(number):
            file.write("change")
            file.flush()


async def burst(path: str, number: int) -> None:
    for _ in range(number // 50):
        await asyncio.to_thread(uevents, path, 50)


@contextlib.contextmanager
def searchable(path: Path) -> Iterator[None]:
    """Let everybody come as far as this folder: pytest keeps its own to itself."""
    closed = [folder for folder in path.parents if not folder.stat().st_mode & 0o001]
    for folder in closed:
        folder.chmod(folder.stat().st_mode | 0o011)
    try:
        yield
    finally:
        for folder in closed:
            folder.chmod(folder.stat().st_mode & ~0o011)


@pytest.fixture
def roots(machine: Machine) -> Roots:
    """Simulated devices on this machine's mounts: only the files of the real /proc tell when they change."""
    return replace(machine.roots, mountinfo=Roots().mountinfo, swaps=Roots().swaps)


async def test_the_first_list_is_published_at_once_and_an_equal_one_is_not(machine: Machine, roots: Roots) -> None:
    folder = machine.add("sda", udev="")
    recorder, clock = Recorder(), FakeClock()
    agent = FakeAgent(clock=clock)

    async with running(recorder, agent=agent, roots=roots) as worker:
        await clock.advance(330.0)
        await until(lambda: rescans(worker) == 2)
        (folder / "size").write_text("4096\n")
        await clock.advance(330.0)
        await recorder.until(lambda: len(recorder.lists) == 2)

        assert [devices[0].size_mib for devices in recorder.lists] == [100, 2]
        assert worker.report() == {
            "source": "kernel",
            "devices": ["sda"],
            "publications": 2,
            "rescans": 3,
            "overflows": 0,
        }
        assert {name: agent.meter.values(name) for name in agent.meter.instruments} == {
            "devices": {(): 1.0},
            "publications": {(): 2.0},
            "rescans": {(): 3.0},
            "overflows": {},
        }


async def test_idle_it_sleeps_for_the_resync_alone(machine: Machine, roots: Roots) -> None:
    machine.add("sda", udev="")
    recorder, clock = Recorder(), FakeClock()

    async with running(recorder, agent=FakeAgent(clock=clock), roots=roots) as worker:
        await clock.advance(200.0)

        assert clock.pending == 1
        assert rescans(worker) == 1


async def test_links_in_another_order_are_no_change(machine: Machine, roots: Roots) -> None:
    machine.add("sda", udev="S:disk/by-id/b\nS:disk/by-id/a\n")
    recorder, clock = Recorder(), FakeClock()

    async with running(recorder, agent=FakeAgent(clock=clock), roots=roots) as worker:
        machine.udev("8:0", "S:disk/by-id/a\nS:disk/by-id/b\n")
        await clock.advance(330.0)
        await until(lambda: rescans(worker) == 2)

    assert [device.device_links for device in recorder.lists[0]] == [("/dev/disk/by-id/a", "/dev/disk/by-id/b")]
    assert len(recorder.lists) == 1


async def test_a_publication_that_fails_ends_the_worker_and_the_next_one_publishes_anew(
    machine: Machine, roots: Roots
) -> None:
    machine.add("sda", udev="")
    recorder = Recorder(fail=ConnectionError("the store is away"))
    agent = FakeAgent()

    worker = DiskManager(agent, Config(), devices=recorder, roots=roots)
    assert isinstance(await outcome(worker), ConnectionError)
    recorder.fail = None
    async with running(recorder, agent=agent, roots=roots):
        pass

    assert len(recorder.lists) == 1
    assert agent.meter.values("publications") == {(): 1.0}


async def test_a_machine_that_cannot_be_listed_ends_the_worker(machine: Machine, roots: Roots) -> None:
    (machine.roots.sys / "class/block").rmdir()

    error = await outcome(DiskManager(FakeAgent(), Config(), devices=Recorder(), roots=roots))

    assert "cannot list the block devices" in str(error)


async def test_a_machine_without_swap_or_without_watches_left_is_followed_all_the_same(
    machine: Machine, roots: Roots, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = machine.add("sda", udev="")
    machine.roots.swaps.unlink()
    recorder, clock = Recorder(), FakeClock()

    def watch(self: Inotify, path: Path, events: int) -> bool:
        if events & IN_CLOSE_WRITE:
            raise OSError(errno.ENOSPC, "No space left on device")
        return True

    monkeypatch.setattr(Inotify, "watch", watch)
    agent = FakeAgent(clock=clock)
    async with running(recorder, agent=agent, roots=replace(roots, swaps=machine.roots.swaps)):
        (folder / "size").write_text("4096\n")
        await clock.advance(330.0)
        await recorder.until(lambda: len(recorder.lists) == 2)

    assert caplog.text.count("cannot watch all devices for writers") == 1


async def test_a_monitor_that_cannot_be_had_ends_the_worker(
    machine: Machine, roots: Roots, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("pyudev.Monitor.from_netlink", refuse)

    error = await outcome(DiskManager(FakeAgent(), Config(), devices=Recorder(), roots=roots))

    assert "Too many open files" in str(error)


@needs_root
@pytest.mark.usefixtures("no_udevd")
async def test_without_udevd_attaching_formatting_mounting_and_detaching_are_published(loops: Loops) -> None:
    needs("mkfs.ext4", "e2fsprogs")
    recorder = Recorder()

    async with running(recorder) as worker:
        device = await asyncio.to_thread(loops.attach, 16)
        name = name_of(device)
        await recorder.until(lambda: recorder.device(name) is not None)
        await asyncio.to_thread(system, "mkfs.ext4", "-q", "-L", "fresh", device)
        await recorder.until(lambda: (found := recorder.device(name)) is not None and found.label == "fresh")
        target = await asyncio.to_thread(loops.mount, device)
        await recorder.until(
            lambda: (found := recorder.device(name)) is not None and found.mount_point == str(target) and found.in_use
        )
        await asyncio.to_thread(system, "umount", str(target))
        await recorder.until(
            lambda: (found := recorder.device(name)) is not None and not found.mount_point and not found.in_use
        )
        await asyncio.to_thread(loops.detach, device)
        await recorder.until(lambda: recorder.device(name) is None)

        assert worker.report()["source"] == "kernel"


@needs_root
@pytest.mark.usefixtures("udevd")
async def test_with_udevd_its_links_and_filesystems_are_published(loops: Loops) -> None:
    needs("mkfs.ext4", "e2fsprogs")
    recorder = Recorder()

    async with running(recorder) as worker:
        device = await asyncio.to_thread(loops.attach, 16)
        name = name_of(device)
        await recorder.until(lambda: recorder.device(name) is not None)
        await asyncio.to_thread(system, "mkfs.ext4", "-q", "-L", "by udev", device)
        await recorder.until(
            lambda: (
                (found := recorder.device(name)) is not None
                and found.label == "by udev"
                and f"/dev/disk/by-uuid/{found.uuid}" in found.device_links
            )
        )
        await asyncio.to_thread(loops.detach, device)
        await recorder.until(lambda: recorder.device(name) is None)

        assert worker.report()["source"] == "udev"


@needs_root
async def test_a_udevd_that_comes_and_is_killed_changes_the_source_and_loses_no_event(
    loops: Loops, stopped_udevd: Udevd
) -> None:
    recorder = Recorder()

    async with running(recorder) as worker:
        for source, act in (("udev", stopped_udevd.start), ("kernel", stopped_udevd.kill)):
            await asyncio.to_thread(act)
            await until(lambda source=source: worker.report()["source"] == source)  # type: ignore[misc]
            device = await asyncio.to_thread(loops.attach)
            await recorder.until(lambda device=device: recorder.device(name_of(device)) is not None)  # type: ignore[misc]


@needs_root
@pytest.mark.usefixtures("no_udevd")
async def test_a_partition_is_published_with_the_disk_that_it_keeps_in_use(loops: Loops) -> None:
    needs("addpart", "util-linux")
    needs("mkfs.ext4", "e2fsprogs")
    recorder = Recorder()

    async with running(recorder):
        device = await asyncio.to_thread(loops.attach, 32)
        part = f"{name_of(device)}p1"
        await asyncio.to_thread(system, "addpart", device, "1", "2048", "40960")
        await recorder.until(lambda: (found := recorder.device(part)) is not None and found.kind == "part")
        await asyncio.to_thread(system, "mkfs.ext4", "-q", f"/dev/{part}")
        await asyncio.to_thread(loops.mount, f"/dev/{part}")
        await recorder.until(lambda: (found := recorder.device(part)) is not None and bool(found.mount_point))

        whole = recorder.device(name_of(device))
        assert whole is not None
        assert whole.in_use
        await asyncio.to_thread(system, "umount", f"/dev/{part}")


@needs_root
@pytest.mark.usefixtures("no_udevd")
async def test_swap_is_seen_to_be_in_use_and_let_go_of(loops: Loops) -> None:
    needs("mkswap", "util-linux")
    recorder = Recorder()

    async with running(recorder):
        device = await asyncio.to_thread(loops.attach)
        name = name_of(device)
        await asyncio.to_thread(system, "mkswap", device)
        await asyncio.to_thread(system, "swapon", device)
        await recorder.until(lambda: (found := recorder.device(name)) is not None and found.in_use)
        await asyncio.to_thread(system, "swapoff", device)
        await recorder.until(lambda: (found := recorder.device(name)) is not None and not found.in_use)

        assert (found := recorder.device(name)) is not None
        assert found.filesystem_type == "swap"


@needs_root
async def test_a_device_that_a_program_has_to_itself_is_in_use_until_it_lets_go_without_an_event(loops: Loops) -> None:
    recorder = Recorder()
    device = loops.attach()
    name = name_of(device)
    held = os.open(device, os.O_RDONLY | os.O_EXCL)

    try:
        async with running(recorder):
            await recorder.until(lambda: (found := recorder.device(name)) is not None and found.in_use)
            os.close(held)
            held = -1
            await recorder.until(lambda: (found := recorder.device(name)) is not None and not found.in_use)
    finally:
        if held >= 0:
            os.close(held)


@needs_root
async def test_a_thousand_unrelated_events_cause_no_publication_and_no_rescan(loops: Loops) -> None:
    device = name_of(loops.attach())
    recorder = Recorder()

    async with running(recorder) as worker:
        await until(lambda: rescans(worker) >= 1)
        before = rescans(worker)
        await burst("class/mem/null", 1000)
        # Netlink keeps the order: once this one has been seen, so have those before it.
        await burst(f"class/block/{device}", 50)
        await until(lambda: rescans(worker) > before)

        assert rescans(worker) - before <= 20
    assert recorder.versions(device) == 1


@needs_root
async def test_a_thousand_events_of_an_unchanged_device_cause_no_publication_and_few_rescans(loops: Loops) -> None:
    device = name_of(loops.attach())
    recorder = Recorder()

    async with running(recorder) as worker:
        before = rescans(worker)
        await burst(f"class/block/{device}", 1000)
        await until(lambda: rescans(worker) > before)

        assert rescans(worker) - before <= 100
    assert recorder.versions(device) == 1


@needs_root
async def test_events_lost_to_a_small_buffer_are_made_up_for_by_reading_everything(loops: Loops) -> None:
    recorder = Recorder()
    device = name_of(loops.attach())

    async with running(recorder, Config(receive_buffer_bytes=4096)) as worker:
        uevents(f"class/block/{device}", 500)  # In the loop's thread, which cannot read meanwhile.
        await until(lambda: worker.report()["overflows"] != 0)
        attached = await asyncio.to_thread(loops.attach)
        await recorder.until(lambda: recorder.device(name_of(attached)) is not None)


@needs_root
async def test_another_user_sees_all_in_use_and_the_filesystems_that_udev_knows(machine: Machine) -> None:
    machine.add("sda", udev="E:ID_FS_TYPE=ext4\n")
    machine.add("sdb", "8:16")
    for name in ("sda", "sdb"):
        (machine.roots.dev / name).chmod(0o600)
    with searchable(machine.roots.dev):
        os.seteuid(65534)
        try:
            devices = await machine.list()
        finally:
            os.seteuid(0)

    assert [(device.in_use, device.filesystem_type) for device in devices.values()] == [(True, "ext4"), (True, "")]
    assert machine.process.calls == []
