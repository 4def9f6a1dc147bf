"""When what has failed is tried again, on a clock of the test's own."""

from __future__ import annotations

import random

import pytest

from undercroft.testing import FakeClock
from undercroft_storageprovisioner.plan import Deed, Kind, Step
from undercroft_storageprovisioner.retries import JITTER, Retries

STEP = Step(Kind.VOLUME, "0/0", Deed.CREATE)
OTHER = Step(Kind.FILESYSTEM, "0/0", Deed.ATTACH)


@pytest.fixture
def clock() -> FakeClock:
    """Its time passes when the test says so."""
    return FakeClock()


@pytest.fixture
def retries(clock: FakeClock) -> Retries:
    """Nothing has failed yet."""
    return Retries(clock, random.Random(1))


async def test_nothing_is_due_where_nothing_failed(retries: Retries) -> None:
    assert retries.next_seconds() is None
    assert retries.report() == {}
    assert retries.is_due(STEP, "wanted")


async def test_each_failure_waits_twice_as_long_up_to_half_an_hour(retries: Retries, clock: FakeClock) -> None:
    for pause in (30, 60, 120, 240, 480, 960, 1800, 1800, 1800):
        retries.failed(STEP, "wanted", "badness", final=False)
        due = retries.next_seconds()
        assert due is not None
        assert pause * (1 - JITTER) <= due <= pause * (1 + JITTER)
        assert not retries.is_due(STEP, "wanted")
        await clock.advance(due)
        assert retries.is_due(STEP, "wanted")


async def test_the_earliest_is_waited_for_and_each_is_due_in_its_time(retries: Retries, clock: FakeClock) -> None:
    retries.failed(STEP, "wanted", "badness", final=False)
    await clock.advance(20)
    retries.failed(OTHER, "wanted", "badness", final=False)

    assert (retries.next_seconds() or 0) <= 13
    await clock.advance(14)
    assert retries.is_due(STEP, "wanted")
    assert not retries.is_due(OTHER, "wanted")


async def test_what_succeeded_or_is_not_planned_any_more_is_forgotten(retries: Retries) -> None:
    retries.failed(STEP, "wanted", "badness", final=False)
    retries.failed(OTHER, "wanted", "badness", final=False)
    retries.succeeded(STEP)
    retries.succeeded(STEP)
    retries.keep(frozenset())

    assert retries.next_seconds() is None


async def test_what_is_refused_for_good_waits_until_something_else_is_wanted(
    retries: Retries, clock: FakeClock
) -> None:
    retries.failed(STEP, "wanted", "never", final=True)
    await clock.advance(100_000)

    assert not retries.is_due(STEP, "wanted")
    assert retries.next_seconds() is None
    assert retries.is_due(STEP, "something else")


async def test_something_else_begins_anew(retries: Retries) -> None:
    for _ in range(5):
        retries.failed(STEP, "wanted", "badness", final=False)
    retries.failed(STEP, "something else", "badness", final=False)

    assert (retries.next_seconds() or 0) <= 30 * (1 + JITTER)


async def test_what_is_being_tried_again_is_not_waited_for(retries: Retries, clock: FakeClock) -> None:
    """It was: the worker then looked at everything over and over for as long as the second try took."""
    retries.failed(STEP, "wanted", "badness", final=False)
    await clock.advance(40)

    assert retries.next_seconds() == 0
    assert retries.next_seconds(besides={(STEP.kind, STEP.entity)}) is None
