"""Disks that are full, and disks that fail: what was acknowledged stays, the rest is refused, and it ends by itself."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import IO, NoReturn

import pytest
from plugins.model.tests.store import on_failing_disk

from undercroft.clock import SystemClock
from undercroft.files import in_thread
from undercroft.process import SystemProcess
from undercroft_hookspecs import CommandFailedError, Commit, Put, Revision, Store, StoreUnavailable
from undercroft_model.soundness import judge
from undercroft_model.sqlite import Connection
from undercroft_model.sqlite_store import open_sqlite

NEW = Revision(0)
TRIES = on_failing_disk.TRIES


@pytest.fixture(params=["tmpfs", "ext4"])
async def disk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Path]:
    """A small file system."""
    folder, process = tmp_path / "small", SystemProcess()
    folder.mkdir()
    if request.param == "tmpfs":
        words = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    else:
        if shutil.which("mkfs.ext4") is None:
            pytest.skip("needs mkfs.ext4: apt install e2fsprogs")
        image = tmp_path / "image"
        with image.open("wb") as file:
            file.truncate(8 * 1024 * 1024)
        await process.run(["mkfs.ext4", "-q", "-O", "^has_journal", str(image)], timeout=30)
        words = ["mount", "-o", "loop", str(image), str(folder)]
    try:
        await process.run(words, timeout=30)
    except CommandFailedError as error:
        pytest.skip(f"this machine has no file system to give: {error}")
    yield folder
    await process.run(["umount", str(folder)], timeout=30)


def fill(folder: Path) -> Path:
    """Leave no byte of a file system free."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            with contextlib.suppress(OSError):
                write_for_ever(file, b"\0" * size)
    return ballast


def write_for_ever(file: IO[bytes], chunk: bytes) -> NoReturn:
    """Write until the disk takes no more. Raises OSError."""
    while True:
        file.write(chunk)


async def write_until_refused(store: Store) -> tuple[list[str], str, StoreUnavailable]:
    """The keys that were acknowledged, the one that was not, and why."""
    acknowledged: list[str] = []
    for number in range(10_000):
        key = f"key/{number:05}"
        try:
            await store.transact([], [Put(key, b"x" * 2000)])
        except StoreUnavailable as error:
            return acknowledged, key, error
        acknowledged.append(key)
    raise AssertionError("the disk never became full")


@pytest.mark.root
async def test_what_a_full_disk_refuses_is_taken_once_there_is_space(disk: Path) -> None:
    async with open_sqlite("sqlite:", data_dir=disk, clock=SystemClock()) as store, store.watch("", NEW) as watch:
        await store.transact([], [Put("first", b"1")])
        ballast = await in_thread(fill, disk)

        acknowledged, refused, error = await write_until_refused(store)
        assert "free some space on its file system" in str(error)
        with pytest.raises(StoreUnavailable, match="free some space"):
            await store.transact([], [Put(refused, b"x" * 2000)])
        assert [entry.key for entry in (await store.list("")).entries] == ["first", *acknowledged]

        ballast.unlink()
        await store.transact([], [Put("last", b"1")])
        lease = await store.lease(60)
        await store.renew(lease)
        seen: list[Commit] = []
        async for commit in watch:
            seen.append(commit)
            if commit.changes[0].key == "last":
                break

    assert [commit.changes[0].key for commit in seen] == ["first", *acknowledged, "last"]
    with closing(Connection(disk / "store.db", is_reader=True)) as connection:
        assert judge(connection, disk / "store.db").problems == []


@pytest.mark.root
async def test_a_store_on_a_full_disk_opens_or_says_why_and_has_lost_nothing(disk: Path) -> None:
    async with open_sqlite("sqlite:", data_dir=disk, clock=SystemClock()) as store:
        await store.transact([], [Put("first", b"1")])
    ballast = await in_thread(fill, disk)

    try:
        async with open_sqlite("sqlite:", data_dir=disk, clock=SystemClock()) as store:
            acknowledged, _, error = await write_until_refused(store)
    except StoreUnavailable as refused:
        acknowledged, error = [], refused
    assert "free some space on its file system" in str(error)

    ballast.unlink()
    async with open_sqlite("sqlite:", data_dir=disk, clock=SystemClock()) as store:
        assert [entry.key for entry in (await store.list("")).entries] == ["first", *acknowledged]
        await store.transact([], [Put("last", b"1")])


@pytest.fixture(scope="module")
def failing_disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that lets calls fail."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("needs a C compiler: apt install gcc")
    library = tmp_path_factory.mktemp("failing") / "failing_disk.so"
    source = Path(__file__).with_name("failing_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    return library


@pytest.mark.parametrize("call", ["write", "fsync", "read"])
def test_a_disk_that_fails_is_told_and_the_store_goes_on_once_it_works(
    call: str, failing_disk: Path, tmp_path: Path
) -> None:
    environment = {**os.environ, "LD_PRELOAD": str(failing_disk), "FAILING": str(tmp_path / "failing")}
    done = subprocess.run(
        [sys.executable, on_failing_disk.__file__, str(tmp_path), call],
        capture_output=True, text=True, check=False, env=environment, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    before, after = done.stdout.split("mended: now\n")
    assert "see the kernel's log for errors of the disk" in before
    assert "SQLITE_IOERR" in before
    assert f"acknowledged: {TRIES} " in after
    if call != "read":
        assert re.findall(r"^acknowledged: (\d+)", before, re.MULTILINE) == ["0"]
    acknowledged = {f"key/{number}" for number in re.findall(r"^acknowledged: (\d+)", done.stdout, re.MULTILINE)}
    unknown = {f"key/{number}" for number in re.findall(r"^unknown: (\d+)", done.stdout, re.MULTILINE)}
    seen = re.findall(r"^seen: (.*)$", after, re.MULTILINE)
    assert acknowledged <= set(seen) <= acknowledged | unknown
    with closing(Connection(tmp_path / "store.db", is_reader=True)) as connection:
        assert judge(connection, tmp_path / "store.db").problems == []
        assert [str(key) for (key,) in connection.rows("SELECT CAST(key AS TEXT) FROM entries")] == sorted(seen)
