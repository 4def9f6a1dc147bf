from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from plugins.model.tests.store.conftest import descriptors

from undercroft.clock import SystemClock
from undercroft_hookspecs import NotValidError, Put, StoreUnavailable
from undercroft_model.sqlite import StoreDamagedError
from undercroft_model.sqlite_store import open_sqlite, store_path


async def opened(folder: Path, url: str = "sqlite:") -> None:
    """Open a store, write to it, and close it."""
    async with open_sqlite(url, data_dir=folder, clock=SystemClock()) as store:
        await store.transact([], [Put("a", b"1")])


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o777])
async def test_all_files_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        async with open_sqlite("sqlite:", data_dir=tmp_path, clock=SystemClock()) as store:
            await store.transact([], [Put("a", b"1")])

            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}

    assert modes == dict.fromkeys(("store.db", "store.db-shm", "store.db-signal", "store.db-wal"), 0o600)


async def test_a_file_that_others_may_read_is_closed_to_them(tmp_path: Path, path: Path) -> None:
    await opened(tmp_path)
    path.chmod(0o644)

    await opened(tmp_path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_no_child_inherits_a_descriptor(tmp_path: Path) -> None:
    async with open_sqlite("sqlite:", data_dir=tmp_path, clock=SystemClock()) as store:
        await store.transact([], [Put("a", b"1")])
        inherited = [name for fd, name in descriptors(tmp_path).items() if not fcntl.fcntl(fd, fcntl.F_GETFD)]
        held = len(descriptors(tmp_path))

    assert (inherited, held > 0, descriptors(tmp_path)) == ([], True, {})


async def test_an_absent_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match=r"folder .*/absent does not exist: make it"):
        await opened(tmp_path / "absent")


async def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path, path: Path) -> None:
    path.mkdir()

    with pytest.raises(StoreUnavailable, match=r"store\.db is not a file"):
        await opened(tmp_path)


async def test_what_is_no_database_is_refused_and_let_be(tmp_path: Path, path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)

    with pytest.raises(StoreDamagedError, match="restore a backup with `undercroft store restore FILE`"):
        await opened(tmp_path)

    assert path.read_bytes() == b"no database at all" * 1000


async def test_the_database_of_another_program_is_refused_and_let_be(tmp_path: Path, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    before = path.read_bytes()

    with pytest.raises(StoreDamagedError, match="it is a database of another program"):
        await opened(tmp_path)

    assert path.read_bytes() == before


@pytest.mark.parametrize("url", ["etcd:", "sqlite://host/path", "sqlite:a?b=c", "sqlite:a%00b", "store.db"])
def test_other_urls_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(NotValidError, match="is not a store: write 'sqlite:'"):
        store_path(url, tmp_path)


async def test_a_path_may_have_what_means_something_in_a_url(tmp_path: Path) -> None:
    await opened(tmp_path, "sqlite:a%3fb%23c%25d.db")

    assert (tmp_path / "a?b#c%d.db").is_file()


async def test_a_symbolic_link_is_followed(tmp_path: Path, path: Path) -> None:
    real = tmp_path / "elsewhere"
    real.mkdir()
    path.symlink_to(real / "real.db")

    await opened(tmp_path)

    assert sorted(each.name for each in real.iterdir()) == ["real.db", "real.db-signal"]


async def test_many_open_a_new_store_at_once(tmp_path: Path) -> None:
    await asyncio.gather(*(opened(tmp_path) for _ in range(8)))

    async with open_sqlite("sqlite:", data_dir=tmp_path, clock=SystemClock()) as store:
        assert (await store.list("")).revision == 8


@pytest.mark.parametrize("turns", [*range(12), 20, 30])
async def test_an_opening_that_is_cancelled_leaves_nothing_behind(tmp_path: Path, turns: int) -> None:
    opening = asyncio.ensure_future(opened(tmp_path))
    for _ in range(turns):
        await asyncio.sleep(0.0005)
    opening.cancel()

    await asyncio.gather(opening, return_exceptions=True)

    assert descriptors(tmp_path) == {}
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("store-")]


async def test_an_opening_that_fails_late_leaves_nothing_behind(tmp_path: Path, path: Path) -> None:
    await opened(tmp_path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE leases")

    with pytest.raises(StoreUnavailable, match="no such table: leases"):
        await opened(tmp_path)

    assert descriptors(tmp_path) == {}
