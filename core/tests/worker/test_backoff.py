"""Backoff: the delay grows, is jittered, and stays within its limit, whatever the numbers."""

from __future__ import annotations

import math
import random
import sys
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft.worker.backoff import RESTART_DELAY, Backoff
from undercroft_hookspecs.errors import NotValidError

LARGEST = sys.float_info.max


def rng() -> random.Random:
    return random.Random(7)


class Draws(random.Random):
    """Randomness that always draws the same number."""

    def __init__(self, draw: float) -> None:
        super().__init__()
        self._draw = draw

    def random(self) -> float:
        return self._draw


def test_default_is_a_constant_three_seconds() -> None:
    backoff = Backoff()

    assert RESTART_DELAY == 3.0
    assert [backoff.next(n, rng()) for n in (0, 1, 2, 1000)] == [3.0] * 4
    assert backoff == Backoff(delay=3.0, factor=1.0, max_delay=None, jitter=0.0, reset_after=60.0)


def test_each_failure_multiplies_the_delay() -> None:
    backoff = Backoff(delay=1, factor=2)

    assert [backoff.next(n, rng()) for n in (1, 2, 3, 4)] == [1.0, 2.0, 4.0, 8.0]


def test_no_failure_is_taken_as_the_first() -> None:
    backoff = Backoff(delay=1.5, factor=2.0)

    assert backoff.next(0, rng()) == backoff.next(1, rng()) == 1.5


def test_limit_holds() -> None:
    """TestBackoffFactor: 1 s, 2 s, then 3 s for ever."""
    backoff = Backoff(delay=1.0, factor=2.0, max_delay=3.0)

    assert [backoff.next(n, rng()) for n in (1, 2, 3, 4, 200)] == [1.0, 2.0, 3.0, 3.0, 3.0]


def test_limit_holds_after_the_jitter_too() -> None:
    backoff = Backoff(delay=10.0, max_delay=10.0, jitter=0.5)

    assert backoff.next(1, Draws(0.999)) == 10.0
    assert backoff.next(1, Draws(0.0)) == 5.0


def test_jitter_comes_after_the_limit() -> None:
    backoff = Backoff(delay=1000.0, max_delay=10.0, jitter=0.5)

    assert backoff.next(1, Draws(0.0)) == 5.0


def test_jitter_draws_around_the_delay() -> None:
    backoff = Backoff(delay=10.0, jitter=0.1)

    assert backoff.next(1, Draws(0.0)) == pytest.approx(9.0)
    assert backoff.next(1, Draws(0.5)) == pytest.approx(10.0)
    assert backoff.next(1, Draws(0.9999999)) == pytest.approx(11.0)


def test_each_jitter_is_a_new_draw() -> None:
    backoff, source = Backoff(delay=10.0, jitter=0.5), rng()

    drawn = [backoff.next(1, source) for _ in range(100)]

    assert len(set(drawn)) == 100
    assert all(5.0 <= delay < 15.0 for delay in drawn)


def test_no_jitter_draws_nothing() -> None:
    source = rng()
    before = source.getstate()

    Backoff(delay=10.0).next(3, source)

    assert source.getstate() == before


def test_zero_stays_zero() -> None:
    backoff = Backoff(delay=0, factor=1e300, jitter=0.9)

    assert [backoff.next(n, rng()) for n in (1, 2, 10**6)] == [0.0] * 3


def test_zero_limit_means_no_delay() -> None:
    assert Backoff(delay=5.0, factor=2.0, max_delay=0, jitter=0.1).next(9, rng()) == 0.0


def test_overflow_is_the_limit() -> None:
    """TestBackoffFactorOverflow: no overflow, no hot loop."""
    backoff = Backoff(delay=1.0, factor=100.0, max_delay=60.0)

    assert [backoff.next(n, rng()) for n in (200, 10**6, 10**400)] == [60.0] * 3


def test_overflow_without_a_limit_is_the_largest_float() -> None:
    backoff = Backoff(delay=1.0, factor=100.0, jitter=0.9)

    assert backoff.next(10**6, Draws(0.5)) == LARGEST
    assert backoff.next(10**6, Draws(0.99)) == LARGEST
    assert Backoff(delay=LARGEST, factor=2.0).next(2, rng()) == LARGEST


def test_constant_delay_survives_any_count() -> None:
    assert Backoff(delay=2.0).next(10**400, rng()) == 2.0


def test_infinite_numbers_give_finite_delays() -> None:
    assert Backoff(delay=math.inf).next(1, rng()) == LARGEST
    assert Backoff(delay=math.inf, max_delay=5.0).next(1, rng()) == 5.0
    assert Backoff(delay=0.0, factor=math.inf).next(5, rng()) == 0.0
    assert Backoff(delay=1.0, max_delay=math.inf).next(5, rng()) == 1.0


def test_integers_give_floats() -> None:
    for backoff in (Backoff(delay=2), Backoff(delay=9, max_delay=2), Backoff(delay=10**400), Backoff(delay=0)):
        assert type(backoff.next(1, rng())) is float


@given(
    delay=st.floats(min_value=0.0),
    factor=st.floats(min_value=1.0),
    max_delay=st.none() | st.floats(min_value=0.0),
    jitter=st.floats(min_value=0.0, max_value=1.0, exclude_max=True),
    failures=st.integers(min_value=0),
    seed=st.integers(),
)
def test_answer_is_always_a_usable_delay(
    delay: float, factor: float, max_delay: float | None, jitter: float, failures: int, seed: int
) -> None:
    backoff = Backoff(delay=delay, factor=factor, max_delay=max_delay, jitter=jitter)

    answer = backoff.next(failures, random.Random(seed))

    assert math.isfinite(answer)
    assert answer >= 0.0
    assert max_delay is None or answer <= max_delay


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"delay": -0.1}, "delay"),
        ({"delay": math.nan}, "delay"),
        ({"delay": "3"}, "delay"),
        ({"delay": None}, "delay"),
        ({"delay": True}, "delay"),
        ({"factor": 0.99}, "factor"),
        ({"factor": math.nan}, "factor"),
        ({"max_delay": -1}, "max_delay"),
        ({"max_delay": math.nan}, "max_delay"),
        ({"jitter": -0.1}, "jitter"),
        ({"jitter": 1.0}, "jitter"),
        ({"jitter": math.nan}, "jitter"),
        ({"reset_after": -1}, "reset_after"),
        ({"reset_after": math.nan}, "reset_after"),
    ],
)
def test_numbers_out_of_range_are_refused_by_name(arguments: dict[str, float], field: str) -> None:
    with pytest.raises(NotValidError) as caught:
        Backoff(**arguments)

    assert caught.value.field == field
    assert field in str(caught.value)


def test_backoff_is_a_frozen_value() -> None:
    backoff = Backoff()

    with pytest.raises(FrozenInstanceError):
        backoff.delay = 1.0  # type: ignore[misc]

    assert hash(backoff) == hash(Backoff())
