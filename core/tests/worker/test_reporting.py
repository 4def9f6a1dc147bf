"""What supervisors say of their workers."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest

from undercroft.worker.reporting import error_text, observe, report_of, time_text


class Describing:
    """Something with a report."""

    def __init__(self, answer: dict[str, object]) -> None:
        self._answer = answer

    def report(self) -> dict[str, object]:
        return self._answer


class Failing:
    """Something whose report raises."""

    def report(self) -> dict[str, object]:
        raise ValueError("no report today")


def test_an_error_is_its_text_or_the_name_of_its_type() -> None:
    assert error_text(ValueError("text")) == "text"
    assert error_text(ValueError()) == "ValueError"


def test_a_time_has_no_zone_and_no_fraction() -> None:
    assert time_text(datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)) == "2026-01-02 03:04:05"


def test_a_report_is_given_unless_it_is_empty_or_there_is_none() -> None:
    assert report_of(Describing({"a": 1})) == {"a": 1}
    assert report_of(Describing({})) is None
    assert report_of(object()) is None


def test_a_report_that_raises_is_logged_and_swallowed(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "undercroft"):
        assert report_of(Failing()) is None

    assert "no report today" in caplog.text


def test_an_observer_gets_its_arguments_and_never_disturbs() -> None:
    seen: list[object] = []

    observe(seen.append, 1)
    observe(Failing().report)

    assert seen == [1]
