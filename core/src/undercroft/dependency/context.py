"""What a start function is given: its inputs, as they were when the attempt was asked for.

No copy of them is made. Whenever an input comes up or goes down, the engine visits everything that depends on it anyway
and ends their attempts; one whose start function is running has noted then what was there before, and goes on seeing
that. So an attempt costs the same whether a manifold has two inputs or ten thousand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, overload

from undercroft.dependency.errors import ExpiredError, Missing
from undercroft.worker.tomb import Stop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft.dependency.node import Node
    from undercroft.worker.start import Start
    from undercroft_hookspecs.manifold import OutputFunc
    from undercroft_hookspecs.worker import Clock, Worker

    Provider = tuple[Worker, OutputFunc | None]

T = TypeVar("T")


class StartContext:
    """One attempt's view of the manifold's inputs."""

    __slots__ = ("_aborted", "_before", "_clock", "_node", "_nodes", "_stop", "start")

    def __init__(self, node: Node, nodes: Mapping[str, Node], clock: Clock) -> None:
        self._node = node
        self._nodes = nodes
        self._clock = clock
        self._stop: Stop | None = None
        self._aborted = False
        self._before: dict[str, Provider | None] | None = None
        self.start: Start

    @property
    def name(self) -> str:
        """The manifold's name."""
        return self._node.name

    @property
    def abort(self) -> Stop:
        """Fires when this attempt is no longer wanted."""
        if self._stop is None:
            self._stop = Stop(self._clock)
            if self._aborted:
                self._stop.fire()
        return self._stop

    @overload
    def get(self, name: str) -> None: ...
    @overload
    def get(self, name: str, kind: type[T]) -> T: ...
    def get(self, name: str, kind: type[T] | None = None) -> T | None:
        """Give what an input exposes as `kind`, or without one see that it is there.

        Raises:
            Missing: it is not among the inputs, not running, or exposes nothing.
            ExpiredError: the start has ended.
        """
        if self.start.ended:
            raise ExpiredError(f"the start of {self._node.path} has ended, and its context with it")
        if name not in self._node.inputs:
            raise Missing(name, "undeclared")
        provider = self._provider(name)
        if provider is None:
            raise Missing(name, "stopped")
        if kind is None:
            return None
        worker, output = provider
        if output is None:
            raise Missing(name, "unexposed")
        given: T = output(worker, kind)  # type: ignore[assignment]  # That it is one is the output function's promise.
        return given

    def note(self, name: str, before: Provider | None) -> None:
        """Go on seeing what was there `before`, now that this input has come or gone."""
        if self._before is None:
            self._before = {}
        self._before.setdefault(name, before)

    def fire_abort(self) -> None:
        """Tell the start function that the attempt is no longer wanted."""
        self._aborted = True
        if self._stop is not None:
            self._stop.fire()

    def _provider(self, name: str) -> Provider | None:
        if self._before is not None and name in self._before:
            return self._before[name]
        node = self._nodes.get(name)
        if node is None or node.worker is None:
            return None
        return node.worker, node.manifold.output
