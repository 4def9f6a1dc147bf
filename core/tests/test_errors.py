"""caused_by: the question asked of every error."""

from __future__ import annotations

import pickle
from itertools import pairwise

import pytest

from undercroft.errors import AbortedError, DeadError, Killed, caused_by
from undercroft_hookspecs import AlreadyExistsError, NotFoundError, NotValidError, TerminateAgent


def chained(*errors: BaseException) -> BaseException:
    for error, cause in pairwise(errors):
        error.__cause__ = cause
    return errors[0]


def test_nothing_is_caused_by_nothing() -> None:
    assert caused_by(None, ValueError) is None


def test_the_error_itself_comes_first() -> None:
    inner = ValueError("inner")
    error = chained(ValueError("outer"), inner)

    assert caused_by(error, ValueError) is error


def test_a_cause_is_found_at_any_depth() -> None:
    killed = Killed()

    assert caused_by(chained(OSError(), KeyError(), killed), Killed) is killed


def test_any_of_several_kinds_matches() -> None:
    dead = DeadError()

    assert caused_by(chained(OSError(), dead), (AbortedError, DeadError)) is dead


def test_the_context_is_not_a_cause() -> None:
    error = OSError()
    error.__context__ = Killed()

    assert caused_by(error, Killed) is None


def test_a_chain_that_loops_ends() -> None:
    first, second = OSError(), KeyError()
    first.__cause__, second.__cause__ = second, first

    assert caused_by(first, Killed) is None


def test_a_group_matches_by_its_first_leaf_when_every_leaf_does() -> None:
    first, second = Killed("first"), Killed("second")
    group = BaseExceptionGroup("all", [chained(OSError(), first), ExceptionGroup("inner", [second])])

    assert caused_by(chained(KeyError(), group), Killed) is first


def test_a_mixed_group_does_not_match() -> None:
    assert caused_by(ExceptionGroup("mixed", [Killed(), OSError()]), Killed) is None


def test_a_group_of_the_kind_itself_matches_whole() -> None:
    group = ExceptionGroup("mixed", [OSError(), KeyError()])

    assert caused_by(group, ExceptionGroup) is group


def test_a_mixed_group_leads_on_to_its_own_cause() -> None:
    killed = Killed()

    assert caused_by(chained(ExceptionGroup("mixed", [Killed(), OSError()]), killed), Killed) is killed


@pytest.mark.parametrize(
    ("error", "field"),
    [
        (NotValidError("size must be a number", field="size"), "field"),
        (NotFoundError("disk"), "name"),
        (AlreadyExistsError("disk"), "name"),
    ],
)
def test_errors_with_fields_survive_pickling(error: BaseException, field: str) -> None:
    copy = pickle.loads(pickle.dumps(error))

    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert getattr(copy, field) == getattr(error, field)


def test_errors_are_also_what_the_standard_library_calls_them() -> None:
    assert isinstance(NotValidError(field="x"), ValueError)
    assert isinstance(NotFoundError("x"), LookupError)
    assert not isinstance(TerminateAgent(), DeadError)
