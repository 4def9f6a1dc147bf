"""What hangs in the kernel is given up, said so, and holds up nothing else: no other entity, no stop, no loop."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from plugins.storageprovisioner.tests.conftest import needs
from plugins.storageprovisioner.tests.ground import KEEPER, Ground, until

from undercroft.clock import SystemClock
from undercroft.process import SystemProcess
from undercroft.testing import FakeAgent, FakeClock
from undercroft_hookspecs import Completed
from undercroft_hookspecs.storage_facades import WantedStorage
from undercroft_model.units import remove_unit
from undercroft_storageprovisioner.linux import loops, mounts
from undercroft_storageprovisioner.plugin import Config, undercroft_storage_providers
from undercroft_storageprovisioner.threads import Hangs, in_thread
from undercroft_storageprovisioner.turns import SLOW_SECONDS, Turns

FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root: run the tests as root")


class Hanging:
    """A call that hangs where it is told to, until it is let go of."""

    def __init__(self) -> None:
        self.begun, self.released = threading.Event(), threading.Event()
        self.calls = 0

    # Any: whatever the call takes and gives.
    def before(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """The call, hanging the first time."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls += 1
            if self.calls == 1:
                self.begun.set()
                self.released.wait(60)
            return original(*args, **kwargs)

        return call


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    """One that is let go of at the end of the test, whatever becomes of it."""
    made = Hanging()
    yield made
    made.released.set()


def attached(wanted: WantedStorage) -> int:
    """How many filesystems are there."""
    return sum(each.info is not None for each in wanted.filesystem_attachments.values())


def messages(wanted: WantedStorage) -> str:
    """What is said of all of it."""
    said = [each.status.message for each in wanted.volumes.values()]
    return "; ".join([*said, *(each.status.message for each in wanted.filesystems.values())])


def on(ground: Ground, agent: FakeAgent) -> None:
    """Have the ground's host be another agent's."""
    ground.agent, ground.providers = agent, undercroft_storage_providers(agent)


def patched(patch: pytest.MonkeyPatch, where: str, hanging: Hanging) -> None:
    """Have one of the kernel's calls hang, where the provisioner makes it."""
    if where == "mount":
        calls = SimpleNamespace(mount=hanging.before(mounts._libc.mount), umount2=mounts._libc.umount2)
        patch.setattr(mounts, "_libc", calls)
    elif where == "ioctl":
        patch.setattr(loops, "_configure", hanging.before(loops._configure))
    else:
        patch.setattr(os, "posix_fallocate", hanging.before(os.posix_fallocate))


@root
@pytest.mark.root
@needs("mkfs.ext4")
@pytest.mark.slow_callbacks
@pytest.mark.parametrize("where", ["mount", "ioctl", "fallocate"])
async def test_call_that_hangs_is_given_up_and_taken_up_when_it_is_back(
    ground: Ground, hanging: Hanging, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    ground.hangs = Hangs(call_seconds=0.3, leave_seconds=0.1)
    patched(monkeypatch, where, hanging)
    await ground.world.deploy(KEEPER, storage={"data": "loop,3,16M"})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        await ground.of("keeper/0").attachments()
        wanted = await ground.until(lambda found: attached(found) == 2 and "has not come back" in messages(found))
        assert "it is left alone" in messages(wanted)
        assert hanging.calls == 3, "nothing is begun about what hangs"
        hanging.released.set()
        await ground.until(lambda found: attached(found) == 3)
        await ground.end()


@root
@pytest.mark.root
@needs("mkfs.ext4")
@pytest.mark.slow_callbacks
async def test_stop_does_not_wait_for_what_hangs_and_the_next_start_does(
    ground: Ground, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground.hangs = Hangs(call_seconds=60, leave_seconds=0.1)
    patched(monkeypatch, "mount", hanging)
    await ground.world.deploy(KEEPER, storage={"data": "loop,16M"})
    await ground.world.start("keeper/0")
    async with ground.provisioning() as provisioner:
        await ground.of("keeper/0").attachments()
        await asyncio.to_thread(hanging.begun.wait, 20)
        provisioner.kill()
        async with asyncio.timeout(5):
            await provisioner.wait()
    async with ground.provisioning():
        await ground.another()
        assert hanging.calls == 2, "the next worker leaves it alone, too, and mounts what is new"
        hanging.released.set()
        await ground.attached("keeper/0")
        await ground.world.run(remove_unit, "keeper/1", force=True)
        await ground.end()


class Slow(SystemProcess):
    """mkfs on a disk that hangs: whatever it is told, it does not end."""

    async def run(self, argv: Any, *, timeout: float, **kwargs: Any) -> Completed:
        """The disk hangs from the moment when mkfs is begun."""
        if argv[0].startswith("mkfs") and (disk := self.disk):
            self.disk = None
            _freeze(disk, FIFREEZE)
        return await super().run(argv, timeout=timeout, **kwargs)

    disk: Path | None = None


@contextmanager
def disk(folder: Path) -> Iterator[Path]:
    """A disk of its own that can be frozen: whoever writes to it hangs in the kernel then, and cannot be killed."""
    image, place = folder / "disk.img", folder / "disk"
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image), "96M"], check=True)
    loop = loops.attach(image, read_only=False)
    mounts.mount(str(loop.path), place, "ext4")
    (place / "lost+found").rmdir()
    try:
        yield place
    finally:
        with suppress(OSError):
            _freeze(place, FITHAW)
        mounts.unmount(place)
        loops.detach(loop)


def running() -> str:
    """The names of the programs that were begun here, and have not ended."""
    children = Path("/proc/thread-self/children").read_text().split()
    return " ".join(Path("/proc", pid, "comm").read_text() for pid in children)


def _freeze(place: Path, how: int) -> None:
    opened = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(opened, how, 0)
    finally:
        os.close(opened)


@root
@pytest.mark.root
@needs("mkfs.ext4")
@pytest.mark.slow_callbacks
async def test_disk_that_hangs_holds_up_nothing_on_another(ground: Ground) -> None:
    """A real hang: the filesystem below the loop devices is frozen."""
    with disk(ground.folder) as place:
        on(ground, FakeAgent(config=Config(), process=SystemProcess(), data_dir=place))
        ground.hangs = Hangs(call_seconds=0.3, leave_seconds=0.1)
        await ground.world.deploy(KEEPER, storage={"data": "loop,16M"})
        await ground.world.start("keeper/0")
        async with ground.provisioning() as provisioner:
            (place / str(ground.world.model) / "loop").mkdir(parents=True)
            _freeze(place, FIFREEZE)
            await ground.of("keeper/0").attachments()
            await ground.until(lambda found: "the disk, hangs" in messages(found))
            assert "hangs" in str(provisioner.report())
            _freeze(place, FITHAW)
            await ground.attached("keeper/0")
            await ground.end()


@root
@pytest.mark.root
@needs("mkfs.ext4")
@pytest.mark.slow_callbacks
async def test_mkfs_that_hangs_in_the_kernel_ends_with_its_time_and_is_taken_up_again(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    with disk(ground.folder) as place:
        clock, process = FakeClock(), Slow(clock=SystemClock())
        process.disk = place
        on(ground, FakeAgent(config=Config(), process=process, data_dir=place, clock=clock))
        ground.hangs = Hangs(call_seconds=0.3, leave_seconds=0.1)
        monkeypatch.setattr("undercroft_storageprovisioner.linux.formatting.MKFS_SECONDS", 0.3)
        monkeypatch.setattr("undercroft.process.system.KILL_SECONDS", 0.3)
        await ground.world.deploy(KEEPER, storage={"data": "loop,16M"})
        await ground.world.start("keeper/0")
        async with ground.provisioning():
            await ground.of("keeper/0").attachments()
            await ground.until(lambda found: "mkfs.ext4" in messages(found))
            assert "mkfs" in running(), "it hangs although it was killed"
            _freeze(place, FITHAW)
            await until(lambda: "mkfs" not in running())
            await clock.advance(40)
            await ground.attached("keeper/0")
            await ground.end()


async def test_calls_that_hang_do_not_fill_the_executor(hanging: Hanging) -> None:
    hangs = Hangs(call_seconds=0.05)
    waiting = hanging.released.wait
    for number in range(40):
        with hangs.about(number), pytest.raises(TimeoutError, match="has not come back"):
            await in_thread(waiting, 60)
    async with asyncio.timeout(5):
        assert await asyncio.to_thread(lambda: 7) == 7
    with pytest.raises(TimeoutError, match="before"), hangs.about(3):
        pass
    hanging.released.set()


async def test_what_came_back_too_late_is_told_and_can_be_begun_again(hanging: Hanging) -> None:
    hangs, back = Hangs(call_seconds=0.05), asyncio.Event()
    with hangs.about("it", back.set), pytest.raises(TimeoutError):
        await in_thread(hanging.released.wait, 60)
    assert hangs.hangs("it")

    hanging.released.set()
    await back.wait()

    assert not hangs.hangs("it")
    with hangs.about("it"):
        assert await in_thread(lambda: 7) == 7


async def test_cancelled_call_is_waited_for_a_little(hanging: Hanging) -> None:
    hangs = Hangs(call_seconds=60, leave_seconds=0.05)

    async def work() -> None:
        with hangs.about("it"):
            await in_thread(hanging.before(lambda: None))

    task = asyncio.ensure_future(work())
    await asyncio.to_thread(hanging.begun.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert hangs.hangs("it")
    hanging.released.set()


async def test_slow_step_makes_way_for_the_next() -> None:
    clock = FakeClock()
    turns, release, second = Turns(1, clock), asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with turns.turn():
            await release.wait()

    async def next_one() -> None:
        async with turns.turn():
            second.set()

    tasks = [asyncio.ensure_future(slow()), asyncio.ensure_future(next_one())]
    await clock.advance(SLOW_SECONDS / 2)
    assert not second.is_set()
    await clock.advance(SLOW_SECONDS)
    await second.wait()
    release.set()
    await asyncio.gather(*tasks)
