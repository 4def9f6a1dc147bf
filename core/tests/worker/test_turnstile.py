"""Only so many are let in during one turn of the loop."""

from __future__ import annotations

import asyncio

from undercroft.worker.turnstile import Turnstile


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_alone_is_let_in_at_once() -> None:
    seen: list[int] = []
    turnstile = Turnstile(asyncio.get_running_loop(), seen.append)

    assert turnstile.enter(1) is True

    assert seen == [1]
    await settle()


async def test_a_crowd_is_let_in_turn_by_turn_in_order() -> None:
    seen: list[int] = []
    turnstile = Turnstile(asyncio.get_running_loop(), seen.append)

    entered = [turnstile.enter(number) for number in range(170)]
    counts = [len(seen)]
    for _ in range(3):
        await asyncio.sleep(0)
        counts.append(len(seen))

    assert entered == [True] * counts[0] + [False] * (170 - counts[0])
    assert counts == [50, 100, 150, 170]
    assert seen == list(range(170))
    await settle()


async def test_who_comes_later_waits_behind_the_queue() -> None:
    seen: list[int] = []
    turnstile = Turnstile(asyncio.get_running_loop(), seen.append)
    for number in range(60):
        turnstile.enter(number)
    await asyncio.sleep(0)

    turnstile.enter(60)
    await settle()

    assert seen == list(range(61))


async def test_it_stops_turning_when_nobody_comes() -> None:
    turnstile: Turnstile[int] = Turnstile(asyncio.get_running_loop(), lambda _: None)
    turnstile.enter(1)

    await settle()

    assert not turnstile._is_turning
