"""When what has failed is tried again: after 30 s, then twice as long each time, up to 30 min, each within a tenth.

What was refused for good is not tried again before something else is wanted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Collection

    from undercroft_hookspecs import Clock
    from undercroft_storageprovisioner.plan import Kind, Step

FIRST_SECONDS = 30.0
LONGEST_SECONDS = 1800.0
JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Failure:
    """A step that has failed: how often, when it is due again, what it was about, and why it failed last."""

    attempts: int
    due: float
    about: object
    reason: str

    @property
    def is_final(self) -> bool:
        """It is not tried again for what is wanted now."""
        return math.isinf(self.due)


class Retries:
    """The steps that have failed. What a step is about (its wanted records) is compared: another one is a new step."""

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock, self._rng = clock, rng
        self._failures: dict[Step, Failure] = {}

    def failed(self, step: Step, about: object, reason: str, *, final: bool) -> None:
        """Note a failure; a `final` one is not tried again."""
        known = self._failures.get(step)
        attempts = known.attempts + 1 if known is not None and known.about == about else 1
        pause = min(FIRST_SECONDS * 2.0 ** (attempts - 1), LONGEST_SECONDS)
        due = math.inf if final else self._clock.monotonic() + pause * self._rng.uniform(1 - JITTER, 1 + JITTER)
        self._failures[step] = Failure(attempts, due, about, reason)

    def succeeded(self, step: Step) -> None:
        """It has been done."""
        self._failures.pop(step, None)

    def is_due(self, step: Step, about: object) -> bool:
        """Whether a step may be taken now."""
        known = self._failures.get(step)
        if known is None or known.about != about:
            return True
        return known.due <= self._clock.monotonic()

    def next_seconds(self, *, besides: Collection[tuple[Kind, str]] = ()) -> float | None:
        """In how many seconds the next one is due, besides those of what is busy; None if none is."""
        idle = (failure for step, failure in self._failures.items() if (step.kind, step.entity) not in besides)
        due = min((failure.due for failure in idle), default=math.inf)
        return None if math.isinf(due) else max(0.0, due - self._clock.monotonic())

    def keep(self, steps: frozenset[Step]) -> None:
        """Forget those that are in no plan any more."""
        for step in self._failures.keys() - steps:
            del self._failures[step]

    def report(self) -> dict[str, object]:
        """What has failed, and when it is tried again."""
        now = self._clock.monotonic()
        return {
            str(step): {
                "attempts": failure.attempts,
                "reason": failure.reason,
                "next": "when something else is wanted" if failure.is_final else _in(failure.due - now),
            }
            for step, failure in sorted(self._failures.items())
        }


def _in(seconds: float) -> str:
    return f"in {max(0.0, seconds):.0f} s"
