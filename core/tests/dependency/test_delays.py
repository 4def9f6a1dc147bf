"""How long the engine waits before the next attempt."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from undercroft import Context, Worker
from undercroft.dependency import Bounce, Engine, Missing

if TYPE_CHECKING:
    from core.tests.dependency.conftest import Bench, Part


def fail(_: Context) -> Worker:
    raise ValueError("no")


async def delays(bench: Bench, engine: Engine, part: Part, n: int) -> list[float]:
    """Let a part that always fails do so n times, and measure the delays between its attempts."""
    found: list[float] = []
    await bench.install(engine, part)
    for _ in range(n):
        starts, begun = part.starts, bench.clock.monotonic()
        while part.starts == starts:
            await bench.clock.advance(bench.entry(engine, part.name)["delay"])
        found.append(bench.clock.monotonic() - begun)
    return found


async def test_the_first_attempt_has_no_delay(bench: Bench, new_part: type[Part]) -> None:
    """Checklist 15."""
    a = new_part("a")

    await bench.install(bench.engine(error_delay=100, bounce_delay=100), a)

    assert a.starts == 1


async def test_delays_grow_up_to_the_limit(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestBackoffFactor."""
    engine = bench.engine(error_delay=1, backoff_factor=2, max_delay=3)

    found = await delays(bench, engine, new_part("a", start=fail), 4)

    assert found == pytest.approx([1, 2, 3, 3])


async def test_jitter_varies_delays_within_the_limit(bench: Bench, new_part: type[Part]) -> None:
    """Checklist 15: capped again after the jitter."""
    engine = bench.engine(error_delay=1, backoff_factor=2, max_delay=3, jitter=0.1, rng=random.Random(7))

    found = await delays(bench, engine, new_part("a", start=fail), 12)

    assert 0.9 <= found[0] <= 1.1
    assert 1.8 <= found[1] <= 2.2
    assert all(2.7 <= delay <= 3 + 1e-6 for delay in found[2:])
    assert len(set(found[2:])) > 3


async def test_an_attempt_never_comes_early(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(error_delay=1, jitter=0.1)
    a = new_part("a", start=fail)
    await bench.install(engine, a)

    await bench.clock.advance(0.89)
    assert a.starts == 1
    await bench.clock.advance(0.22)

    assert a.starts == 2


async def test_delays_count_from_the_death_and_a_long_life_starts_anew(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestBackoffFactorOnError. A start that succeeds resets nothing."""
    engine = bench.engine(error_delay=1, backoff_factor=2, max_delay=3, backoff_reset_time=60)
    a = new_part("a")
    await bench.install(engine, a)
    found: list[Any] = []  # Any: from the report.
    for life in (5, 5, 59, 60, 0):
        await bench.clock.advance(life)
        a.probe.end(ValueError("after a while"))
        await bench.settle()
        found.append(bench.entry(engine, "a")["delay"])
        await bench.clock.advance(found[-1])

    assert found == [1, 2, 3, 1, 2]


async def test_delays_never_overflow(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestBackoffFactorOverflow."""
    engine = bench.engine(error_delay=1, backoff_factor=100, max_delay=60)

    found = await delays(bench, engine, new_part("a", start=fail), 200)

    assert found[5:] == pytest.approx([60] * 195)


async def test_bounces_by_the_worker_back_off_from_the_bounce_delay(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(error_delay=100, bounce_delay=1, backoff_factor=2)

    def start(_: Context) -> Worker:
        raise Bounce

    assert await delays(bench, engine, new_part("a", start=start), 3) == pytest.approx([1, 2, 4])


async def test_bounces_by_the_engine_wait_the_plain_bounce_delay(bench: Bench, new_part: type[Part]) -> None:
    """Upstream scales them with the count of failures (DEFECT-14)."""
    engine = bench.engine(error_delay=100, bounce_delay=1, backoff_factor=2)
    a, b = new_part("a"), new_part("b", "a", stubborn=True)
    await bench.install(engine, a, b)
    await bench.clock.advance(10)

    for _ in range(3):
        a.probe.end(Bounce())
        await bench.settle()
        b.probe.end(ValueError("each time that it is bounced"))
        await bench.settle()
        assert bench.entry(engine, "b")["delay"] == 1
        await bench.clock.advance(30)


@pytest.mark.parametrize("error", [None, Missing()])
async def test_a_clean_end_and_missing_start_the_count_anew(
    bench: Bench, new_part: type[Part], error: Exception | None
) -> None:
    """Checklist 14."""
    engine = bench.engine(error_delay=1, backoff_factor=2)
    a, b = new_part("a"), new_part("b", "a")
    await bench.install(engine, a, b)
    for _ in range(3):
        b.probe.end(ValueError())
        await bench.settle()
        await bench.clock.advance(10)

    b.probe.end(error)
    await bench.settle()
    a.probe.end(Bounce())
    await bench.settle()
    await bench.clock.advance(10)
    b.probe.end(ValueError())
    await bench.settle()

    assert bench.entry(engine, "b")["delay"] == 1


async def test_an_input_that_comes_starts_the_count_anew(bench: Bench, new_part: type[Part]) -> None:
    """Checklist 13 and 14: an attempt that the engine ends in its delay is not a failure."""
    engine = bench.engine(error_delay=10, backoff_factor=2, bounce_delay=1)
    b = new_part("b", "a", start=fail)
    await bench.install(engine, b)
    await bench.clock.advance(30)
    assert bench.entry(engine, "b")["delay"] == 40

    await bench.install(engine, new_part("a"))
    assert bench.entry(engine, "b")["delay"] == 1
    await bench.clock.advance(1)

    assert bench.entry(engine, "b")["delay"] == 10


async def test_no_delay_at_all_still_lets_the_loop_turn(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    a = new_part("a", start=fail)

    await bench.install(engine, a)

    assert a.starts > 5
    assert bench.clock.pending == 0


async def test_a_restart_storm_grows_nothing(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(backoff_factor=1)
    a = new_part("a", start=fail)
    await bench.install(engine, a)

    await bench.until(lambda: a.starts > 500)

    assert len(engine.transitions()) == 100
