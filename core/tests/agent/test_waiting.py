from __future__ import annotations

import asyncio

import pytest

from undercroft import SystemClock
from undercroft.agent.events import Events
from undercroft.agent.settling import is_settled, settled
from undercroft.agent.waiting import first, within
from undercroft_hookspecs import Event


async def value(result: int) -> int:
    await asyncio.sleep(0)
    return result


async def test_within_gives_the_result() -> None:
    assert await within(SystemClock(), 5, value(3)) == 3


async def test_within_gives_up_in_time_and_cancels_the_work() -> None:
    ended: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(TimeoutError):
        await within(SystemClock(), 0.01, work())

    assert ended == [True]


async def test_within_passes_a_cancellation_on() -> None:
    ended: list[bool] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    task = asyncio.ensure_future(within(SystemClock(), 60, work()))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert ended == [True]


async def test_within_raises_what_the_work_raised() -> None:
    async def work() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        await within(SystemClock(), 5, work())


async def test_first_cancels_its_coroutines_and_lets_futures_be() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    await first(future, value(1), asyncio.Event().wait())

    assert not future.done()


@pytest.mark.parametrize(
    ("entry", "rests"),
    [
        ({"state": "started"}, True),
        ({"state": "stopped", "missing": ["x"]}, True),
        ({"state": "quarantined"}, True),
        ({"state": "starting"}, False),
        ({"state": "stopping"}, False),
        ({"state": "starting", "delay": 0.01}, False),
        ({"state": "starting", "delay": 3.0}, True),
    ],
)
def test_what_rests_is_settled(entry: dict[str, object], rests: bool) -> None:
    assert is_settled({"manifolds": {"x": entry}}) is rests


async def test_settling_is_looked_at_when_something_happens() -> None:
    events, states = Events(), ["starting"]
    waiting = asyncio.ensure_future(settled(lambda: {"manifolds": {"x": {"state": states[-1]}}}, events))
    await asyncio.sleep(0)

    states.append("started")
    events(Event("started", "agent/x", SystemClock().now()))

    async with asyncio.timeout(2):
        await waiting


def test_events_are_kept_and_observers_leave() -> None:
    events, seen = Events(), list[Event]()
    forget = events.observe(seen.append)
    error = OSError("gone")
    events(Event("restarting", "agent/x", SystemClock().now(), error, 3.0))

    forget()
    for _ in range(200):
        events(Event("started", "agent/x", SystemClock().now()))

    assert len(seen) == 1
    assert len(events.transitions()) == 100
