from __future__ import annotations

import asyncio

from plugins.model.tests.conftest import HERE
from plugins.model.tests.fakes import FlakyStore

from undercroft.testing import FakeClock
from undercroft_hookspecs import HostId, ModelId
from undercroft_model.unitside.connection import OwnConnection
from undercroft_model.unitside.standpoint import Standpoint


class Steady:
    """No randomness, so that pauses are what they say."""

    def random(self) -> float:
        return 0.5

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


def connection(store: FlakyStore, clock: FakeClock) -> OwnConnection:
    here = Standpoint(
        store=store,
        model=ModelId.parse("00000000-0000-4000-8000-000000000001"),
        unit="shop/0",
        host=HostId.parse(HERE.id),
        clock=clock,
        rng=Steady(),  # type: ignore[arg-type]
    )
    return OwnConnection(here)


async def test_a_store_that_goes_and_comes_is_told_each_time() -> None:
    store, clock = FlakyStore(), FakeClock()
    async with asyncio.timeout(10), connection(store, clock).watch_connection() as states:
        assert await anext(states)
        gone = asyncio.ensure_future(anext(states))
        await asyncio.sleep(0)
        store.go_away()
        assert not await gone
        back = asyncio.ensure_future(anext(states))
        await clock.wait_advance(60)
        store.come_back()
        await clock.wait_advance(60)
        assert await back


async def test_an_outage_is_told_once_however_often_it_is_tried() -> None:
    store, clock = FlakyStore(), FakeClock()
    store.go_away()
    async with asyncio.timeout(10), connection(store, clock).watch_connection() as states:
        assert not await anext(states)
        following = asyncio.ensure_future(anext(states))
        for _ in range(10):
            await clock.wait_advance(20)
        assert store.failures > 5
        assert not following.done()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
