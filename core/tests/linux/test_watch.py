from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from undercroft.linux.watch import IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_Q_OVERFLOW, Inotify, watching_proc

PATIENCE = 10.0


class Told:
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.events = asyncio.Queue[tuple[Path, str]]()

    def __call__(self, path: Path, name: str) -> None:
        self.events.put_nowait((path, name))

    async def next(self) -> tuple[Path, str]:
        async with asyncio.timeout(PATIENCE):
            return await self.events.get()


async def test_a_file_made_or_removed_in_a_watched_folder_is_told_by_name(tmp_path: Path) -> None:
    told = Told()

    with Inotify(told) as inotify:
        assert inotify.watch(tmp_path, IN_CREATE | IN_DELETE)
        (tmp_path / "control").touch()
        (tmp_path / "control").unlink()

        assert [await told.next(), await told.next()] == [(tmp_path, "control")] * 2


async def test_a_file_of_its_own_is_told_without_a_name_once_its_writer_has_closed_it(tmp_path: Path) -> None:
    told, path = Told(), tmp_path / "node"
    path.touch()

    with Inotify(told) as inotify:
        inotify.watch(path, IN_CLOSE_WRITE)
        path.read_bytes()
        path.write_bytes(b"x")

        assert await told.next() == (path, "")
    assert told.events.empty()


async def test_nothing_is_told_after_the_block(tmp_path: Path) -> None:
    told = Told()
    with Inotify(told) as inotify:
        inotify.watch(tmp_path, IN_CREATE)
        inotify.close()

    (tmp_path / "late").touch()
    for _ in range(5):
        await asyncio.sleep(0)

    assert told.events.empty()


async def test_a_removed_path_is_forgotten(tmp_path: Path) -> None:
    told, path = Told(), tmp_path / "node"
    path.touch()

    with Inotify(told) as inotify:
        inotify.watch(path, IN_CLOSE_WRITE)
        inotify.watch(tmp_path, IN_DELETE)
        path.unlink()

        assert await told.next() == (tmp_path, "node")
    assert told.events.empty()


async def test_an_overflow_is_told_as_a_change_of_every_path(tmp_path: Path) -> None:
    """The kernel's queue holds 16,384 events: the record that says so is given by hand."""
    told = Told()

    with Inotify(told) as inotify:
        inotify.watch(tmp_path, IN_CREATE)
        inotify._tell(-1, IN_Q_OVERFLOW, "")

    assert await told.next() == (tmp_path, "")


async def test_a_path_that_is_absent_is_not_watched(tmp_path: Path) -> None:
    with Inotify(Told()) as inotify:
        assert not inotify.watch(tmp_path / "absent", IN_CREATE)


async def test_an_impossible_watch_is_an_error(tmp_path: Path) -> None:
    with Inotify(Told()) as inotify, pytest.raises(OSError, match="Invalid argument") as caught:
        inotify.watch(tmp_path, 0)

    assert caught.value.errno == errno.EINVAL
    assert caught.value.filename == str(tmp_path)


async def test_a_quiet_file_of_proc_wakes_nobody() -> None:
    calls: list[None] = []

    async with watching_proc(lambda: calls.append(None), Path("/proc/swaps")):
        for _ in range(5):
            await asyncio.sleep(0)

    assert calls == []
