from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from plugins.model.tests.store.conftest import until

from undercroft.clock import SystemClock
from undercroft.process import SystemProcess
from undercroft_hookspecs import NotValidError, Put, Revision, Store, StoreUnavailable
from undercroft_model.database import Database, Place
from undercroft_model.schema import prepare
from undercroft_model.sqlite import Connection, StoreDamagedError, make_private
from undercroft_model.sqlite_store import open_sqlite

NEW = Revision(0)


def place(path: Path) -> Place:
    return Place(path=path, now=lambda: 0.0, boot="this")


@pytest.fixture
def impatient(path: Path) -> Iterator[Database]:
    """A database that waits for nobody."""
    make_private(path)
    connection = Connection(path, busy_seconds=0.01)
    prepare(connection, path)
    with closing(Database(place(path), connection)) as database:
        yield database


def test_a_file_that_somebody_holds_is_unavailable_and_nothing_has_happened(path: Path, impatient: Database) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreUnavailable, match="another process holds it") as refused:
            impatient.run([lambda database: database.transact([], [Put("a", b"1")])])
        busy.execute("ROLLBACK")

    assert not refused.value.outcome_unknown
    assert impatient.run([lambda database: database.transact([], [Put("a", b"1")])]) == [1]


def test_a_damaged_page_is_told_from_a_file_that_is_busy(path: Path, impatient: Database) -> None:
    for number in range(200):
        impatient.run([lambda database, n=number: database.transact([], [Put(f"{n:09}", b"x" * 500)])])  # type: ignore[misc]
    impatient.close()
    damaged = bytearray(path.read_bytes())
    damaged[3 * 4096 :] = b"\xee" * (len(damaged) - 3 * 4096)
    path.write_bytes(damaged)

    with closing(Database(place(path), Connection(path))) as database:
        with pytest.raises(StoreDamagedError, match="is malformed"):
            database.list("")
        with pytest.raises(StoreDamagedError, match="is malformed"):
            database.run([lambda it: it.transact([], [Put(f"{7:09}", b"1")])])


async def test_reads_of_a_store_that_is_damaged_while_it_is_open_say_so(store: Store, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as vandal:
        vandal.execute("DROP TABLE entries")

    with pytest.raises(StoreUnavailable, match="no such table: entries"):
        await store.get("a")
    with pytest.raises(StoreUnavailable, match="no such table: entries"):
        await store.list("")


@pytest.fixture
async def small_disk(tmp_path: Path) -> AsyncIterator[Path]:
    """A file system of 1 MiB."""
    folder, process = tmp_path / "small", SystemProcess()
    folder.mkdir()
    await process.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], timeout=10)
    yield folder
    await process.run(["umount", str(folder)], timeout=10)


@pytest.mark.root
async def test_a_full_disk_refuses_writes_and_goes_on_when_there_is_space(small_disk: Path) -> None:
    async with open_sqlite("sqlite:", data_dir=small_disk, clock=SystemClock()) as store:
        await store.transact([], [Put("small", b"1")])

        with pytest.raises(StoreUnavailable, match="free some space"):
            await store.transact([], [Put("large", b"x" * 900_000)])

        kept = await store.transact([], [Put("small", b"2")])
        snapshot = await store.list("")

    assert ([entry.key for entry in snapshot.entries], snapshot.revision) == (["small"], kept)


@pytest.mark.root
async def test_a_disk_that_is_read_only_now_refuses_writes_and_answers_reads(small_disk: Path) -> None:
    (small_disk / "store.db").touch()
    process = SystemProcess()
    async with open_sqlite("sqlite:", data_dir=small_disk, clock=SystemClock()) as store:
        await store.transact([], [Put("small", b"1")])
    await process.run(["mount", "-o", "remount,ro", str(small_disk)], timeout=10)

    with pytest.raises(StoreUnavailable, match=r"cannot write to the store's folder|Read-only"):
        async with open_sqlite("sqlite:", data_dir=small_disk, clock=SystemClock()):
            pass


async def test_a_value_that_is_not_bytes_harms_nobody_else(store: Store) -> None:
    written = asyncio.ensure_future(store.transact([], [Put("a", b"1")]))

    with pytest.raises(NotValidError, match="the value of 'b' has to be bytes"):
        await store.transact([], [Put("b", "text")])  # type: ignore[arg-type]

    assert await written == 1


async def test_a_signal_file_that_is_deleted_is_made_again_and_commits_are_seen(
    store: Store, other: Store, path: Path
) -> None:
    signal = path.with_name("store.db-signal")
    async with other.watch("", NEW) as commits:
        for number in range(1, 6):
            signal.unlink()
            await until(signal.exists)
            await store.transact([], [Put("a", b"%d" % number)])
            async with asyncio.timeout(5):
                assert (await anext(commits)).revision == number

    assert signal.stat().st_mode & 0o777 == 0o600


async def test_a_signal_file_that_is_replaced_is_followed(store: Store, other: Store, path: Path) -> None:
    signal, fresh = path.with_name("store.db-signal"), path.with_name("fresh")
    async with other.watch("", NEW) as commits:
        fresh.touch()
        fresh.replace(signal)
        await store.transact([], [Put("a", b"1")])

        async with asyncio.timeout(5):
            assert (await anext(commits)).revision == 1


async def test_nothing_wakes_up_while_nothing_happens(store: Store) -> None:
    lease = await store.lease(3600.0)
    await store.transact([], [Put("a", b"1", lease)])
    async with store.watch("", NEW) as commits:
        await anext(commits)
        await asyncio.sleep(0.4)  # The second look, 0.1 s after the commit, is the last.
        names = {thread.native_id for thread in threading.enumerate() if thread.name.startswith("store-")}
        before = _switches(names)
        ticks = _switches({threading.get_native_id()})

        await asyncio.sleep(1.5)

        assert len(names) == 2
        assert _switches(names) == before
        # This very sleep wakes up once, or twice with a loop whose timers round down.
        assert _switches({threading.get_native_id()}) - ticks <= 3


def _switches(threads: set[int | None]) -> int:
    """How often threads have gone to sleep."""
    found = 0
    for thread in threads:
        lines = Path(f"/proc/self/task/{thread}/status").read_text().splitlines()
        found += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return found


async def test_a_kernel_without_watches_left_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(*_: object) -> None:
        raise OSError(24, os.strerror(24))

    monkeypatch.setattr("undercroft_model.lookout.Inotify", none_left)

    with pytest.raises(StoreUnavailable, match=r"raise fs\.inotify\.max_user_instances"):
        async with open_sqlite("sqlite:", data_dir=tmp_path, clock=SystemClock()):
            pass
