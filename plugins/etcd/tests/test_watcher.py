"""How events become commits, however they come in pieces and whatever comes in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from plugins.etcd.tests.fakes import (
    COMPACTED,
    CREATED,
    LOST,
    Answer,
    FakeConnection,
    FakeStream,
    event,
    header,
)

from undercroft.clock import SystemClock
from undercroft_etcd.client import Client
from undercroft_etcd.faults import Fault
from undercroft_etcd.messages import watch_request
from undercroft_etcd.store import EtcdStore
from undercroft_etcd.watcher import BACKLOG
from undercroft_etcd.wire import chunk, number
from undercroft_hookspecs import Commit, Compacted, Delete, Put, Revision, StoreUnavailable

FRAGMENT = number(7, 1)
SINCE = Revision(10)
KEPT = header(10)
DENIED = Fault("PERMISSION_DENIED", "etcdserver: permission denied")


@asynccontextmanager
async def watching(*streams: FakeStream, looks: Sequence[Answer] = (KEPT,)) -> AsyncIterator[AsyncIterator[Commit]]:
    """A watch whose streams are these, in turn, and whose looks at what is kept have these answers."""
    client = Client([FakeConnection(*looks, streams=streams)], clock=SystemClock())
    async with EtcdStore(client).watch("k", SINCE) as commits:
        yield commits
        await client.close()


async def take(commits: AsyncIterator[Commit], number: int) -> list[tuple[int, int]]:
    """The next commits: the revision of each, and how many changes it has."""
    async with asyncio.timeout(5):
        found = [await anext(commits) for _ in range(number)]
    return [(commit.revision, len(commit.changes)) for commit in found]


async def test_events_of_one_revision_are_one_commit() -> None:
    stream = FakeStream([CREATED, event("k1", 11) + event("k2", 11, is_delete=True) + event("k1", 12)])

    async with watching(stream) as commits:
        first, second = await anext(commits), await anext(commits)

    assert first == Commit(Revision(11), (Put("k1", b"v"), Delete("k2")))
    assert second == Commit(Revision(12), (Put("k1", b"v"),))


async def test_a_revision_in_fragments_is_not_split() -> None:
    stream = FakeStream([CREATED, FRAGMENT + event("k1", 11) + event("k1", 12), FRAGMENT + event("k2", 12)])

    async with watching(stream) as commits:
        assert await take(commits, 1) == [(11, 1)]
        stream.add(event("k3", 12))
        assert await take(commits, 1) == [(12, 3)]


async def test_a_fragment_that_was_cut_off_is_seen_whole_from_the_next_stream() -> None:
    cut_off = FakeStream([CREATED, event("k1", 11), FRAGMENT + event("k1", 12), LOST])
    whole = FakeStream([CREATED, event("k1", 12) + event("k2", 12)])

    async with watching(cut_off, whole) as commits:
        assert await take(commits, 2) == [(11, 1), (12, 2)]
    assert whole.written == [watch_request(b"k", b"l", 12)]


async def test_a_new_stream_begins_behind_the_last_event_and_not_behind_the_present() -> None:
    cut_off = FakeStream([header(99) + CREATED, header(99) + event("k1", 11), LOST])
    next_one = FakeStream([header(99) + CREATED, header(99) + event("k1", 12)])

    async with watching(cut_off, next_one) as commits:
        assert await take(commits, 2) == [(11, 1), (12, 1)]
    assert next_one.written == [watch_request(b"k", b"l", 12)]


async def test_news_of_progress_moves_the_beginning_of_the_next_stream() -> None:
    quiet = FakeStream([CREATED, header(50), LOST])
    next_one = FakeStream([CREATED, event("k1", 51)])

    async with watching(quiet, next_one) as commits:
        assert await take(commits, 1) == [(51, 1)]
    assert next_one.written == [watch_request(b"k", b"l", 51)]


async def test_what_comes_twice_is_given_once() -> None:
    first = FakeStream([CREATED, event("k1", 11), LOST])
    again = FakeStream([CREATED, event("k1", 10) + event("k1", 11) + event("k1", 12)])

    async with watching(first, again) as commits:
        assert await take(commits, 2) == [(11, 1), (12, 1)]


async def test_a_slow_taker_holds_up_the_stream_and_misses_nothing() -> None:
    stream = FakeStream([CREATED, *(event("k", 11 + number) for number in range(2 * BACKLOG))])

    async with watching(stream) as commits:
        found = await take(commits, 2 * BACKLOG)

    assert found == [(11 + number, 1) for number in range(2 * BACKLOG)]


async def test_a_watch_behind_the_compaction_raises_with_the_revision_that_etcd_says() -> None:
    stream = FakeStream([CREATED, number(4, 1) + number(5, 40)])

    with pytest.raises(Compacted) as raised:
        async with watching(stream, looks=[COMPACTED]):
            pass

    assert raised.value.oldest == 40
    assert stream.is_cancelled


async def test_a_watch_from_the_very_compaction_raises_too_as_deletions_in_it_are_gone() -> None:
    silent = FakeStream([CREATED])

    with pytest.raises(Compacted) as raised:
        async with watching(silent, looks=[COMPACTED]):
            pass

    assert raised.value.oldest == SINCE + 1


async def test_compaction_while_the_watch_was_cut_off_raises_from_iterating() -> None:
    streams = FakeStream([CREATED, LOST]), FakeStream([CREATED, number(4, 1) + number(5, 40)])

    async with watching(*streams, looks=[KEPT, COMPACTED]) as commits:
        for _ in range(2):
            with pytest.raises(Compacted):
                await anext(commits)


async def test_compaction_that_is_said_in_the_stream_raises() -> None:
    stream = FakeStream([CREATED, event("k", 11), number(4, 1) + number(5, 40)])

    async with watching(stream) as commits:
        await take(commits, 1)
        with pytest.raises(Compacted):
            await anext(commits)


async def test_a_watch_that_etcd_cancels_goes_on_in_another_stream() -> None:
    cancelled = FakeStream([CREATED, number(4, 1) + chunk(6, b"auth: something")])

    async with watching(cancelled, FakeStream([CREATED, event("k", 11)])) as commits:
        assert await take(commits, 1) == [(11, 1)]


async def test_a_refusal_to_begin_is_raised() -> None:
    with pytest.raises(StoreUnavailable, match="permission denied"):
        async with watching(FakeStream([CREATED + number(4, 1) + chunk(6, b"permission denied")]), looks=[DENIED]):
            pass


async def test_a_refusal_to_go_on_is_raised_from_iterating() -> None:
    async with watching(FakeStream([CREATED, LOST]), FakeStream([CREATED]), looks=[KEPT, DENIED]) as commits:
        with pytest.raises(StoreUnavailable, match=r"refuses to go on.*permission denied"):
            await anext(commits)


async def test_a_watch_of_the_future_begins() -> None:
    ahead = Fault("OUT_OF_RANGE", "etcdserver: mvcc: required revision is a future revision")

    async with watching(FakeStream([CREATED, event("k", 11)]), looks=[ahead]) as commits:
        assert await take(commits, 1) == [(11, 1)]
