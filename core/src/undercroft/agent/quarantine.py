"""Quarantine: a manifold that keeps failing is taken out of the engine, and its name kept here until somebody acts.

Without it a worker that cannot work would be started for ever, and everything above it be bounced each time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from undercroft import RestartLimitError, caused_by
from undercroft.agent.plain import text
from undercroft.dependency import Bounce, Missing, Uninstall
from undercroft_hookspecs import AgentSignal, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from undercroft_hookspecs import Clock, Manifold

_STEERING = (AgentSignal, Missing, Bounce, Uninstall)


@dataclass(frozen=True, slots=True)
class Limit:
    """More than `failures` of one manifold within `seconds`, and it is quarantined."""

    failures: int = 10
    seconds: float = 600.0


class Quarantine:
    """The manifolds of one engine that have failed too often, each with the error that says so."""

    def __init__(self, limit: Callable[[], Limit], clock: Clock) -> None:
        self._limit, self._clock = limit, clock
        self._failed_at: dict[str, deque[float]] = {}
        self._held: dict[str, RestartLimitError] = {}

    @property
    def held(self) -> Mapping[str, RestartLimitError]:
        """The names in quarantine."""
        return self._held

    def guard(self, name: str, manifold: Manifold) -> Manifold:
        """The same manifold, its failures counted; the one too many is kept here and answered with `Uninstall`.

        Outcomes that steer the engine or the agent (AgentSignals, Missing, Bounce, Uninstall) pass untouched, and so
        does an outage of the store, however long: it is nobody's failure here, and ends without anybody acting here.
        """
        inner = manifold.filter

        def judge(error: Exception) -> Exception | None:
            judged = error if inner is None else inner(error)
            if (
                judged is None
                or caused_by(judged, (*_STEERING, StoreUnavailable)) is not None
                or not self._one_too_many(name)
            ):
                return judged
            self._held[name] = self._verdict(judged)
            removal = Uninstall(str(self._held[name]))
            removal.__cause__ = self._held[name]
            return removal

        return replace(manifold, filter=judge)

    def release(self, name: str) -> bool:
        """Forget a name's failures; says whether it was in quarantine."""
        self._failed_at.pop(name, None)
        return self._held.pop(name, None) is not None

    def _one_too_many(self, name: str) -> bool:
        limit, now = self._limit(), self._clock.monotonic()
        failed_at = self._failed_at.setdefault(name, deque())
        failed_at.append(now)
        while len(failed_at) > limit.failures + 1 or now - failed_at[0] > limit.seconds:
            failed_at.popleft()
        return len(failed_at) > limit.failures

    def _verdict(self, last: Exception) -> RestartLimitError:
        limit = self._limit()
        message = f"failed more than {limit.failures} times within {limit.seconds:g} s; the last error: {text(last)}"
        verdict = RestartLimitError(message)
        verdict.__cause__ = last
        return verdict
