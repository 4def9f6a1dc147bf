"""Manifolds by the handful, and two that need no worker of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from undercroft.dependency.engine import Engine
from undercroft.dependency.errors import OutputError
from undercroft.dependency.graph import Graph
from undercroft.worker.lifecycle import TombWorker
from undercroft.worker.tomb import Tomb
from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.manifold import Manifold
from undercroft_hookspecs.worker import Reporter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.worker import Worker


@runtime_checkable
class Installer(Protocol):
    """Something that manifolds can be installed into."""

    async def install(self, name: str, manifold: Manifold) -> None:
        """Install a manifold under a name that is free."""


async def install(installer: Installer, manifolds: Mapping[str, Manifold]) -> None:
    """Install manifolds in order. Stops at the first error and undoes nothing; `Engine.install_all` is all or none."""
    for name, manifold in manifolds.items():
        await installer.install(name, manifold)


def validate(manifolds: Mapping[str, Manifold]) -> None:
    """Refuse manifolds that need one another in a circle; inputs that are not among them are fine.

    Raises:
        CycleError: `cycle` has the names.
    """
    graph = Graph()
    for name, manifold in manifolds.items():
        graph.add(name, manifold.inputs)


def self_manifold(engine: Engine) -> Manifold:
    """Make an engine available inside itself, as Installer, Reporter or Engine."""

    def start(_: object) -> Engine:
        return engine

    def output(worker: Worker, kind: type) -> object:
        if worker is not engine:
            raise OutputError(f"this manifold exposes its own engine, not {worker!r}")
        if kind not in {Installer, Reporter, Engine}:
            raise OutputError(f"an engine is exposed as Installer, Reporter or Engine, not as {kind!r}")
        return engine

    return Manifold(start=start, output=output)


class ValueWorker(TombWorker):
    """A worker that holds a value for others until it is killed; expose it with `value_output`.

    Raises:
        NotValidError: the value is None.
    """

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        if value is None:
            raise NotValidError("a ValueWorker needs a value that is not None", field="value")
        self.value = value
        self._tomb = Tomb("value")
        self._tomb.hold()
        self._tomb.stop.subscribe(self._tomb.release)


def value_output(worker: Worker, kind: type) -> object:
    """Give the value of a ValueWorker, if it is an instance of `kind`.

    Raises:
        OutputError: it is not, or the worker is no ValueWorker.
    """
    if not isinstance(worker, ValueWorker):
        raise OutputError(f"value_output needs a ValueWorker, not {worker!r}")
    try:
        fits = isinstance(worker.value, kind)
    except TypeError as error:  # A protocol that cannot be checked at run time.
        raise OutputError(f"no value can be checked against {kind!r}") from error
    if not fits:
        raise OutputError(f"the value is {worker.value!r}, which is no {kind!r}")
    return worker.value
