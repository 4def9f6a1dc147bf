from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from plugins.model.tests.store.conftest import until

from undercroft.clock import SystemClock
from undercroft.testing import FakeClock
from undercroft_hookspecs import Check, Compacted, Conflict, Delete, Put, Revision, Store
from undercroft_model.database import Database, Place, open_writer
from undercroft_model.feed import BACKLOG
from undercroft_model.history import COMPACTED_AT_ONCE, PAGE_BYTES
from undercroft_model.sqlite_store import SqliteStore, open_sqlite

NEW = Revision(0)


def write(database: Database, count: int, *, prefix: str = "k") -> None:
    """So many commits."""
    for start in range(0, count, 500):
        numbers = range(start, min(start + 500, count))
        database.run([lambda it, n=n: it.transact([], [Put(f"{prefix}/{n % 50}", b"%d" % n)]) for n in numbers])  # type: ignore[misc]


def writer(path: Path, kept: int = 1_000_000) -> Database:
    """The store as another process writes it."""
    return open_writer(Place(path=path, now=lambda: 0.0, boot="this", kept_commits=kept))


@pytest.mark.slow
async def test_a_watcher_that_is_100_000_commits_behind_gets_every_one(tmp_path: Path, path: Path) -> None:
    count = 100_000
    database = await asyncio.to_thread(writer, path)
    async with open_sqlite("sqlite:", data_dir=tmp_path, clock=SystemClock()) as store, store.watch("", NEW) as commits:
        await asyncio.to_thread(write, database, count)
        await asyncio.to_thread(database.close)

        seen = [(await anext(commits)).revision for _ in range(count)]

    assert seen == list(range(1, count + 1))


async def test_a_watcher_is_told_when_what_it_has_not_seen_is_compacted_away(tmp_path: Path, path: Path) -> None:
    kept, count = 1000, BACKLOG + 3000
    database = await asyncio.to_thread(writer, path, kept)
    async with open_sqlite("sqlite:", data_dir=tmp_path, clock=SystemClock()) as store, store.watch("", NEW) as commits:
        await asyncio.to_thread(write, database, count)
        await asyncio.to_thread(database.close)

        async def read_on() -> None:
            async for _ in commits:
                pass

        with pytest.raises(Compacted) as told:
            await asyncio.wait_for(read_on(), 20)

    assert kept <= count - told.value.oldest <= kept + COMPACTED_AT_ONCE


async def test_a_watcher_that_keeps_up_is_not_disturbed_by_compaction(tmp_path: Path) -> None:
    async with (
        open_sqlite("sqlite:", data_dir=tmp_path, clock=SystemClock(), kept_commits=10) as store,
        store.watch("", NEW) as commits,
    ):
        for number in range(COMPACTED_AT_ONCE + 50):
            revision = await store.transact([], [Put("a", b"%d" % number)])
            assert (await anext(commits)).revision == revision


def test_history_is_kept_and_forgotten_by_itself(path: Path) -> None:
    database = writer(path, 100)

    write(database, 1000)
    page = database.history.page("", Revision(900))

    assert 100 <= page.revision - page.oldest <= 100 + COMPACTED_AT_ONCE
    assert [revision for revision, _ in page.commits] == list(range(901, 1001))
    database.close()


def test_a_page_ends_where_there_are_many_bytes(path: Path) -> None:
    database = writer(path)
    database.run([lambda it: it.transact([], [Put("a", b"x" * 1_000_000)])] * 10)

    page = database.history.page("", NEW)

    assert (page.is_last, page.revision, len(page.commits)) == (False, -(-PAGE_BYTES // 1_000_000), page.revision)
    database.close()


async def test_a_watcher_gets_what_was_written_while_it_was_behind(store: Store, other: Store) -> None:
    for number in range(20):
        await store.transact([], [Put("k/a", b"%d" % number), Put("elsewhere", b"")])
    async with other.watch("k/", NEW) as commits:
        first = await anext(commits)
        await store.transact([], [Delete("k/a")])

        rest = [await anext(commits) for _ in range(20)]

    assert [first.revision, *(commit.revision for commit in rest)] == list(range(1, 22))
    assert rest[-1].changes == (Delete("k/a"),)


async def test_a_lease_that_is_over_before_anybody_looks_ends_all_the_same(tmp_path: Path, clock: FakeClock) -> None:
    """The store learns of a lease by looking, and its time may be over by then."""
    async with open_sqlite("sqlite:", data_dir=tmp_path, clock=clock) as store:
        await store.transact([], [Put("a", b"1", await store.lease(4.0))])
        await clock.advance(6.0)

        async with store.watch("", NEW) as commits, asyncio.timeout(5):
            await anext(commits)
            assert (await anext(commits)).changes == (Delete("a"),)


def test_a_write_finds_leases_ended_whose_time_is_over(path: Path) -> None:
    time = 0.0
    database = open_writer(Place(path=path, now=lambda: time, boot="this"))
    (lease,) = database.run([lambda it: it.leases.grant(4.0)])
    database.run([lambda it: it.transact([], [Put("a", b"1", lease)])])  # type: ignore[arg-type]
    time = 4.0

    (revision,) = database.run([lambda it: it.transact([], [Put("b", b"1")])])

    assert ([entry.key for entry in database.list("").entries], revision) == (["b"], 3)
    database.close()


async def test_the_leases_of_another_boot_end_when_the_store_is_opened(tmp_path: Path, path: Path) -> None:
    database = open_writer(Place(path=path, now=lambda: 1e9, boot="another"))
    (lease,) = database.run([lambda it: it.leases.grant(1e9)])
    database.run([lambda it: it.transact([], [Put("a", b"1", lease)])])  # type: ignore[arg-type]
    database.close()

    async with open_sqlite("sqlite:", data_dir=tmp_path, clock=SystemClock()) as store:
        assert (await store.list("")).entries == ()


async def test_a_report_says_how_many_watch(store: Store) -> None:
    assert isinstance(store, SqliteStore)
    await store.transact([], [Put("a", b"1")])
    async with store.watch("", NEW):
        await until(lambda: store.report()["revision"] == 1)

        assert store.report() == {"revision": 1, "watchers": 1, "waiting": 0}


async def test_a_lease_ends_in_time_though_transactions_are_refused_right_after_it_was_granted(store: Store) -> None:
    async with store.watch("", NEW) as commits, asyncio.timeout(10):
        lease = await store.lease(0.3)
        await store.transact([], [Put("a", b"1", lease)])
        for _ in range(50):
            with pytest.raises(Conflict):
                await store.transact([Check("a", Revision(7))], [Put("a", b"2")])

        assert [(await anext(commits)).changes for _ in range(2)] == [(Put("a", b"1", lease),), (Delete("a"),)]


async def test_what_others_write_is_seen_while_this_process_writes_without_a_pause(store: Store, other: Store) -> None:
    done = asyncio.Event()

    async def write(waiter: int) -> None:
        while not done.is_set():
            await store.transact([], [Put(f"own/{waiter}", b"x")])

    async with store.watch("others/", NEW) as commits, asyncio.TaskGroup() as group:
        for waiter in range(8):
            group.create_task(write(waiter))
        try:
            for number in range(20):
                await other.transact([], [Put("others/key", b"%d" % number)])
                (change,) = (await asyncio.wait_for(anext(commits), 2)).changes
                assert change == Put("others/key", b"%d" % number)
        finally:
            done.set()


@pytest.mark.parametrize("prefix", ["", "/", "/m", "/m/", "/m/units/", "/m/units/shop", "/m/units/shop/1"])
async def test_every_watch_whose_prefix_begins_a_key_sees_it_and_no_other(store: Store, prefix: str) -> None:
    keys = ("/m/units/shop/1", "/m/units/shop/10", "/m/units/other/1", "/n", "m/units")
    async with store.watch(prefix, NEW) as commits, store.watch("m/", NEW) as last:
        for key in keys:
            await store.transact([], [Put(key, b"1"), Put("elsewhere/else", b"1")])
        assert [change.key for change in (await anext(last)).changes] == ["m/units"]

        seen = [[change.key for change in (await anext(commits)).changes] for key in keys if key.startswith(prefix)]

    every = [[key, *(["elsewhere/else"] if not prefix else [])] for key in keys if key.startswith(prefix)]
    assert seen == every


async def test_watches_of_one_prefix_end_one_by_one(store: Store) -> None:
    async with store.watch("k/", NEW) as kept:
        async with store.watch("k/", NEW):
            pass
        revision = await store.transact([], [Put("k/a", b"1")])

        assert (await anext(kept)).revision == revision
