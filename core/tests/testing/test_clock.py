"""FakeClock: time stands still until a test moves it, and then goes from deadline to deadline."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest

from undercroft import NotValidError, Stop
from undercroft.testing import FakeClock


async def turns(n: int = 1) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


def test_needs_no_loop() -> None:
    clock = FakeClock()

    assert clock.monotonic() == 0.0
    assert clock.now().tzinfo is UTC
    assert clock.pending == 0


def test_begins_at_the_time_given_in_utc() -> None:
    clock = FakeClock(datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone(timedelta(hours=2))))

    assert clock.now() == datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC)
    assert clock.now().utcoffset() == timedelta(0)


def test_refuses_a_start_without_time_zone() -> None:
    with pytest.raises(NotValidError) as caught:
        FakeClock(datetime(2024, 1, 1))  # noqa: DTZ001

    assert caught.value.field == "start"


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
async def test_refuses_to_go_back_or_nowhere(seconds: float) -> None:
    with pytest.raises(NotValidError) as caught:
        await FakeClock().advance(seconds)

    assert caught.value.field == "seconds"


async def test_both_readings_move_together() -> None:
    clock = FakeClock()
    before = clock.now()

    await clock.advance(90.5)

    assert clock.monotonic() == 90.5
    assert clock.now() - before == timedelta(seconds=90.5)


@pytest.mark.parametrize("delay", [0.0, -5.0])
async def test_sleep_of_nothing_yields_once(delay: float) -> None:
    clock = FakeClock()
    ran: list[str] = []

    async def other() -> None:
        ran.append("other")

    task = asyncio.create_task(other())
    await clock.sleep(delay)

    assert ran == ["other"]
    assert clock.pending == 0
    await task


async def test_sleeper_wakes_at_its_deadline_and_not_before() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(10))

    await clock.advance(9.99)
    assert not task.done()
    await clock.advance(0.01)

    assert task.done()
    assert clock.pending == 0


async def test_sleep_begun_just_before_the_advance_counts_from_then() -> None:
    clock = FakeClock()

    task = asyncio.create_task(clock.sleep(1))
    await clock.advance(1)

    assert task.done()


async def test_sleepers_read_their_own_deadline() -> None:
    clock = FakeClock()
    read: list[tuple[float, datetime]] = []
    start = clock.now()

    async def sleeper(delay: float) -> None:
        await clock.sleep(delay)
        read.append((clock.monotonic(), clock.now()))

    tasks = [asyncio.create_task(sleeper(delay)) for delay in (3.0, 1.0, 2.0)]
    await clock.advance(10)

    assert read == [(n, start + timedelta(seconds=n)) for n in (1.0, 2.0, 3.0)]
    assert clock.monotonic() == 10.0
    await asyncio.gather(*tasks)


async def test_sleepers_of_one_deadline_wake_in_order_of_arrival() -> None:
    clock = FakeClock()
    woken: list[int] = []

    async def sleeper(i: int) -> None:
        await clock.sleep(1)
        woken.append(i)

    tasks = [asyncio.create_task(sleeper(i)) for i in range(50)]
    await clock.advance(1)

    assert woken == list(range(50))
    await asyncio.gather(*tasks)


async def test_sleeps_begun_on_the_way_are_served() -> None:
    clock = FakeClock()
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await clock.sleep(0.1)
            ticks.append(clock.monotonic())

    task = asyncio.create_task(tick())
    await clock.advance(1)

    assert ticks == pytest.approx([0.1 * n for n in range(1, 11)])
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_loop_settles_between_deadlines() -> None:
    clock = FakeClock()
    seen: list[float] = []

    async def long_winded() -> None:
        await clock.sleep(1)
        await turns(30)
        seen.append(clock.monotonic())

    tasks = [asyncio.create_task(long_winded()), asyncio.create_task(clock.sleep(2))]
    await clock.advance(2)

    assert seen == [1.0]
    await asyncio.gather(*tasks)


async def test_sums_of_floats_meet() -> None:
    """0.1 + 0.2 is not 0.3; a test that advances so means the same moment."""
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(0.3))

    await clock.advance(0.1)
    await clock.advance(0.2 - 1e-9)

    assert task.done()
    assert clock.monotonic() == pytest.approx(0.3)


async def test_time_never_goes_back() -> None:
    clock = FakeClock()
    readings = [clock.monotonic()]

    async def tick() -> None:
        while True:
            await clock.sleep(0.1000000001)
            readings.append(clock.monotonic())

    task = asyncio.create_task(tick())
    for _ in range(20):
        await clock.advance(0.1)
        readings.append(clock.monotonic())

    assert readings == sorted(readings)
    assert clock.monotonic() == pytest.approx(2.0, abs=1e-5)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_cancelled_sleeper_leaves_at_once() -> None:
    clock = FakeClock()
    task = asyncio.create_task(clock.sleep(10))
    await clock.until(1)

    task.cancel()

    assert clock.pending == 0
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_sleeper_that_is_cancelled_as_it_wakes_is_counted_out_once() -> None:
    clock = FakeClock()
    sleeper = asyncio.create_task(clock.sleep(1))

    async def cancel() -> None:
        await clock.sleep(1)
        sleeper.cancel()

    await clock.until(1)
    canceller = asyncio.create_task(cancel())
    await clock.advance(1)

    assert clock.pending == 0
    await asyncio.gather(sleeper, canceller, return_exceptions=True)


@pytest.mark.slow_callbacks
async def test_cancelled_sleepers_leave_nothing_behind() -> None:
    clock = FakeClock()

    for _ in range(20):
        tasks = [asyncio.create_task(clock.sleep(1000)) for _ in range(100)]
        await clock.until(100)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert clock.pending == 0
    assert len(clock._heap) < 200


@pytest.mark.slow_callbacks
async def test_ten_thousand_sleepers_are_no_trouble() -> None:
    clock = FakeClock()
    tasks = [asyncio.create_task(clock.sleep(1 + i % 7)) for i in range(10_000)]

    await clock.wait_advance(7, 10_000, timeout=30)

    assert clock.pending == 0
    assert all(task.done() for task in tasks)


async def test_until_returns_at_once_if_they_are_there() -> None:
    clock = FakeClock()
    await clock.until(0)
    task = asyncio.create_task(clock.sleep(1))
    await clock.until(1)

    await clock.until(1, timeout=0.001)

    await clock.advance(1)
    await task


async def test_until_waits_for_that_many() -> None:
    clock = FakeClock()
    waiting = asyncio.create_task(clock.until(3, timeout=10))
    tasks = [asyncio.create_task(clock.sleep(1)) for _ in range(2)]
    await turns(5)
    assert not waiting.done()

    tasks.append(asyncio.create_task(clock.sleep(1)))
    await waiting

    assert clock.pending == 3
    await clock.advance(1)
    await asyncio.gather(*tasks)


async def test_until_counts_those_that_are_left() -> None:
    """The second sleeper comes in the same turn in which the first has gone."""
    clock = FakeClock()
    first = asyncio.create_task(clock.sleep(1))
    await clock.until(1)
    waiting = asyncio.create_task(clock.until(2, timeout=10))
    await turns(3)

    second = asyncio.create_task(clock.sleep(1))
    await turns(1)
    first.cancel()
    await turns(5)
    assert not waiting.done()

    third = asyncio.create_task(clock.sleep(1))
    await waiting
    await clock.advance(1)
    await asyncio.gather(first, second, third, return_exceptions=True)


async def test_until_gives_up_in_real_time() -> None:
    clock = FakeClock()

    with pytest.raises(TimeoutError, match="1 sleepers; there are 0"):
        await clock.until(1, timeout=0.01)


async def test_wait_advance_waits_before_it_moves() -> None:
    clock = FakeClock()

    with pytest.raises(TimeoutError):
        await clock.wait_advance(1, waiters=2, timeout=0.01)
    assert clock.monotonic() == 0

    task = asyncio.create_task(clock.sleep(1))
    await clock.wait_advance(1)

    assert task.done()


async def test_stop_sleeps_on_it() -> None:
    clock = FakeClock()
    task = asyncio.create_task(Stop(clock).sleep(60))

    await clock.wait_advance(60)

    assert task.done()
    assert task.result() is False
