"""An engine filled with plugins' manifolds: the top engine, and each unit's.

It adds to the dependency engine what the agent promises of every manifold: failures end in quarantine and not in an
endless loop, the present worker of each name is known (for pass-throughs, and for a forced stop), one worker can be
restarted, and those of one plugin be replaced.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from contextvars import copy_context
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING, TypeVar, cast

from undercroft import RESTART_DELAY, caused_by
from undercroft.agent.handle import Place, asking
from undercroft.agent.plain import text
from undercroft.agent.quarantine import Quarantine
from undercroft.dependency import Engine, EngineConfig, Missing
from undercroft.worker.lifecycle import is_worker, watch
from undercroft_hookspecs import (
    AgentSignal,
    NotFoundError,
    RebootMachine,
    RestartAgent,
    ShutdownMachine,
    StoreUnusable,
    TerminateAgent,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from undercroft.agent.plan import Claim
    from undercroft.agent.quarantine import Limit
    from undercroft_hookspecs import Clock, Context, Event, Manifold, StartFunc, Worker

T = TypeVar("T")

_log = logging.getLogger(__name__)

_IMPORTANCE: tuple[type[AgentSignal], ...] = (TerminateAgent, ShutdownMachine, RebootMachine, RestartAgent)
HUNG_SECONDS = 10.0


@dataclass(slots=True, kw_only=True)
class Surroundings:
    """What all engines of one agent share; a reload sets `limit` and `allow_reboot` anew."""

    clock: Clock
    limit: Limit
    allow_reboot: bool
    events: Callable[[Event], None]
    error_delay: float = RESTART_DELAY

    def config(self) -> EngineConfig:
        """The settings of an engine."""
        return EngineConfig(
            is_fatal=self.is_fatal,
            worst_error=worst_error,
            clock=self.clock,
            events=self.events,
            error_delay=self.error_delay,
            kill_timeout=HUNG_SECONDS,
            shutdown="reverse",
        )

    def is_fatal(self, error: Exception) -> bool:
        """Whether the error is a wish about the whole agent that the agent grants, or there is no store to work on.

        A reboot or shutdown that the config does not allow is not: the worker goes on asking, at the engine's pace, and
        everything else runs on.
        """
        signal = caused_by(error, AgentSignal)
        if isinstance(signal, (RebootMachine, ShutdownMachine)) and not self.allow_reboot:
            wish = "shutdown" if isinstance(signal, ShutdownMachine) else "reboot"
            _log.error("blocked: %s requested (%s); allow_reboot is false in the config", wish, text(signal))
            return False
        return signal is not None or caused_by(error, StoreUnusable) is not None


def worst_error(new: Exception, current: Exception | None) -> Exception:
    """The more important of two fatal errors; the first of equals."""
    return new if current is None or _rank(new) < _rank(current) else current


class PluginEngine:
    """A dependency engine and the claims that it is filled with; a Worker and a Reporter."""

    def __init__(self, name: str, claims: Mapping[str, Claim], surroundings: Surroundings) -> None:
        self.name = name
        self.quarantine = Quarantine(lambda: surroundings.limit, surroundings.clock)
        self._claims = dict(claims)
        self.engine = Engine(surroundings.config(), name=name)
        """The engine itself, for those who describe it."""
        self._present: dict[str, Worker] = {}
        self._changing = asyncio.Lock()
        self._changes: set[asyncio.Task[None]] = set()
        # Starts inherit the context of their install; a worker that is restarted must not get that of whoever asked.
        self._context = copy_context()

    @property
    def claims(self) -> Mapping[str, Claim]:
        """What it is filled with, by manifold name."""
        return self._claims

    async def fill(self) -> None:
        """Install everything, or nothing. Raises what the engine's `install_all` raises."""
        await self.engine.install_all({name: self._decorated(name) for name in self._claims})

    def kill(self) -> None:
        """Stop everything, what depends before what it depends on."""
        self.engine.kill()

    def kill_everything(self) -> None:
        """Ask every present worker to stop, in no order: for an end that cannot wait."""
        self.engine.kill()
        for worker in list(self._present.values()):
            worker.kill()

    async def wait(self) -> None:
        """Return at a clean end, or raise the most important AgentSignal that a worker raised."""
        try:
            await self.engine.wait()
        finally:
            if self._changes and not _being_cancelled():
                await asyncio.wait(self._changes)

    @property
    def present(self) -> Mapping[str, Worker]:
        """The workers that are up, by manifold name."""
        return self._present

    def expose(self, name: str, kind: type[T]) -> T:
        """What the present worker of `name` puts out as `kind`.

        Raises:
            Missing: it is not up, or puts nothing out.
        """
        worker, claim = self._present.get(name), self._claims.get(name)
        if worker is None or claim is None:
            raise Missing(name, "stopped")
        if claim.manifold.output is None:
            raise Missing(name, "unexposed")
        # The output function's promise: what it gives for a kind is of that kind.
        return cast("T", claim.manifold.output(worker, kind))

    async def restart(self, name: str) -> None:
        """Stop one worker and start it again, out of quarantine if need be. Completes even if the caller is cancelled.

        A worker that asks for its own restart is not made to wait for its own end.

        Raises:
            NotFoundError: no such manifold.
        """
        claim = self._claims.get(name)
        if claim is None:
            raise NotFoundError(name, f"there is no worker {name!r} in {self.name}")
        await self._apart({name}, {name: claim})

    async def replace(self, gone: Collection[str], fresh: Mapping[str, Claim]) -> None:
        """Take the manifolds in `gone` out, then put those in `fresh` in. Completes even if the caller is cancelled."""
        await self._apart(set(gone) | fresh.keys(), fresh)

    def report(self) -> dict[str, object]:
        """The engine's report, in the order of the plan; quarantined names have the state `quarantined`."""
        report = self.engine.report()
        known = report.get("manifolds")
        manifolds = dict(known) if isinstance(known, Mapping) else {}
        for name, verdict in self.quarantine.held.items():
            inputs = list(self._claims[name].manifold.inputs) if name in self._claims else []
            manifolds[name] = {"state": "quarantined", "inputs": inputs, "error": text(verdict)}
        order = {name: place for place, name in enumerate(self._claims)}
        report["manifolds"] = dict(sorted(manifolds.items(), key=lambda item: order.get(item[0], len(order))))
        return report

    async def _exchange(self, gone: set[str], fresh: Mapping[str, Claim]) -> None:
        async with self._changing:
            # Dependents first, so that none is bounced by an input that is about to be exchanged as well.
            for name in self._dependents_first(gone):
                await self._remove(name)
            for name in gone - fresh.keys():
                self._claims.pop(name, None)
            self._claims.update(fresh)
            for name in fresh:
                await self.engine.install(name, self._decorated(name))

    async def _remove(self, name: str) -> None:
        try:
            await self.engine.uninstall(name)
        except NotFoundError:
            pass  # In quarantine, or ended by its own Uninstall.
        self.quarantine.release(name)

    def _dependents_first(self, names: set[str]) -> list[str]:
        inputs = {name: claim.manifold.inputs for name, claim in self._claims.items()}
        upwards = list(TopologicalSorter(inputs).static_order())
        return [name for name in reversed(upwards) if name in names]

    async def _apart(self, gone: set[str], fresh: Mapping[str, Claim]) -> None:
        """Exchange in a task of its own, and wait for it, unless the caller is among what it waits for."""
        task = asyncio.get_running_loop().create_task(
            self._exchange(gone, fresh), name=f"{self.name}: exchange", context=self._context.copy()
        )
        self._changes.add(task)
        task.add_done_callback(self._on_exchanged)
        caller = asking.get()
        if caller is None or caller.engine != self.name or caller.name not in gone:
            await asyncio.shield(task)

    def _on_exchanged(self, task: asyncio.Task[None]) -> None:
        self._changes.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("%s: an exchange of manifolds failed: %s", self.name, text(error))

    def _decorated(self, name: str) -> Manifold:
        manifold = self._claims[name].manifold
        return replace(self.quarantine.guard(name, manifold), start=self._tracked(name, manifold.start))

    def _tracked(self, name: str, start: StartFunc) -> StartFunc:
        place = Place(self.name, name)

        def tracked(context: Context) -> Worker | Awaitable[Worker]:
            asking.set(place)
            made = start(context)
            if is_worker(made):
                self._note(name, made)
            elif isinstance(made, asyncio.Future):
                # As it is: the engine finds the worker of a future even if a cancellation overtakes it.
                made.add_done_callback(lambda done: self._note_result(name, done))
            elif isinstance(made, Awaitable):
                return self._awaited(name, made)
            return made

        return tracked

    async def _awaited(self, name: str, made: Awaitable[Worker]) -> Worker:
        worker = await made
        self._note(name, worker)
        return worker

    def _note_result(self, name: str, done: asyncio.Future[Worker]) -> None:
        if not done.cancelled() and done.exception() is None:
            self._note(name, done.result())

    def _note(self, name: str, worker: Worker) -> None:
        if is_worker(worker):
            self._present[name] = worker
            watch(worker, lambda _: self._forget(name, worker))

    def _forget(self, name: str, worker: Worker) -> None:
        if self._present.get(name) is worker:
            del self._present[name]


def _rank(error: Exception) -> int:
    signal = caused_by(error, AgentSignal)
    return next((rank for rank, kind in enumerate(_IMPORTANCE) if isinstance(signal, kind)), len(_IMPORTANCE))


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
