from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugins.diskmanager.tests.conftest import PATIENCE

from undercroft.clock import SystemClock
from undercroft.testing import FakeClock
from undercroft_diskmanager.udevd import LISTEN_SECONDS, UdevdWatch, find

LISTENER = """
import socket, sys
control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
control.bind(sys.argv[1])
control.listen()
print("listening", flush=True)
sys.stdin.read()
"""


class Daemon:
    """A process that listens where udevd would; killed, it leaves its socket's file behind, as udevd does."""

    def __init__(self, udev: Path) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", LISTENER, str(udev / "control")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._child.stdout is not None
        assert self._child.stdout.readline() == b"listening\n"

    @property
    def pid(self) -> int:
        return self._child.pid

    def kill(self) -> None:
        self._child.kill()
        self._child.communicate()


@pytest.fixture
def udev(tmp_path: Path) -> Iterator[Path]:
    """A folder with a path short enough for a socket."""
    before = Path.cwd()
    os.chdir(tmp_path)
    (tmp_path / "udev").mkdir()
    yield Path("udev")
    os.chdir(before)


class Changes:
    """Counts, and lets a test wait for the next one."""

    def __init__(self) -> None:
        self._told = asyncio.Event()

    def __call__(self) -> None:
        self._told.set()

    async def next(self) -> None:
        async with asyncio.timeout(PATIENCE):
            await self._told.wait()
        self._told.clear()


def test_nobody_there(udev: Path) -> None:
    assert find(udev) is None
    assert find(udev / "absent") is None


def test_who_listens_is_found(udev: Path) -> None:
    daemon = Daemon(udev)

    assert find(udev) == daemon.pid
    daemon.kill()


def test_a_socket_left_behind_is_nobody(udev: Path) -> None:
    Daemon(udev).kill()

    assert (udev / "control").exists()
    assert find(udev) is None


async def test_one_that_has_died_before_it_could_be_watched_is_no_harm(
    udev: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(_: int) -> int:
        raise ProcessLookupError

    monkeypatch.setattr("undercroft_diskmanager.udevd.open_pidfd", gone)
    daemon = await asyncio.to_thread(Daemon, udev)

    with UdevdWatch(udev, Changes(), clock=SystemClock()) as watch:
        assert watch.is_alive

    await asyncio.to_thread(daemon.kill)


def test_one_that_is_not_for_us_counts(udev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as control:
        control.bind(str(udev / "control"))
        monkeypatch.setattr(socket.socket, "connect", refuse)

        assert find(udev) == 0


async def test_its_death_is_noticed_at_once_and_so_is_the_next_one(udev: Path) -> None:
    changes, first = Changes(), await asyncio.to_thread(Daemon, udev)

    with UdevdWatch(udev, changes, clock=SystemClock()) as watch:
        assert watch.is_alive
        await asyncio.to_thread(first.kill)
        await changes.next()
        assert not watch.is_alive

        (udev / "control").unlink()
        second = await asyncio.to_thread(Daemon, udev)
        await changes.next()
        assert watch.is_alive
        await asyncio.to_thread(second.kill)
        await changes.next()

    assert not watch.is_alive


async def test_one_that_comes_with_its_folder_is_noticed(udev: Path) -> None:
    udev.rmdir()
    changes = Changes()

    with UdevdWatch(udev, changes, clock=SystemClock()) as watch:
        assert not watch.is_alive
        udev.mkdir()
        daemon = await asyncio.to_thread(Daemon, udev)
        await changes.next()

        assert watch.is_alive
        await asyncio.to_thread(daemon.kill)


async def test_a_folder_that_goes_and_comes_back_is_followed(udev: Path) -> None:
    changes = Changes()

    with UdevdWatch(udev, changes, clock=SystemClock()):
        udev.rmdir()
        await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE):
            while udev.parent.resolve() not in {path.resolve() for path in _watched_folders()}:
                await asyncio.sleep(0.01)
        udev.mkdir()
        daemon = await asyncio.to_thread(Daemon, udev)
        await changes.next()
        await asyncio.to_thread(daemon.kill)


def _watched_folders() -> set[Path]:
    """The folders that this process watches, by the inode numbers that the kernel tells."""
    inodes = set[int]()
    for info in Path("/proc/self/fdinfo").iterdir():
        try:
            lines = info.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith("inotify "):
                inodes.add(int(line.split("ino:")[1].split()[0], 16))
    return {path for path in (Path.cwd(),) if path.stat().st_ino in inodes}


async def test_a_socket_that_does_not_listen_yet_is_asked_again(udev: Path) -> None:
    """udevd makes the file before it listens."""
    clock, changes = FakeClock(), Changes()

    control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with control, UdevdWatch(udev, changes, clock=clock) as watch:
        control.bind(str(udev / "control"))
        await clock.until(1)
        assert not watch.is_alive

        control.listen()
        await clock.advance(LISTEN_SECONDS)
        await changes.next()

        assert watch.is_alive


async def test_other_files_are_nobodys_business(udev: Path) -> None:
    clock = FakeClock()

    with UdevdWatch(udev, Changes(), clock=clock):
        (udev / "queue").touch()
        for _ in range(10):
            await asyncio.sleep(0)

        assert clock.pending == 0
