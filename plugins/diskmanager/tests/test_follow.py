from __future__ import annotations

import asyncio

from undercroft.testing import FakeClock
from undercroft_diskmanager.follow import READING_INTERVAL, READINGS_AT_ONCE, Pace


async def paces(pace: Pace, number: int) -> None:
    for _ in range(number):
        await pace.keep()


async def test_a_few_readings_follow_one_another_at_once() -> None:
    clock = FakeClock()

    await paces(Pace(clock), READINGS_AT_ONCE)

    assert clock.monotonic() == 0.0


async def test_many_are_spaced_out() -> None:
    clock = FakeClock()
    keeping = asyncio.ensure_future(paces(Pace(clock), READINGS_AT_ONCE + 3))

    await clock.wait_advance(READING_INTERVAL * 2.5)
    assert not keeping.done()
    await clock.advance(READING_INTERVAL)

    assert keeping.done()


async def test_after_a_silence_they_may_follow_at_once_again() -> None:
    clock = FakeClock()
    pace = Pace(clock)
    await paces(pace, READINGS_AT_ONCE)

    await clock.advance(READING_INTERVAL * READINGS_AT_ONCE)
    await paces(pace, READINGS_AT_ONCE)

    assert clock.pending == 0
