from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import pytest
from plugins.model.tests.fakes import FlakyStore

from undercroft import SystemClock
from undercroft_hookspecs import Delete, NotFoundError, Put, Store
from undercroft_hookspecs.state import Settings
from undercroft_model.table import RecordDamagedError, Table
from undercroft_model.watching import Sight, folder, newest, record

T = TypeVar("T")

TABLE = Table("/things/", Settings)


async def write(store: Store, **things: str) -> None:
    for name, value in things.items():
        await store.transact([], [Put(f"/things/{name}", b'{"values":{"is":"%s"}}' % value.encode())])


def watching(store: Store, *sights: Sight[Settings]) -> AbstractAsyncContextManager[AsyncIterator[Mapping[str, str]]]:
    def build() -> Mapping[str, str]:
        return {parts[0]: thing.values["is"] for sight in sights for parts, thing in sight.items()}

    return newest(sights, build, store=store, clock=SystemClock(), rng=random.Random(1))


async def following(states: AsyncIterator[T]) -> T:
    async with asyncio.timeout(10):
        return await anext(states)


async def reaching(states: AsyncIterator[T], wanted: T) -> None:
    async with asyncio.timeout(10):
        async for state in states:
            if state == wanted:
                return


async def test_the_first_state_comes_at_once(store: Store) -> None:
    await write(store, a="1")

    async with watching(store, folder(TABLE)) as states:
        assert await following(states) == {"a": "1"}


async def test_nothing_there_is_a_state_too(store: Store) -> None:
    async with watching(store, folder(TABLE)) as states:
        assert await following(states) == {}


async def test_a_change_is_seen(store: Store) -> None:
    async with watching(store, folder(TABLE)) as states:
        await following(states)

        await write(store, a="1")
        assert await following(states) == {"a": "1"}
        await store.transact([], [Delete("/things/a")])
        assert await following(states) == {}


async def test_whoever_is_slow_finds_the_newest_state_and_no_backlog(store: Store) -> None:
    async with watching(store, folder(TABLE)) as states:
        await following(states)

        for number in range(100):
            await write(store, a=str(number))
        seen = []
        while "99" not in seen:
            seen.append((await following(states))["a"])

    assert len(seen) < 10


async def test_a_state_that_is_as_before_is_not_shown_again(store: Store) -> None:
    async with watching(store, folder(TABLE)) as states:
        await write(store, a="1")
        await reaching(states, {"a": "1"})

        await write(store, a="1")
        await write(store, a="2")

        assert await following(states) == {"a": "2"}


async def test_one_record_is_not_taken_for_those_whose_key_begins_so(store: Store) -> None:
    await write(store, a="1", ab="2")

    async with watching(store, record(TABLE, "a")) as states:
        assert await following(states) == {"a": "1"}
        await write(store, ab="3", a="4")
        assert await following(states) == {"a": "4"}


async def test_several_folders_make_one_state(store: Store) -> None:
    async with watching(store, record(TABLE, "a"), record(TABLE, "b")) as states:
        await following(states)

        await write(store, a="1", b="2")

        await reaching(states, {"a": "1", "b": "2"})


async def test_versions_change_with_every_write_and_are_never_zero(store: Store) -> None:
    sight = folder(TABLE)
    async with newest([sight], sight.versions, store=store, clock=SystemClock(), rng=random.Random(1)) as states:
        await following(states)

        await write(store, a="1")
        first = (await following(states))[("a",)]
        await write(store, a="2")
        second = (await following(states))[("a",)]

    assert first
    assert second not in (0, first)


async def test_what_is_gone_ends_the_watch_of_who_needs_it(store: Store) -> None:
    await write(store, a="1")
    sight = record(TABLE, "a")

    with pytest.raises(NotFoundError):
        async with newest([sight], sight.need, store=store, clock=SystemClock(), rng=random.Random(1)) as states:
            await following(states)
            await store.transact([], [Delete("/things/a")])
            await following(states)


async def test_a_record_that_cannot_be_read_ends_the_watch(store: Store) -> None:
    with pytest.raises(RecordDamagedError):
        async with watching(store, folder(TABLE)) as states:
            await following(states)
            await store.transact([], [Put("/things/a", b"no json")])
            await following(states)


async def test_what_was_compacted_away_is_read_anew(store: Store) -> None:
    await write(store, a="1")

    async with watching(store, folder(TABLE)) as states:
        await following(states)
        for number in range(20):
            await write(store, a=str(number))
        await store.compact((await store.list("")).revision)
        await write(store, a="last")

        await reaching(states, {"a": "last"})


async def test_an_outage_is_waited_for_and_what_happened_meanwhile_is_seen() -> None:
    store = FlakyStore()
    await write(store, a="1")

    async with watching(store, folder(TABLE)) as states:
        assert await following(states) == {"a": "1"}
        store.go_away()
        while not store.failures:
            await asyncio.sleep(0.01)
        store.come_back()
        await write(store, a="2")

        assert await following(states) == {"a": "2"}


async def test_a_watch_can_begin_during_an_outage() -> None:
    store = FlakyStore()
    store.go_away()

    async with watching(store, folder(TABLE)) as states:
        first = asyncio.ensure_future(following(states))
        while not store.failures:
            await asyncio.sleep(0.01)
        store.come_back()

        assert await first == {}
