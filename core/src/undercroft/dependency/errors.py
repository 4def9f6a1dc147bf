"""What steers the engine, and what goes wrong around it.

UndercroftError            (undercroft_hookspecs.errors)
├── EngineSignal           what a start or a worker says to its engine; no failure in itself
│   ├── Missing            "I cannot run without this": wait until an input changes
│   ├── Bounce             "start me again"
│   └── Uninstall          "I am not needed any more": the manifold is forgotten
├── ExpiredError           a context was used after its start had ended
├── CycleError             manifolds that need one another in a circle
└── OutputError            an output function cannot give that kind (also a TypeError)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from undercroft_hookspecs.errors import UndercroftError

if TYPE_CHECKING:
    from collections.abc import Sequence

_TEXTS = {
    "undeclared": "{} is not declared among the inputs",
    "stopped": "{} is not running",
    "unexposed": "{} exposes nothing",
}


class EngineSignal(UndercroftError):
    """What a start function or a worker tells its engine by raising it."""


class Missing(EngineSignal):
    """A start needs something that is not there; it is tried again when an input changes, and not before."""

    def __init__(
        self, resource: str | None = None, reason: Literal["undeclared", "stopped", "unexposed"] | None = None
    ) -> None:
        what = "a dependency" if resource is None else repr(resource)
        super().__init__(_TEXTS[reason].format(what) if reason is not None else f"{what} is missing")
        self.resource = resource
        self.reason: Literal["undeclared", "stopped", "unexposed"] | None = reason

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.resource, self.reason))


class Bounce(EngineSignal):
    """A worker asks to be started again, after the bounce delay."""


class Uninstall(EngineSignal):
    """A worker asks for its manifold to be forgotten."""


class ExpiredError(UndercroftError):
    """A context was asked for something after its start had ended."""


class CycleError(UndercroftError):
    """Manifolds need one another in a circle.

    `cycle` has their names, each followed by one of its inputs; the last is the first again.
    """

    def __init__(self, cycle: Sequence[str]) -> None:
        super().__init__(f"these manifolds need one another in a cycle: {' -> '.join(map(repr, cycle))}")
        self.cycle = list(cycle)

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.cycle,))


class OutputError(UndercroftError, TypeError):
    """An output function was asked for a kind, or handed a worker, that it cannot serve."""
