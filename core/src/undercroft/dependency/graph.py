"""Who needs whom, by name, and never in a circle. Pure: no time, no workers, no I/O.

A name that is needed but not installed is a vertex without inputs; it stays for as long as somebody needs it. So a new
manifold under an old name finds its dependents.

The vertices carry an order in which every input comes before what needs it. An edge that agrees with the order costs
nothing to check; one that does not is searched for a cycle, and the order mended, among the vertices that lie between
its ends alone (after Pearce and Kelly, "A dynamic topological sort algorithm for directed acyclic graphs"). New
vertices go to an end of the order where they disagree with nothing, so manifolds that are installed inputs first, or
inputs last, never cause a search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft.dependency.errors import CycleError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Vertex:
    """A name in the graph: its inputs, and those that have it among theirs.

    Both are dicts of names without values: ordered, without duplicates, and of no interest to the garbage collector,
    which would otherwise walk along every edge.
    """

    __slots__ = ("dependents", "inputs", "installed", "name", "order")

    def __init__(self, name: str, order: int) -> None:
        self.name = name
        self.order = order
        self.installed = False
        self.inputs: dict[str, None] = {}
        self.dependents: dict[str, None] = {}


class Graph:
    """Names and their inputs, free of cycles."""

    __slots__ = ("_first", "_last", "_vertices")

    def __init__(self) -> None:
        self._vertices: dict[str, Vertex] = {}
        self._first = 0
        self._last = 0

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
            self._last += 1
            vertex = self._vertices[name] = Vertex(name, self._last)
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
            self._first -= 1
            provider = self._vertices[needed] = Vertex(needed, self._first)
        elif provider.order > vertex.order:
            self._mend(provider, vertex)
        vertex.inputs[needed] = None
        provider.dependents[vertex.name] = None

    def _drop_if_unused(self, vertex: Vertex) -> None:
        if not vertex.installed and not vertex.dependents:
            del self._vertices[vertex.name]

    def _mend(self, provider: Vertex, dependent: Vertex) -> None:
        """Reorder what lies between the two, so that the provider, and what it needs, comes first."""
        above = self._above(dependent, provider)
        below = self._below(provider, dependent)
        moved = sorted(below, key=_order) + sorted(above, key=_order)
        for vertex, order in zip(moved, sorted(map(_order, moved)), strict=True):
            vertex.order = order

    def _above(self, dependent: Vertex, provider: Vertex) -> list[Vertex]:
        """Everything that needs `dependent`, itself included, up to the provider's place in the order."""
        needs: dict[Vertex, Vertex | None] = {dependent: None}
        stack = [dependent]
        while stack:
            vertex = stack.pop()
            for higher in map(self._vertices.__getitem__, vertex.dependents):
                if higher is provider:
                    raise CycleError([dependent.name, provider.name, *_path(vertex, needs)])
                if higher.order < provider.order and higher not in needs:
                    needs[higher] = vertex
                    stack.append(higher)
        return list(needs)

    def _below(self, provider: Vertex, dependent: Vertex) -> list[Vertex]:
        """Everything that `provider` needs, itself included, down to the dependent's place in the order."""
        seen = {provider}
        stack = [provider]
        while stack:
            for lower in map(self._vertices.__getitem__, stack.pop().inputs):
                if lower.order > dependent.order and lower not in seen:
                    seen.add(lower)
                    stack.append(lower)
        return list(seen)


def _order(vertex: Vertex) -> int:
    return vertex.order


def _path(vertex: Vertex | None, needs: dict[Vertex, Vertex | None]) -> Iterator[str]:
    while vertex is not None:
        yield vertex.name
        vertex = needs[vertex]
