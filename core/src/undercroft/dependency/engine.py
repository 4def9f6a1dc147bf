"""The dependency engine: workers that need one another, started, stopped and started again in step.

A manifold declares a worker and its inputs. Each start is given the inputs as they are, says `Missing` if it cannot do
without one, and is tried again whenever an input comes or goes. So there is no start order to compute and none to get
wrong: what can run does, and what has lost an input is stopped, and started anew when it is back.

This module is what callers see; `machine.py` has the state machine, with its drawing, and docs/explanation/engine.md
the reasons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft.dependency.config import EngineConfig
from undercroft.dependency.machine import Machine
from undercroft.dependency.report import engine_report, explanation
from undercroft.errors import DeadError
from undercroft.worker.latch import Latch
from undercroft.worker.lifecycle import TombWorker
from undercroft.worker.tomb import Tomb
from undercroft.worker.validation import require_callable, require_name
from undercroft_hookspecs.errors import AlreadyExistsError, NotFoundError, NotValidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft.dependency.node import Node
    from undercroft.dependency.report import Explanation
    from undercroft_hookspecs.manifold import Manifold
    from undercroft_hookspecs.worker import Event


class Engine(TombWorker):
    """Runs manifolds. A Worker, which ends only when it is killed or an error is fatal, and a Reporter.

    `name` is the first part of the paths of its workers, in logs, events and `current_worker`.

    Raises:
        NotValidError: the config is out of its ranges, or the name empty.
        RuntimeError: no loop is running.
    """

    __slots__ = ("_machine", "_reporting")

    def __init__(self, config: EngineConfig | None = None, *, name: str = "engine") -> None:
        config = EngineConfig() if config is None else config
        config.validate()
        require_name("name", name)
        self._tomb = Tomb(name, clock=config.clock)
        self._machine = Machine(self, config, self._tomb)
        self._reporting = False

    async def install(self, name: str, manifold: Manifold) -> None:
        """Add a manifold, whose first attempt begins in the next turn of the loop. Does not suspend.

        Its inputs may name what is not installed yet. Its start runs in a copy of the present context, every time.

        Raises:
            DeadError: the engine is dying or dead.
            NotValidError: the name or a part of the manifold is not usable.
            AlreadyExistsError: the name is taken.
            CycleError: the manifold would need itself.
        """
        self._require_alive()
        self._start(self._add(name, manifold))

    async def install_all(self, manifolds: Mapping[str, Manifold]) -> None:
        """Add several manifolds, or none of them if one raises what `install` raises. Does not suspend."""
        self._require_alive()
        added: list[Node] = []
        try:
            for name, manifold in manifolds.items():
                added.append(self._add(name, manifold))
        except BaseException:
            for node in reversed(added):
                self._machine.drop(node.name)
            raise
        for node in added:
            self._start(node)

    async def uninstall(self, name: str) -> None:
        """Stop a manifold, wait for its end, and forget it; its dependents are bounced, and remembered.

        The error that it ends with is logged, and fatal if it is fatal. Once asked for, the removal completes, even if
        the caller is cancelled or the engine starts dying.

        Raises:
            DeadError: the engine is dying or dead.
            NotFoundError: nothing of that name is installed.
        """
        self._require_alive()
        node = self._machine.nodes.get(name)
        if node is None:
            raise NotFoundError(name, f"{self._tomb.name} has no manifold {name!r}")
        if node.gone is None:
            node.gone = Latch()
            self._machine.react(self._machine.request_stop, node)
        await node.gone.wait()

    def manifold_names(self) -> list[str]:
        """The installed names, in order of installation."""
        return list(self._machine.nodes)

    def report(self) -> dict[str, object]:
        """Describe the engine and every manifold: a fresh copy each time, also during shutdown and after death."""
        machine, nested = self._machine, self._reporting
        dead = self._tomb.state == "dead"
        self._reporting = True
        try:
            return engine_report(
                machine.nodes,
                state=self._tomb.state,
                error=self._tomb.reason if dead else machine.internal or machine.judge.worst,
                nested=nested,
                engine=self,
            )
        finally:
            self._reporting = nested

    def explain(self, name: str) -> Explanation:
        """Say why a manifold is not running: what it misses, down to the first cause, the errors, the next attempts.

        Raises:
            NotFoundError: nothing of that name is installed.
        """
        node = self._machine.nodes.get(name)
        if node is None:
            raise NotFoundError(name, f"{self._tomb.name} has no manifold {name!r}")
        return explanation(node, self._machine.nodes, self._machine.clock.monotonic())

    def transitions(self) -> list[Event]:
        """The last 100 transitions of its manifolds, oldest first."""
        return self._machine.journal.transitions()

    def _require_alive(self) -> None:
        if self._tomb.stop.is_set():
            raise DeadError(f"{self._tomb.name} is {self._tomb.state}")

    def _add(self, name: str, manifold: Manifold) -> Node:
        inputs = _checked(name, manifold)
        if name in self._machine.nodes:
            raise AlreadyExistsError(name, f"{self._tomb.name} has a manifold {name!r} already")
        return self._machine.add(name, manifold, inputs)

    def _start(self, node: Node) -> None:
        self._machine.react(self._machine.request_start, node, 0.0)


def _checked(name: object, manifold: Manifold) -> tuple[str, ...]:
    """Refuse a manifold that is not usable, and give a copy of its inputs."""
    require_name("name", name)
    require_callable("start", manifold.start)
    given: object = manifold.inputs
    try:
        inputs = tuple(manifold.inputs)
    except TypeError:
        inputs = ("",)
    names: tuple[object, ...] = inputs
    if isinstance(given, str) or not all(isinstance(item, str) and item for item in names):
        raise NotValidError(f"the inputs of {name!r} must be non-empty strings, not {given!r}", field="inputs")
    require_callable("output", manifold.output, optional=True)
    require_callable("filter", manifold.filter, optional=True)
    return inputs
