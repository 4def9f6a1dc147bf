from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import AsyncExitStack, closing
from pathlib import Path

import pytest
from plugins.model.tests.store.conftest import descriptors

from undercroft.clock import SystemClock
from undercroft_hookspecs import Put, Revision, Store, StoreUnavailable
from undercroft_model.sqlite_store import open_sqlite

NEW = Revision(0)


async def enter(stack: AsyncExitStack, folder: Path) -> Store:
    return await stack.enter_async_context(open_sqlite("sqlite:", data_dir=folder, clock=SystemClock()))


async def ask_for_many(store: Store) -> list[asyncio.Future[Revision]]:
    """More writes than go into two batches."""
    writing: list[asyncio.Future[Revision]] = []
    for start in range(0, 600, 100):
        numbers = range(start, start + 100)
        writing += [asyncio.ensure_future(store.transact([], [Put(f"{n}", b"")])) for n in numbers]
        await asyncio.sleep(0)
    return writing


@pytest.mark.slow_callbacks  # Twelve hundred tasks are made at once.
async def test_writes_that_were_asked_for_are_finished(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        store = await enter(stack, tmp_path)
        writing = await ask_for_many(store)

    assert sorted(await asyncio.gather(*writing)) == list(range(1, 601))


async def test_watchers_are_told(store: Store, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        closed = await enter(stack, tmp_path)
        commits = await stack.enter_async_context(closed.watch("", NEW))
        waiting = asyncio.ensure_future(anext(commits))
        await asyncio.sleep(0)

    with pytest.raises(StoreUnavailable, match=r"the watch has ended|the store has been closed"):
        await waiting


async def test_whatever_is_asked_of_a_closed_store_is_refused(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        store = await enter(stack, tmp_path)

    async def watch() -> None:
        async with store.watch("", NEW):
            pass

    for ask in (store.get("a"), store.list(""), store.transact([], [Put("a", b"")]), store.lease(1.0), watch()):
        with pytest.raises(StoreUnavailable, match="the store has been closed"):
            await ask


async def test_a_watch_that_was_left_raises(store: Store) -> None:
    async with store.watch("", NEW) as commits:
        pass

    with pytest.raises(StoreUnavailable, match="the watch has ended"):
        await anext(commits)


async def test_closing_that_is_cancelled_ends_all_the_same(tmp_path: Path, path: Path) -> None:
    is_open, is_busy, is_asked = asyncio.Event(), asyncio.Event(), asyncio.Event()
    writing: list[asyncio.Future[Revision]] = []

    async def use() -> None:
        async with AsyncExitStack() as stack:
            store = await enter(stack, tmp_path)
            is_open.set()
            await is_busy.wait()
            writing.extend(await ask_for_many(store))
            is_asked.set()

    using = asyncio.ensure_future(use())
    with closing(sqlite3.connect(path, isolation_level=None)) as busy:
        await is_open.wait()
        busy.execute("BEGIN IMMEDIATE")
        is_busy.set()
        await is_asked.wait()
        await asyncio.sleep(0.05)
        using.cancel()
        await asyncio.sleep(0.05)
        using.cancel()
        busy.execute("ROLLBACK")
        await asyncio.wait([using])

    assert using.cancelled()
    done = await asyncio.gather(*writing, return_exceptions=True)
    assert all(isinstance(each, int) or (type(each) is StoreUnavailable and not each.outcome_unknown) for each in done)
    assert descriptors(tmp_path) == {}
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("store-")]


async def test_a_write_that_is_cancelled_before_its_batch_is_not_made(store: Store) -> None:
    first = asyncio.ensure_future(store.transact([], [Put("first", b"")]))
    second = asyncio.ensure_future(store.transact([], [Put("second", b"")]))
    await asyncio.sleep(0)
    second.cancel()

    await first

    await store.transact([], [Put("third", b"")])
    assert [entry.key for entry in (await store.list("")).entries] == ["first", "third"]
