"""What MemoryStore does beyond the Store contract, which the conformance kit checks on it."""

from __future__ import annotations

import asyncio

import pytest

from undercroft.testing.store import MemoryStore
from undercroft_hookspecs import Check, Commit, Compacted, NotValidError, Put, Revision, Store

NEW = Revision(0)


def test_it_is_a_store_and_needs_no_loop_to_be_made() -> None:
    assert isinstance(MemoryStore(), Store)


async def test_a_read_and_a_write_without_a_check_lose_an_update() -> None:
    store = MemoryStore()
    await store.transact([], [Put("n", b"0")])

    async def increment() -> None:
        entry = await store.get("n")
        assert entry is not None
        await store.transact([], [Put("n", b"%d" % (int(entry.value) + 1))])

    await asyncio.gather(increment(), increment())

    entry = await store.get("n")
    assert entry is not None
    assert entry.value == b"1"


async def test_old_commits_are_dropped_once_there_are_too_many() -> None:
    store = MemoryStore(kept_commits=10)
    for number in range(50):
        await store.transact([], [Put("n", b"%d" % number)])

    with pytest.raises(Compacted) as caught:
        async with store.watch("", Revision(1)):
            pass

    async with store.watch("", caught.value.oldest) as commits:
        first = await anext(commits)
    assert first.revision == caught.value.oldest + 1
    assert store.report()["commits"] in range(11)


async def test_a_watcher_that_fell_behind_what_is_kept_is_told() -> None:
    store = MemoryStore(kept_commits=10)

    async with store.watch("", NEW) as commits:
        for number in range(50):
            await store.transact([], [Put("n", b"%d" % number)])
        with pytest.raises(Compacted):
            await anext(commits)


async def test_a_cancelled_wait_loses_no_commit() -> None:
    store = MemoryStore()
    async with store.watch("", NEW) as commits:
        waiting = asyncio.ensure_future(anext(commits))
        await asyncio.sleep(0)
        waiting.cancel()
        await store.transact([], [Put("a", b"1")])

        assert await anext(commits) == Commit(Revision(1), (Put("a", b"1"),))


async def test_a_lease_that_ends_wakes_its_watcher_by_itself() -> None:
    store = MemoryStore()
    lease = await store.lease(0.05)
    written = await store.transact([], [Put("a", b"1", lease)])

    async with store.watch("", written) as commits:
        commit = await asyncio.wait_for(anext(commits), 5)

    assert [change.key for change in commit.changes] == ["a"]
    assert await store.get("a") is None


async def test_a_lease_granted_meanwhile_wakes_a_watcher_that_sleeps_for_a_longer_one() -> None:
    store = MemoryStore()
    await store.lease(60)
    async with store.watch("", NEW) as commits:
        waiting = asyncio.ensure_future(anext(commits))
        await asyncio.sleep(0)
        lease = await store.lease(0.05)
        await store.transact([], [Put("a", b"1", lease)])
        assert (await waiting).revision == 1

        commit = await asyncio.wait_for(anext(commits), 5)

    assert [change.key for change in commit.changes] == ["a"]


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), float("inf")])
async def test_a_lease_needs_a_time(ttl: float) -> None:
    with pytest.raises(NotValidError) as caught:
        await MemoryStore().lease(ttl)

    assert caught.value.field == "ttl"


async def test_the_report_counts() -> None:
    store = MemoryStore()
    await store.transact([Check("a", NEW)], [Put("a", b"1"), Put("b", b"2")])
    await store.lease(60)

    async with store.watch("", NEW):
        report = store.report()

    assert report == {"revision": 1, "entries": 2, "commits": 1, "leases": 1, "watchers": 1}
