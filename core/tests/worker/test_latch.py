"""The latch under stop and death."""

from __future__ import annotations

import asyncio

from undercroft.worker.latch import Latch


async def test_subscribers_are_told_in_order_and_once() -> None:
    latch = Latch()
    told: list[int] = []
    for number in range(3):
        latch.subscribe(lambda number=number: told.append(number))  # type: ignore[misc]

    latch.fire()
    latch.fire()

    assert told == [0, 1, 2]


async def test_one_who_unsubscribed_is_not_told() -> None:
    latch = Latch()
    told: list[str] = []
    callbacks = [lambda: told.append("a"), lambda: told.append("b"), lambda: told.append("c")]
    for callback in callbacks:
        latch.subscribe(callback)

    latch.unsubscribe(callbacks[1])
    latch.unsubscribe(callbacks[1])
    latch.fire()

    assert told == ["a", "c"]


async def test_a_lone_subscriber_can_leave_and_another_cannot_take_it_along() -> None:
    latch = Latch()
    told: list[str] = []

    def first() -> None:
        told.append("first")

    latch.subscribe(first)
    latch.unsubscribe(lambda: None)
    latch.fire()

    assert told == ["first"]


async def test_everyone_who_waits_is_woken() -> None:
    latch = Latch()
    waiters = [asyncio.ensure_future(latch.wait()) for _ in range(3)]
    await asyncio.sleep(0)

    latch.fire()

    await asyncio.gather(*waiters)
    assert latch.is_set()


async def test_a_cancelled_waiter_leaves_nothing_behind() -> None:
    latch = Latch()
    waiter = asyncio.ensure_future(latch.wait())
    await asyncio.sleep(0)

    waiter.cancel()
    await asyncio.wait([waiter])

    assert latch._subscribers is None


def test_firing_after_the_loop_is_closed_is_harmless() -> None:
    latch = Latch()
    loop = asyncio.new_event_loop()
    waiting = loop.create_future()
    waiting.add_done_callback(lambda _: None)
    latch.subscribe(waiting)
    loop.close()

    latch.fire()

    assert latch.is_set()
