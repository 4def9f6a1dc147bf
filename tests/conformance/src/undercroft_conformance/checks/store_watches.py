"""Watches and compaction of a Store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

from undercroft_conformance.drive import deadline, turns
from undercroft_conformance.rules import store as rules
from undercroft_conformance.stores import NEW, StoreCase, take
from undercroft_conformance.verdict import Broken, Check, expect
from undercroft_hookspecs.store import MAX_OPERATIONS, Commit, Compacted, Delete, Put, Revision, Store

WATCHERS = 10


async def _history(store: Store, count: int = 5) -> list[Commit]:
    """Write some commits under `a/`, with others in between, and say what a watch of `a/` has to show."""
    made = []
    for number in range(count):
        change = Put(f"a/{number % 2}", b"%d" % number)
        made.append(Commit(await store.transact([], [change]), (change,)))
        await store.transact([], [Put("b", b"%d" % number)])
    return made


def _same(found: list[Commit], wanted: list[Commit]) -> bool:
    return [(commit.revision, list(commit.changes)) for commit in found] == [
        (commit.revision, list(commit.changes)) for commit in wanted
    ]


async def watch_all(case: StoreCase) -> None:
    """A watch from the beginning shows all that was written and deleted, in order."""
    async with case.open() as store:
        wanted = await _history(store)
        deleted = await store.transact([], [Delete("a/0")])
        wanted.append(Commit(deleted, (Delete("a/0"),)))
        async with store.watch("a/", NEW) as commits:
            found = await take(commits, len(wanted))
        expect(_same(found, wanted), f"expected {wanted}, found {found}")


async def watch_prefix(case: StoreCase) -> None:
    """A commit shows what it changed under the prefix: neither what is elsewhere nor what it did not change."""
    async with case.open() as store:
        await store.transact([], [Put("b", b"")])
        written = await store.transact([], [Put("a/1", b"1"), Put("ab", b"2"), Delete("a/never"), Delete("b")])
        async with store.watch("a/", NEW) as commits:
            found = await take(commits, 1)
        expect(_same(found, [Commit(written, (Put("a/1", b"1"),))]), f"the commit shows {found[0].changes}")


async def watch_whole(case: StoreCase) -> None:
    """The largest transaction is one commit."""
    async with case.open() as store:
        writes = [Put(f"k/{number:03}", b"v" * 100) for number in range(MAX_OPERATIONS)]
        async with store.watch("k/", NEW) as commits:
            written = await store.transact([], writes)
            after = await store.transact([], [Put("k/after", b"")])
            first, second = await take(commits, 2)
        expect((first.revision, second.revision) == (written, after), f"{first.revision} and {second.revision} came")
        found = sorted(change.key for change in first.changes)
        expect(found == [write.key for write in writes], f"{len(found)} of {len(writes)} changes are in the commit")


async def watch_resume(case: StoreCase) -> None:
    """From wherever one has got to, the rest follows exactly."""
    async with case.open() as store:
        wanted = await _history(store)
        for position, commit in enumerate(wanted[:-1], start=1):
            async with store.watch("a/", commit.revision) as commits:
                found = await take(commits, len(wanted) - position)
            expect(_same(found, wanted[position:]), f"behind {commit.revision} there came {found}")


async def watch_waits(case: StoreCase) -> None:
    """A watch waits for what is yet to come, written through whatever handle."""
    async with case.open() as store, case.open() as other:
        present = await store.transact([], [Put("a", b"0")])
        async with store.watch("a", present) as commits:
            for writer in (store, other):
                await _waits(commits, writer)


async def _waits(commits: AsyncIterator[Commit], writer: Store) -> None:
    waiting = asyncio.ensure_future(take(commits, 1))
    await turns(10)
    if waiting.done():
        raise Broken(f"a watch gives {await waiting}, though nothing was written")
    written = await writer.transact([], [Put("a", b"1")])
    found = await waiting
    expect(found[0].revision == written, f"revision {written} was written, and {found[0].revision} came")


async def watch_cancelled(case: StoreCase) -> None:
    """Who gives up waiting, and waits again, has missed nothing."""
    async with case.open() as store, store.watch("a", NEW) as commits:
        for number in range(5):
            waiting = asyncio.ensure_future(anext(commits))
            await turns(number)
            waiting.cancel()
            await asyncio.wait([waiting], timeout=deadline())
            written = await store.transact([], [Put("a", b"%d" % number)])
            found = await take(commits, 1)
            expect(found[0].revision == written, f"revision {written} was written, and {found[0].revision} came")


async def watch_many(case: StoreCase) -> None:
    """Every watcher sees everything."""
    async with case.open() as store, AsyncExitStack() as stack:
        watches = [await stack.enter_async_context(store.watch("a/", NEW)) for _ in range(WATCHERS)]
        takes = [asyncio.ensure_future(take(commits, 5)) for commits in watches]
        wanted = await _history(store)
        for found in await asyncio.gather(*takes):
            expect(_same(found, wanted), f"expected {wanted}, one of {WATCHERS} watchers has seen {found}")


async def _compacted(store: Store, since: Revision) -> Compacted:
    try:
        async with store.watch("", since) as commits:
            found = await take(commits, 1)
    except Compacted as error:
        return error
    raise Broken(f"a watch from {since}, which was compacted away, gives {found[0]}")


async def compact_watch(case: StoreCase) -> None:
    """A watch from what is forgotten raises; one from what is kept goes on."""
    async with case.open() as store:
        made = await _history(store)
        await store.compact(made[3].revision)
        await _compacted(store, made[0].revision)
        async with store.watch("a/", made[3].revision) as commits:
            found = await take(commits, 1)
        expect(_same(found, made[4:]), f"behind the compaction there came {found}")


async def compact_oldest(case: StoreCase) -> None:
    """The error says from where one can watch, and from there one can."""
    async with case.open() as store:
        made = await _history(store)
        await store.compact(made[3].revision)
        error = await _compacted(store, made[0].revision)
        expect(error.oldest > made[0].revision, f"{made[0].revision} is too old, and the oldest is {error.oldest}")
        expect(error.oldest <= made[3].revision, f"{made[3].revision} was to be kept, and the oldest is {error.oldest}")
        async with store.watch("a/", error.oldest) as commits:
            found = await take(commits, len([commit for commit in made if commit.revision > error.oldest]))
        expect(found[-1].revision == made[-1].revision, f"from the oldest on there came {found}")


async def compact_keeps(case: StoreCase) -> None:
    """Entries stay as they are, with their revisions; compacting again, or less, does nothing."""
    async with case.open() as store:
        made = await _history(store)
        before = (await store.list("")).entries
        for revision in (made[3].revision, made[3].revision, made[1].revision, made[-1].revision):
            await store.compact(revision)
        after = (await store.list("")).entries
        expect(list(before) == list(after), f"there was {before}, and after compacting there is {after}")
        await store.transact([], [Put("a/1", b"later")])


CHECKS: tuple[Check[StoreCase], ...] = (
    Check(rules.WATCH_ALL, watch_all),
    Check(rules.WATCH_PREFIX, watch_prefix),
    Check(rules.WATCH_WHOLE, watch_whole),
    Check(rules.WATCH_RESUME, watch_resume),
    Check(rules.WATCH_WAITS, watch_waits),
    Check(rules.WATCH_CANCELLED, watch_cancelled),
    Check(rules.WATCH_MANY, watch_many),
    Check(rules.COMPACT_WATCH, compact_watch),
    Check(rules.COMPACT_OLDEST, compact_oldest),
    Check(rules.COMPACT_KEEPS, compact_keeps),
)
