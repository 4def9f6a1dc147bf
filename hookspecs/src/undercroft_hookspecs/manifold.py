"""How a worker is declared to the dependency engine: what it needs, how it is started, what it exposes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, TypeVar, overload, runtime_checkable

if TYPE_CHECKING:
    from undercroft_hookspecs.worker import Worker

T = TypeVar("T")


@runtime_checkable
class Abort(Protocol):
    """Something that may fire once: an `asyncio.Event`, or a worker's `Stop`."""

    def is_set(self) -> bool:
        """Whether it has fired."""
        ...

    async def wait(self) -> object:
        """Return when it has fired."""


class Context(Protocol):
    """What a start function is given: the other workers, as they were when this attempt was asked for."""

    @property
    def name(self) -> str:
        """The manifold's name."""
        ...

    @property
    def abort(self) -> Abort:
        """Fires when this attempt is no longer wanted."""
        ...

    @overload
    def get(self, name: str) -> None: ...
    @overload
    def get(self, name: str, kind: type[T]) -> T: ...


StartFunc: TypeAlias = Callable[[Context], "Worker | Awaitable[Worker]"]
OutputFunc: TypeAlias = Callable[["Worker", type], object]
FilterFunc: TypeAlias = Callable[[Exception], Exception | None]


@dataclass(frozen=True)
class Manifold:
    """One worker's declaration.

    `start` makes the worker and may be async; it is called whether or not the inputs are running, asks the context for
    what it needs, and lets the resulting `Missing` pass. `inputs` are the names that it may ask for. `output` exposes
    the worker to others as a kind. `filter` sees every error of the start or the worker: what it returns counts in its
    place, None as a clean end.
    """

    start: StartFunc
    inputs: Sequence[str] = ()
    output: OutputFunc | None = None
    filter: FilterFunc | None = None
