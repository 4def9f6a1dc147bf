from __future__ import annotations

from datetime import UTC, datetime

import pytest

from undercroft import NoOpWorker, RestartLimitError, caused_by
from undercroft.agent.quarantine import Limit, Quarantine
from undercroft.dependency import Bounce, Missing, Uninstall
from undercroft_hookspecs import FilterFunc, Manifold, RestartAgent, StoreUnavailable


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, delay: float) -> None:
        raise NotImplementedError


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def quarantine(clock: Hand) -> Quarantine:
    return Quarantine(lambda: Limit(failures=2, seconds=60), clock)


def judge(quarantine: Quarantine, inner: FilterFunc | None = None) -> FilterFunc:
    guarded = quarantine.guard("acme", Manifold(start=lambda _: NoOpWorker(), filter=inner))
    assert guarded.filter is not None
    return guarded.filter


def test_the_failure_past_the_limit_is_kept_and_answered_with_uninstall(quarantine: Quarantine) -> None:
    filtered = judge(quarantine)
    errors = [ValueError(str(number)) for number in range(3)]

    answers = [filtered(error) for error in errors]

    assert answers[:2] == errors[:2]
    assert isinstance(answers[2], Uninstall)
    assert isinstance(quarantine.held["acme"], RestartLimitError)
    assert caused_by(answers[2], ValueError) is errors[2]
    assert "more than 2 times within 60 s" in str(quarantine.held["acme"])


def test_failures_outside_the_window_do_not_count(quarantine: Quarantine, clock: Hand) -> None:
    filtered = judge(quarantine)
    error = ValueError()

    for _ in range(10):
        assert filtered(error) is error
        clock.seconds += 31

    assert not quarantine.held


@pytest.mark.parametrize("error", [RestartAgent(), Missing("x", "stopped"), Bounce(), Uninstall()])
def test_what_steers_the_engine_or_the_agent_passes_untouched(quarantine: Quarantine, error: Exception) -> None:
    filtered = judge(quarantine)

    answers = [filtered(error) for _ in range(10)]

    assert answers == [error] * 10
    assert not quarantine.held


def test_an_outage_of_the_store_is_no_failure_of_who_dies_of_it(quarantine: Quarantine) -> None:
    filtered = judge(quarantine)
    late = OSError("no answer")
    late.__cause__ = StoreUnavailable()
    outages = [StoreUnavailable(), late, ExceptionGroup("both", [StoreUnavailable(), StoreUnavailable()])] * 5

    answers = [filtered(outage) for outage in outages]

    assert answers == outages
    assert not quarantine.held


def test_who_fails_for_another_reason_beside_an_outage_is_counted(quarantine: Quarantine) -> None:
    filtered = judge(quarantine)

    answers = [filtered(ExceptionGroup("both", [StoreUnavailable(), ValueError()])) for _ in range(3)]

    assert isinstance(answers[2], Uninstall)


def test_the_manifolds_own_filter_is_asked_first(quarantine: Quarantine) -> None:
    filtered = judge(quarantine, lambda error: None if isinstance(error, KeyError) else Bounce())

    assert filtered(KeyError()) is None
    assert [type(filtered(ValueError())) for _ in range(5)] == [Bounce] * 5


def test_a_released_name_starts_from_zero(quarantine: Quarantine) -> None:
    filtered = judge(quarantine)
    for _ in range(3):
        filtered(ValueError())

    was_held = quarantine.release("acme")
    error = ValueError()

    assert was_held
    assert not quarantine.held
    assert filtered(error) is error


def test_releasing_a_name_that_is_not_held_says_so(quarantine: Quarantine) -> None:
    assert not quarantine.release("acme")


def test_a_limit_that_is_raised_counts_at_once(clock: Hand) -> None:
    limits = [Limit(failures=1, seconds=60)]
    quarantine = Quarantine(lambda: limits[-1], clock)
    filtered = judge(quarantine)
    filtered(ValueError())
    limits.append(Limit(failures=5, seconds=60))

    answers = [filtered(ValueError()) for _ in range(4)]

    assert all(isinstance(answer, ValueError) for answer in answers)
