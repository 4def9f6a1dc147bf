from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

import pytest
from plugins.model.tests.unitside.conftest import Units

from undercroft_hookspecs import NotLeaderError
from undercroft_hookspecs.relation_facades import LeadershipFacade

T = TypeVar("T")


async def following(states: AsyncIterator[T]) -> T:
    async with asyncio.timeout(10):
        return await anext(states)


async def test_one_of_two_units_leads(units: Units) -> None:
    await units.related()
    first, second = units.of("shop/0", LeadershipFacade), units.of("shop/1", LeadershipFacade)

    assert await first.claim()
    assert not await second.claim()
    assert first.certain_seconds() > 30


async def test_who_waits_for_the_release_is_told_of_it_at_once(units: Units) -> None:
    await units.related()
    first, second = units.of("shop/0", LeadershipFacade), units.of("shop/1", LeadershipFacade)
    await first.claim()
    waiting = asyncio.ensure_future(second.wait_released())
    await asyncio.sleep(0.05)
    assert not waiting.done()

    await first.resign()

    async with asyncio.timeout(10):
        await waiting
    assert await second.claim()


async def test_nobody_waits_for_what_is_free_or_its_own(units: Units) -> None:
    await units.related()
    first = units.of("shop/0", LeadershipFacade)

    async with asyncio.timeout(10):
        await first.wait_released()
        await first.claim()
        await first.wait_released()


async def test_the_leader_s_settings_reach_its_units(units: Units) -> None:
    await units.related()
    first = units.of("shop/0", LeadershipFacade)
    await first.claim()
    async with units.of("shop/1", LeadershipFacade).watch_leader_settings() as states:
        assert await following(states) == {}

        await first.merge_leader_settings({"a": "1", "b": "2"})
        assert await following(states) == {"a": "1", "b": "2"}
        await first.merge_leader_settings({"a": ""})
        assert await following(states) == {"b": "2"}
    assert await first.leader_settings() == {"b": "2"}


async def test_who_does_not_lead_sets_nothing(units: Units) -> None:
    await units.related()
    await units.of("shop/0", LeadershipFacade).claim()

    with pytest.raises(NotLeaderError):
        await units.of("shop/1", LeadershipFacade).merge_leader_settings({"a": "1"})

    assert await units.of("shop/1", LeadershipFacade).leader_settings() == {}
