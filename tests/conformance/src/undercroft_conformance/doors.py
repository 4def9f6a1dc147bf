"""What the pytest classes share: the loops, and how a verdict becomes pytest's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import pytest

from undercroft_conformance.drive import Bench, judge
from undercroft_conformance.stalls import loop_factories
from undercroft_conformance.verdict import Check, RuleBroken, Unjudged

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

S = TypeVar("S")

LOOPS = tuple(loop_factories())


def parameters(checks: Sequence[Check[S]]) -> list[ParameterSet]:
    """One parameter for each check, under its rule's id and with the kit's mark."""
    return [pytest.param(check, id=check.rule.id, marks=pytest.mark.conformance(check.rule.id)) for check in checks]


def judge_or_skip(check: Check[S], make: Callable[[Bench], S], *, loop: str) -> None:
    """Run a check; what could not be judged is skipped with its reason, what is broken fails with its rule."""
    __tracebackhide__ = True
    reason, broken = "", ""
    try:
        judge(check, make, loop=loop)
    except Unjudged as unjudged:
        reason = f"[{check.rule.id}] not judged: {unjudged}"
    except RuleBroken as error:
        broken = str(error)
    if broken:  # Out here, pytest shows this alone and not the exceptions that led to it.
        pytest.fail(broken, pytrace=False)
    if reason:
        pytest.skip(reason)
