"""The system's clock, and alarms on any clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta

from undercroft.clock import SystemClock, alarm
from undercroft.testing import FakeClock


class BrokenClock(SystemClock):
    """A clock whose sleep fails."""

    __slots__ = ()

    async def sleep(self, delay: float) -> None:
        raise OSError("the clock has stopped")


async def test_the_system_clock_is_aware_and_in_utc() -> None:
    now = SystemClock().now()

    assert now.tzinfo is UTC
    assert now.utcoffset() == timedelta(0)


async def test_sleeping_takes_at_least_the_delay() -> None:
    clock = SystemClock()
    before = clock.monotonic()

    await clock.sleep(0.06)

    assert clock.monotonic() - before >= 0.05


async def test_a_sleep_of_nothing_or_less_yields_once() -> None:
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "other")

    await SystemClock().sleep(-1)

    assert turns == ["other"]


async def test_an_alarm_rings_on_the_system_clock() -> None:
    rung = asyncio.Event()

    alarm(SystemClock(), 0.001, rung.set)

    async with asyncio.timeout(5):
        await rung.wait()


async def test_a_cancelled_alarm_stays_silent_on_either_clock() -> None:
    rung: list[str] = []
    fake = FakeClock()
    first = alarm(SystemClock(), 0.001, lambda: rung.append("system"))
    first.cancel()
    second = alarm(fake, 1.0, lambda: rung.append("fake"))
    await fake.until(1)

    second.cancel()
    await fake.advance(2.0)
    await SystemClock().sleep(0.01)

    assert rung == []
    assert fake.pending == 0


async def test_an_alarm_on_another_clock_rings_when_that_clock_says_so() -> None:
    rung: list[float] = []
    clock = FakeClock()
    alarm(clock, 5.0, lambda: rung.append(clock.monotonic()))
    began = clock.monotonic()

    await clock.wait_advance(4.9)
    assert rung == []
    await clock.advance(0.2)

    assert len(rung) == 1
    assert abs(rung[0] - began - 5.0) < 1e-5


async def test_an_alarm_on_a_broken_clock_rings_at_once() -> None:
    rung = asyncio.Event()

    alarm(BrokenClock(), 3600.0, rung.set)

    async with asyncio.timeout(5):
        await rung.wait()
