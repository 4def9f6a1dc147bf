from __future__ import annotations

import asyncio
import gc
import sys
import time
from pathlib import Path

import pytest

from undercroft_conformance.stalls import LIMIT, Collections, StallMeter, limit, loop_factories, waiting_time, watching


def test_the_kernel_says_how_long_this_thread_has_waited() -> None:
    if not Path("/proc/thread-self/schedstat").exists():
        pytest.skip("this kernel keeps no scheduling statistics")
    first = waiting_time()
    second = waiting_time()

    assert first is not None
    assert second is not None
    assert 0 <= first <= second


def test_a_kernel_that_does_not_say_is_none(tmp_path: Path) -> None:
    (tmp_path / "odd").write_text("1 2")

    assert waiting_time(tmp_path / "missing") is None
    assert waiting_time(tmp_path / "odd") == pytest.approx(2e-9)
    (tmp_path / "odd").write_text("")
    assert waiting_time(tmp_path / "odd") is None


def test_time_spent_waiting_for_a_processor_is_taken_off() -> None:
    waited = iter([1.0, 1.4])
    meter = StallMeter(waiting=lambda: next(waited))

    assert meter.stall(0.5) == pytest.approx(0.1)


def test_time_spent_in_the_collector_is_taken_off() -> None:
    meter = StallMeter(waiting=lambda: 0.0)
    meter.collections.seconds = 0.3

    assert meter.stall(0.5) == pytest.approx(0.2)


def test_without_the_kernels_word_only_processor_time_counts() -> None:
    meter = StallMeter(waiting=lambda: None)

    assert meter.stall(10.0) < 5.0


def test_a_mark_is_made_again_only_after_a_while() -> None:
    reads = iter(range(1_000_000))
    meter = StallMeter(waiting=lambda: float(next(reads)))

    for _ in range(1000):
        meter.mark()

    assert next(reads) < 100


def test_collections_are_timed() -> None:
    collections = Collections()
    gc.callbacks.append(collections)
    gc.collect()
    gc.callbacks.remove(collections)

    assert collections.seconds > 0


def test_a_tracer_makes_the_limit_longer() -> None:
    tracer = sys.gettrace()
    try:
        sys.settrace(None)
        without = limit()
        sys.settrace(lambda *_: None)
        with_tracer = limit()
    finally:
        sys.settrace(tracer)

    assert with_tracer == pytest.approx(3 * LIMIT)
    assert without in {LIMIT, 3 * LIMIT}


@pytest.mark.slow_callbacks
@pytest.mark.parametrize("name", loop_factories())
def test_a_loop_tells_of_the_callback_that_held_it_up(name: str) -> None:
    with (
        asyncio.Runner(debug=True, loop_factory=loop_factories()[name]) as runner,
        watching(runner.get_loop()) as watch,
    ):
        runner.run(_block(0.4))

    assert len(watch.stalls) == 1
    assert "_block" in watch.stalls[0]


@pytest.mark.parametrize("name", loop_factories())
def test_a_loop_that_only_waits_has_nothing_to_tell(name: str) -> None:
    with (
        asyncio.Runner(debug=True, loop_factory=loop_factories()[name]) as runner,
        watching(runner.get_loop()) as watch,
    ):
        runner.run(asyncio.sleep(0.2))

    assert watch.stalls == []
    assert watch.errors == []


async def _block(seconds: float) -> None:
    await asyncio.sleep(0)
    time.sleep(seconds)
    await asyncio.sleep(0)
