from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft_hookspecs import SenderHealth
from undercroft_hookspecs.state import MeterStatus
from undercroft_meterstatus.grading import (
    ISOLATED,
    SEVERITY,
    of_isolation,
    of_senders,
    severity,
    shown,
    until_worse,
    worst,
)

NOW = datetime(2026, 1, 8, tzinfo=UTC)
STATUSES = st.builds(
    MeterStatus, code=st.sampled_from(["NOT AVAILABLE", "NOT SET", *SEVERITY]), info=st.sampled_from(["", "a", "b"])
)


def failing(failures: int, **more: datetime | float) -> SenderHealth:
    return SenderHealth(sender="http", failures=failures, error="refused", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (MeterStatus(), MeterStatus(code="AMBER", info="not set")),
        (MeterStatus(code="NOT AVAILABLE"), MeterStatus(code="RED", info="not available")),
        (MeterStatus(code="NOT AVAILABLE", info="why"), MeterStatus(code="RED", info="why")),
        (MeterStatus(code="GREEN", info="fine"), MeterStatus(code="GREEN", info="fine")),
    ],
)
def test_charms_are_told_green_amber_or_red(status: MeterStatus, expected: MeterStatus) -> None:
    assert shown(status) == expected


@given(st.lists(st.none() | STATUSES))
def test_the_worst_is_the_first_of_the_most_severe(statuses: list[MeterStatus | None]) -> None:
    said = [status for status in statuses if status is not None]

    found = worst(statuses)

    assert (found is None) == (not said)
    assert found is None or found == next(each for each in said if severity(each) == max(map(severity, said)))


@given(st.floats(0, 2000))
def test_isolation_is_worse_when_it_was_said_that_it_will_be(elapsed: float) -> None:
    limits = {"amber": 300.0, "red": 900.0}
    due = until_worse(elapsed, **limits)

    if due is None:
        assert of_isolation(elapsed, **limits) == MeterStatus(code="RED", info=ISOLATED)
    else:
        assert of_isolation(elapsed, **limits) != of_isolation(max(elapsed + due, 300.0), **limits)


@pytest.mark.parametrize(("elapsed", "code"), [(0, None), (299.9, None), (300, "AMBER"), (899, "AMBER"), (900, "RED")])
def test_isolation_by_its_length(elapsed: float, code: str | None) -> None:
    found = of_isolation(elapsed, amber=300, red=900)

    assert (found.code if found else None) == code


def test_a_sender_that_failed_twice_is_not_failing() -> None:
    assert of_senders([failing(2, last_success=NOW - timedelta(days=30))], NOW) is None


def test_a_sender_that_failed_three_times_is_amber() -> None:
    found = of_senders([failing(3, last_success=NOW - timedelta(days=6)), SenderHealth(sender="store")], NOW)

    assert found == MeterStatus(code="AMBER", info="failed to send metrics (http)")


def test_a_sender_whose_grace_is_over_is_red() -> None:
    found = of_senders([failing(3, last_success=NOW - timedelta(days=7))], NOW)

    assert found == MeterStatus(code="RED", info="failed to send metrics, exceeded grace period (http)")


def test_grace_is_what_the_receiver_said() -> None:
    found = of_senders([failing(3, last_success=NOW - timedelta(hours=1), grace=3600.0)], NOW)

    assert found is not None
    assert found.code == "RED"


def test_a_sender_that_never_succeeded_is_counted_from_its_first_try() -> None:
    young = of_senders([failing(9, trying_since=NOW - timedelta(days=1))], NOW)
    old = of_senders([failing(9, trying_since=NOW - timedelta(days=8))], NOW)

    assert (young and young.code, old and old.code) == ("AMBER", "RED")
