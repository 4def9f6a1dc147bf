"""A plugin's workers started and stopped directly, in the order of their inputs, without an engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar, overload

from undercroft import outcome
from undercroft.dependency import ExpiredError, Missing
from undercroft.testing import StubContext
from undercroft.worker.start import Start, worker_context
from undercroft_conformance.drive import Bench, deadline, left_behind, look
from undercroft_conformance.leaks import Leak, Snapshot
from undercroft_conformance.plugin import PluginModule
from undercroft_conformance.subject import Subject
from undercroft_conformance.verdict import Broken, Unjudged, describe, expect
from undercroft_hookspecs.manifold import Abort, Manifold
from undercroft_hookspecs.worker import Worker

T = TypeVar("T")

RESTARTS = 50


@dataclass(frozen=True, slots=True)
class Case:
    """One plugin, with what its author gave to judge it, on one loop."""

    plugin: PluginModule
    subject: Subject
    bench: Bench = field(default_factory=Bench)

    @property
    def hook(self) -> str:
        """The hook that gives the manifolds which are judged."""
        return "undercroft_unit_manifolds" if self.subject.is_unit else "undercroft_manifolds"

    def manifolds(self) -> Mapping[str, Manifold]:
        """The manifolds that are judged.

        Raises:
            Unjudged: there are none, or the hook does not give any that could be used.
        """
        if self.hook not in self.plugin.hooks:
            raise Unjudged(f"the plugin has no {self.hook}")
        try:
            answer = self.plugin.ask(self.hook, agent=self.subject.agent, unit=self.subject.agent)
        except Exception as error:  # The plugin's code may raise anything; the rules for hooks are judged apart.
            raise Unjudged(f"{self.hook} raised {describe(error)}") from error
        if not isinstance(answer, Mapping) or not all(isinstance(each, Manifold) for each in answer.values()):
            raise Unjudged(f"{self.hook} does not give manifolds")
        if not answer:
            raise Unjudged(f"{self.hook} gives no manifolds here")
        return answer

    def lacking(self, name: str, manifolds: Mapping[str, Manifold]) -> list[str]:
        """Inputs of a manifold, and of its own inputs in turn, for which there is neither a fake nor a worker."""
        found: dict[str, None] = {}
        seen, left = {name}, [name]
        while left:
            for each in manifolds[left.pop()].inputs:
                if each in self.subject.resources or each in seen:
                    continue
                seen.add(each)
                if each in manifolds:
                    left.append(each)
                else:
                    found[each] = None
        return list(found)


class StageContext:
    """What a start function is given here; it notes what it is asked for."""

    def __init__(self, name: str, inputs: Sequence[str], stage: Stage, missing: Collection[str]) -> None:
        self._name, self._inputs, self._stage, self._missing = name, tuple(inputs), stage, frozenset(missing)
        self._abort = asyncio.Event()
        self.asked: list[str] = []
        self.undeclared: list[str] = []
        self.expired = False

    @property
    def name(self) -> str:
        """The manifold's name."""
        return self._name

    @property
    def abort(self) -> Abort:
        """Fires when the attempt is no longer wanted."""
        return self._abort

    def call_off(self) -> None:
        """The attempt is no longer wanted."""
        self._abort.set()

    @overload
    def get(self, name: str) -> None: ...
    @overload
    def get(self, name: str, kind: type[T]) -> T: ...
    def get(self, name: str, kind: type[Any] | None = None) -> object:  # Any: the overloads say what comes out.
        """Give an input, as the engine would."""
        if self.expired:
            raise ExpiredError(f"the start of {self._name!r} has ended")
        self.asked.append(name)
        if name not in self._inputs:
            self.undeclared.append(name)
            raise Missing(name, "undeclared")
        if name in self._missing:
            raise Missing(name, "stopped")
        return self._stage.give(name, kind)


class Stage:
    """Workers of one plugin that are up at the same time."""

    def __init__(self, case: Case, manifolds: Mapping[str, Manifold]) -> None:
        self._case, self._manifolds = case, manifolds
        self._up: dict[str, Worker] = {}

    def context(self, name: str, *, missing: Collection[str] = ()) -> StageContext:
        """A context for the start of a manifold, in which some inputs are not running."""
        return StageContext(name, self._manifolds[name].inputs, self, missing)

    def manifold(self, name: str) -> Manifold:
        """A manifold by its name."""
        return self._manifolds[name]

    def give(self, name: str, kind: type[Any] | None) -> object:
        """An input that is up, as a kind."""
        if name in self._case.subject.resources:
            fakes = StubContext({name: self._case.subject.resources[name]})
            return fakes.get(name) if kind is None else fakes.get(name, kind)
        if name not in self._up:
            raise Missing(name, "stopped")
        if kind is None:
            return None
        output = self._manifolds[name].output
        if output is None:
            raise Missing(name, "unexposed")
        return output(self._up[name], kind)

    async def provide(self, name: str) -> None:
        """Bring up the plugin's own workers that a manifold takes."""
        for each in self._manifolds[name].inputs:
            if each in self._manifolds and each not in self._case.subject.resources and each not in self._up:
                await self.provide(each)
                await self.bring_up(each)

    async def bring_up(self, name: str) -> Worker:
        """Start a manifold whose inputs are up.

        Raises:
            Unjudged: it does not come up; `start-worker` says why.
        """
        context = self.context(name)
        attempt = Attempt(self._manifolds[name], context)
        await attempt.ended()
        if attempt.worker is None:
            raise Unjudged(f"{name!r} does not come up (see start-worker): {describe(attempt.error)}")
        self._up[name] = attempt.worker
        return attempt.worker

    async def clear(self) -> None:
        """Stop everything that is up, last first; what does not die in time is given up."""
        for name in reversed(tuple(self._up)):
            worker = self._up.pop(name)
            with suppress(Exception):  # A kill that raises was judged where it was made.
                worker.kill()
            ending = asyncio.ensure_future(outcome(worker))
            await asyncio.wait([ending], timeout=deadline())
            ending.cancel()


class Attempt:
    """One call of a start function, as a supervisor makes it."""

    def __init__(self, manifold: Manifold, context: StageContext) -> None:
        self._context = context
        self._done = asyncio.Event()
        self._start = Start(
            lambda: manifold.start(context),
            self._on_done,
            context=worker_context(f"check/{context.name}"),
            name="start",
        )

    @property
    def worker(self) -> Worker | None:
        """The worker that has come up."""
        return self._start.worker

    @property
    def error(self) -> BaseException | None:
        """What went wrong."""
        return self._start.error

    @property
    def is_over(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self._done.is_set()

    async def ended(self) -> None:
        """Wait for its end.

        Raises:
            Broken: it takes too long.
        """
        try:
            async with asyncio.timeout(deadline()):
                await self._done.wait()
        except TimeoutError:
            self._start.cancel()
            raise Broken(f"the start of {self._context.name!r} has not ended within {deadline():g} s") from None

    def call_off(self) -> None:
        """Cancel it as a supervisor does: the abort fires, and the task is cancelled."""
        self._context.call_off()
        if not self._start.cancel():
            self._done.set()  # It had not begun, and nobody will say that it has ended.

    def _on_done(self, _: Start) -> None:
        self._context.expired = True
        self._done.set()


@asynccontextmanager
async def stage(case: Case, name: str, manifolds: Mapping[str, Manifold]) -> AsyncIterator[Stage]:
    """A stage on which everything is up that a manifold takes; all is stopped in the end."""
    made = Stage(case, manifolds)
    try:
        await made.provide(name)
        yield made
    finally:
        await made.clear()


@asynccontextmanager
async def alive(case: Case, name: str, manifolds: Mapping[str, Manifold]) -> AsyncIterator[Worker]:
    """A worker that is up, with all that it takes."""
    async with stage(case, name, manifolds) as made:
        yield await made.bring_up(name)


async def dies(worker: Worker, name: str) -> None:
    """A worker that was killed is dead in time, without an error.

    Raises:
        Broken: it is not.
    """
    ending = asyncio.ensure_future(outcome(worker))
    done, _ = await asyncio.wait([ending], timeout=deadline())
    if not done:
        ending.cancel()
        raise Broken(f"{name!r} is not dead {deadline():g} s after its kill")
    error = ending.result()
    expect(error is None, f"{name!r} was killed and died of {describe(error)}")


def kill(worker: Worker, name: str) -> None:
    """Kill a worker.

    Raises:
        Broken: its kill raised, or is a coroutine function.
    """
    try:
        answer: object = worker.kill()  # type: ignore[func-returns-value]  # That is what is looked at.
    except Exception as error:  # The plugin's code may raise anything.
        raise Broken(f"kill() of {name!r} raised {describe(error)}") from error
    if asyncio.iscoroutine(answer):
        answer.close()
        raise Broken(f"kill() of {name!r} is a coroutine function: nobody awaits it, so it does nothing")


class LeakWatch:
    """What is left behind from one moment on.

    Mounts and loop devices are the whole machine's. Those under the plugin's folders count at once; elsewhere they may
    be another process's, and count only where there are as many as there were starts.
    """

    def __init__(self, case: Case) -> None:
        self._folders = case.subject.folders()
        self._before = look(self._folders)
        self._elsewhere = look()

    async def leaks(self, starts: int = 1) -> tuple[Leak, ...]:
        """What has come on top, once everything has had its time."""
        found = await left_behind(self._before, self._folders)
        if not found and starts >= RESTARTS:
            everywhere = _machine(self._elsewhere, look())
            found = everywhere if len(everywhere) >= starts else ()
        return found


def _machine(before: Snapshot, after: Snapshot) -> tuple[Leak, ...]:
    return tuple(
        Leak(kind, what)
        for kind in ("mount", "loop")
        for identity, what in after.of(kind).items()
        if identity not in before.of(kind)
    )
