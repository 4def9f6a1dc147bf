from __future__ import annotations

import asyncio
import errno
from pathlib import Path

import pytest

from undercroft.linux.watch import IN_CREATE, IN_DELETE, watching_folders, watching_proc

PATIENCE = 10.0


async def test_a_file_made_or_removed_in_a_watched_folder_is_noticed(tmp_path: Path) -> None:
    changed = asyncio.Event()

    with watching_folders(changed.set, [tmp_path], events=IN_CREATE | IN_DELETE):
        for act in ((tmp_path / "control").touch, (tmp_path / "control").unlink):
            changed.clear()
            act()
            async with asyncio.timeout(PATIENCE):
                await changed.wait()


async def test_nothing_is_told_after_the_block(tmp_path: Path) -> None:
    changed = asyncio.Event()
    with watching_folders(changed.set, [tmp_path], events=IN_CREATE):
        pass

    (tmp_path / "late").touch()
    for _ in range(5):
        await asyncio.sleep(0)

    assert not changed.is_set()


async def test_a_folder_that_is_absent_is_left_out(tmp_path: Path) -> None:
    changed = asyncio.Event()

    with watching_folders(changed.set, [tmp_path / "absent", tmp_path], events=IN_CREATE):
        (tmp_path / "control").touch()
        async with asyncio.timeout(PATIENCE):
            await changed.wait()


async def test_an_impossible_watch_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Invalid argument") as caught, watching_folders(print, [tmp_path], events=0):
        pass

    assert caught.value.errno == errno.EINVAL
    assert caught.value.filename == str(tmp_path)


async def test_a_quiet_file_of_proc_wakes_nobody() -> None:
    calls: list[None] = []

    async with watching_proc(lambda: calls.append(None), Path("/proc/swaps")):
        for _ in range(5):
            await asyncio.sleep(0)

    assert calls == []
