"""How a check says what it found."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from undercroft_conformance.rules.rule import Rule

S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class Broken(Exception):
    """Raised by a check: the rule is broken, and how."""


class Unjudged(Exception):
    """Raised by a check: it could not judge, or not everything, and why. That is never a pass."""


class NotApplicable(Unjudged):
    """Raised by a check: the rule is about something that the subject does not have."""


class RuleBroken(AssertionError):
    """What people see of a broken rule: its id, what was found, and the sentence of the contract."""

    def __init__(self, rule: Rule, found: str) -> None:
        super().__init__(f"[{rule.id}] {found}\n  the contract ({rule.source}) says: {rule.sentence}")
        self.rule = rule
        self.found = found


@dataclass(frozen=True, slots=True)
class Check(Generic[S_contra]):
    """A rule, and the function that raises Broken or Unjudged about a subject."""

    rule: Rule
    run: Callable[[S_contra], Awaitable[None]]


def expect(holds: object, found: str) -> None:
    """Say that the rule is broken, and how, unless something holds."""
    if not holds:
        raise Broken(found)


def describe(error: BaseException | None) -> str:
    """An error in a few words."""
    if error is None:
        return "no error"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
