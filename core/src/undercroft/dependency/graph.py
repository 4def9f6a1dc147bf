"""Who needs whom, by name, and never in a circle. Pure: no time, no workers, no I/O.

A name that is needed but not installed is a vertex without inputs; it stays for as long as somebody needs it. So a new
manifold under an old name finds its dependents.

The vertices stand in an order in which every input comes before what needs it. An edge that agrees with the order costs
nothing to check. One that does not may close a cycle: that is searched for from both its ends at once, an edge from one
and an edge from the other, among the vertices that the order has between them. As soon as one search has seen all there
is, what it has seen is moved past the other end (after Bender, Fineman, Gilbert and Tarjan, "A new approach to
incremental cycle detection"). So the cost is that of the smaller side of the affected region. New vertices go to an end
of the order where they disagree with nothing: manifolds installed inputs first, or inputs last, cause no search at all.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from undercroft.dependency.errors import CycleError
from undercroft.dependency.order import Order, Ranked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_rank = attrgetter("rank")


class Vertex(Ranked):
    """A name in the graph: its inputs, and those that have it among theirs.

    Both are dicts of names without values: ordered, without duplicates, and of no interest to the garbage collector,
    which would otherwise walk along every edge.
    """

    __slots__ = ("dependents", "inputs", "installed", "name")

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.installed = False
        self.inputs: dict[str, None] = {}
        self.dependents: dict[str, None] = {}


class Graph:
    """Names and their inputs, free of cycles."""

    __slots__ = ("_order", "_vertices")

    def __init__(self) -> None:
        self._vertices: dict[str, Vertex] = {}
        self._order = Order()

    def __contains__(self, name: str) -> bool:
        vertex = self._vertices.get(name)
        return vertex is not None and vertex.installed

    def __len__(self) -> int:
        """How many names it remembers, those that are needed and not installed included."""
        return len(self._vertices)

    def add(self, name: str, inputs: Iterable[str]) -> Mapping[str, None]:
        """Install a name that is not installed, and give its inputs, in order and each once.

        Raises:
            CycleError: nothing is recorded then.
        """
        vertex = self._vertices.get(name)
        if vertex is None:
            vertex = self._vertices[name] = Vertex(name)
            self._order.append(vertex)
        assert not vertex.installed
        vertex.installed = True
        try:
            for needed in inputs:
                if needed not in vertex.inputs:
                    self._link(vertex, needed)
        except CycleError:
            self.remove(name)
            raise
        return vertex.inputs

    def remove(self, name: str) -> None:
        """Uninstall a name. Who depends on it is remembered."""
        vertex = self._vertices[name]
        vertex.installed = False
        for needed in vertex.inputs:
            provider = self._vertices[needed]
            del provider.dependents[name]
            self._drop_if_unused(provider)
        vertex.inputs = {}
        self._drop_if_unused(vertex)

    def dependents(self, name: str) -> tuple[str, ...]:
        """The installed names that need this one, whether it is installed or not."""
        vertex = self._vertices.get(name)
        return () if vertex is None else tuple(vertex.dependents)

    def _link(self, vertex: Vertex, needed: str) -> None:
        if needed == vertex.name:
            raise CycleError([needed, needed])
        provider = self._vertices.get(needed)
        if provider is None:
            provider = self._vertices[needed] = Vertex(needed)
            self._order.prepend(provider)
        elif provider.rank > vertex.rank:
            self._mend(provider, vertex)
        vertex.inputs[needed] = None
        provider.dependents[vertex.name] = None

    def _drop_if_unused(self, vertex: Vertex) -> None:
        if not vertex.installed and not vertex.dependents:
            del self._vertices[vertex.name]
            self._order.remove(vertex)

    def _mend(self, provider: Vertex, dependent: Vertex) -> None:
        """Find a cycle, or the smaller side of what must be reordered for the provider to come first, and do that."""
        above: dict[Vertex, Vertex | None] = {dependent: None}
        below: dict[Vertex, Vertex | None] = {provider: None}
        upwards = self._walk(above, _dependents, provider, lambda vertex: vertex.rank < provider.rank)
        downwards = self._walk(below, _inputs, dependent, lambda vertex: vertex.rank > dependent.rank)
        smaller = above
        while next(upwards, False):
            if not next(downwards, False):
                smaller = below
                break
        if provider in above:
            raise CycleError([dependent.name, *_trace(provider, above)])
        if dependent in below:
            raise CycleError([dependent.name, *reversed(list(_trace(dependent, below)))])
        self._move(sorted(smaller, key=_rank), provider if smaller is above else dependent.before)

    def _walk(
        self,
        reached: dict[Vertex, Vertex | None],
        edges: Callable[[Vertex], Iterable[str]],
        goal: Vertex,
        is_between: Callable[[Vertex], bool],
    ) -> Iterator[bool]:
        """Go on from what is reached, an edge at a time, until the goal is or everything that lies between."""
        for vertex in (queue := list(reached)):
            for name in edges(vertex):
                yield True
                other = self._vertices[name]
                if other in reached or not (other is goal or is_between(other)):
                    continue
                reached[other] = vertex
                queue.append(other)
                if other is goal:
                    return

    def _move(self, vertices: list[Vertex], anchor: Ranked) -> None:
        for vertex in vertices:
            self._order.remove(vertex)
            self._order.insert(vertex, anchor)
            anchor = vertex


def _dependents(vertex: Vertex) -> Iterable[str]:
    return vertex.dependents


def _inputs(vertex: Vertex) -> Iterable[str]:
    return vertex.inputs


def _trace(vertex: Vertex | None, reached: dict[Vertex, Vertex | None]) -> Iterator[str]:
    while vertex is not None:
        yield vertex.name
        vertex = reached[vertex]
