"""The engine against a model of the contract: random manifolds, ends, delays and deaths, compared after each step.

The model knows nothing of tasks: an attempt whose delay is over sees the workers of that moment, and what comes of it
follows in the order of asking. Delays are whole seconds without jitter, so that what happens at once really does.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from undercroft import Backoff, Context, Worker, outcome
from undercroft.dependency import Bounce, CycleError, Engine, EngineConfig, Manifold, Missing, Uninstall
from undercroft.testing import FakeClock

NAMES = ("a", "b", "c", "d")
BOUNCE, ERROR, RESET, LIMIT = 1, 2, 4, 12
ENDS: tuple[type[Exception] | None, ...] = (None, ValueError, ValueError, Missing, Bounce, Uninstall)


@dataclass
class Traits:
    """How a manifold behaves.

    Whether it needs its inputs, whether its start takes time, and then whether it gives a worker when it is cancelled,
    and whether its worker heeds a kill.
    """

    inputs: tuple[str, ...]
    needs: bool
    slow: bool
    late: bool
    stubborn: bool


@dataclass
class Modelled:
    """A manifold in the model."""

    traits: Traits
    phase: str = "stopped"
    asked: bool = False
    leaving: bool = False
    waiting: bool = False  # Its start takes its time, and has not ended.
    due: int = 0
    delay: int = 0
    ticket: int = 0
    failures: int = 0
    up_since: int = 0
    starts: int = 0

    @property
    def is_up(self) -> bool:
        return self.phase in {"started", "stopping"}


@dataclass
class Model:
    """What the contract says."""

    now: int = 0
    tickets: int = 0
    parts: dict[str, Modelled] = field(default_factory=dict)
    dying: bool = False
    deaths: list[tuple[str, type[Exception] | None]] = field(default_factory=list)

    def install(self, name: str, traits: Traits) -> None:
        self.parts[name] = Modelled(traits)
        self.ask(name, 0)
        self.begin()

    def ask(self, name: str, delay: int) -> None:
        part = self.parts[name]
        self.tickets += 1
        part.phase, part.delay, part.due, part.ticket = "delayed", delay, self.now + delay, self.tickets

    def advance(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.begin()

    def begin(self) -> None:
        """Make the attempts that are due; all of them see what was there before any of them came up."""
        due = [name for name, part in self.parts.items() if part.phase == "delayed" and part.due <= self.now]
        due.sort(key=lambda name: (self.parts[name].due, self.parts[name].ticket))
        results = []
        for name in due:
            part = self.parts[name]
            part.phase, part.asked = "starting", False
            lacks = part.traits.needs and not all(self.is_up(needed) for needed in part.traits.inputs)
            part.waiting = part.traits.slow and not lacks
            results.append((name, Missing if lacks else None))
        for name, error in results:
            if error is not None:
                self.end(name, error)
            elif not self.parts[name].traits.slow:
                self.come_up(name)
        self.settle()

    def is_up(self, name: str) -> bool:
        return name in self.parts and self.parts[name].is_up

    def come_up(self, name: str) -> None:
        part = self.parts[name]
        if part.asked:
            part.phase = "doomed"
            self.die_if_told(name)
            return
        part.phase, part.up_since, part.starts = "started", self.now, part.starts + 1
        self.change(name)

    def change(self, name: str) -> None:
        for other, part in list(self.parts.items()):
            if name in part.traits.inputs and not self.dying:
                if part.phase in {"stopped", "delayed"}:
                    part.failures = 0
                    self.ask(other, BOUNCE)
                else:
                    self.stop(other)

    def stop(self, name: str) -> None:
        part = self.parts[name]
        if part.asked:
            return
        if part.phase in {"stopped", "delayed"}:
            part.phase, part.failures = "stopped", 0
            if part.leaving:
                del self.parts[name]
            return
        part.asked = True
        if part.phase == "started":
            part.phase = "stopping"
            self.die_if_told(name)
        elif part.waiting and part.traits.late:
            part.phase = "doomed"
            self.die_if_told(name)
        elif part.waiting:
            self.deaths.append((name, None))

    def die_if_told(self, name: str) -> None:
        if not self.parts[name].traits.stubborn:
            self.deaths.append((name, None))

    def settle(self) -> None:
        while self.deaths:
            self.end(*self.deaths.pop(0))

    def end(self, name: str, error: type[Exception] | None) -> None:
        part = self.parts[name]
        was_up, asked, uptime = part.is_up, part.asked, self.now - part.up_since
        part.phase, part.asked = "stopped", False
        if part.leaving or (error is Uninstall and not self.dying):
            del self.parts[name]
        elif self.dying:
            pass
        elif asked:
            part.failures = 0
            self.ask(name, BOUNCE)
        elif error is None or error is Missing:
            part.failures = 0
        else:
            part.failures = 1 if was_up and uptime >= RESET else part.failures + 1
            self.ask(name, min((BOUNCE if error is Bounce else ERROR) * 2 ** (part.failures - 1), LIMIT))
        if was_up:
            self.change(name)

    def kill(self) -> None:
        self.dying = True
        for name in list(self.parts):
            self.stop(name)
        self.settle()

    def has_cycle_with(self, name: str, inputs: tuple[str, ...]) -> bool:
        stack, seen = list(inputs), set[str]()
        while stack:
            current = stack.pop()
            if current == name:
                return True
            if current in self.parts and current not in seen:
                seen.add(current)
                stack.extend(self.parts[current].traits.inputs)
        return False


class Actor:
    """A manifold's real side: its start function and its present worker."""

    def __init__(self, traits: Traits) -> None:
        self.traits = traits
        self.alive: list[Puppet] = []
        self.gate = asyncio.Event()
        self.fails: type[Exception] | None = None

    def start(self, context: Context) -> Any:  # Any: a worker, or a coroutine that gives one.
        if self.traits.needs:
            for name in self.traits.inputs:
                context.get(name)
        return self.later() if self.traits.slow else Puppet(self)

    async def later(self) -> Worker:
        self.gate = asyncio.Event()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            if not self.traits.late:
                raise
            return Puppet(self)
        if self.fails is not None:
            raise self.fails("as told")
        return Puppet(self)


class Puppet:
    """A worker that ends when it is told to, or when it is killed and not stubborn."""

    def __init__(self, actor: Actor) -> None:
        self.actor = actor
        self.error: type[Exception] | None = None
        self.ended = asyncio.Event()
        actor.alive.append(self)
        assert len(actor.alive) == 1, "two workers of one manifold are alive at once"

    def kill(self) -> None:
        if not self.actor.traits.stubborn:
            self.end(None)

    def end(self, error: type[Exception] | None) -> None:
        if not self.ended.is_set():
            self.actor.alive.remove(self)
            self.error = error
            self.ended.set()

    async def wait(self) -> None:
        await self.ended.wait()
        if self.error is not None:
            raise self.error("as told")


SHOWN = {"delayed": "starting", "doomed": "starting"}


class EngineMachine(RuleBasedStateMachine):
    """Does to an engine and to the model the same things."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.noise: list[object] = []
        self.runner.get_loop().set_exception_handler(lambda _, context: self.noise.append(context))
        self.clock = FakeClock()
        self.model = Model()
        self.actors: dict[str, Actor] = {}
        self.removals: list[asyncio.Task[None]] = []
        self.engine = self.run(self._new_engine())

    def run(self, coroutine: Any) -> Any:  # Any: whatever it gives.
        return self.runner.run(coroutine)

    async def _new_engine(self) -> Engine:
        config = EngineConfig(
            error_delay=ERROR, bounce_delay=BOUNCE, backoff_factor=2, backoff_reset_time=RESET, max_delay=LIMIT,
            jitter=0, clock=self.clock,
        )  # fmt: skip
        return Engine(config)

    async def _install(self, name: str, traits: Traits) -> bool:
        actor = Actor(traits)
        try:
            await self.engine.install(name, Manifold(actor.start, traits.inputs))
        except CycleError:
            return False
        self.actors[name] = actor
        await self.clock.advance(0)
        return True

    async def _advance(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.clock.advance(1)

    async def _uninstall(self, name: str) -> None:
        removal = asyncio.create_task(self.engine.uninstall(name))
        self.removals.append(removal)
        await self.clock.advance(0)

    @rule(
        name=st.sampled_from(NAMES),
        inputs=st.lists(st.sampled_from(NAMES), max_size=3, unique=True).map(tuple),
        needs=st.booleans(),
        slow=st.sampled_from((False, False, True)),
        late=st.booleans(),
        stubborn=st.sampled_from((False, False, True)),
    )
    def install(self, name: str, inputs: tuple[str, ...], needs: bool, slow: bool, late: bool, stubborn: bool) -> None:
        if name in self.model.parts:
            return
        traits = Traits(inputs, needs, slow, late, stubborn)
        expected = not self.model.has_cycle_with(name, inputs)
        assert self.run(self._install(name, traits)) == expected
        if expected:
            self.model.install(name, traits)

    @rule(name=st.sampled_from(NAMES), error=st.sampled_from(ENDS))
    def end(self, name: str, error: type[Exception] | None) -> None:
        part = self.model.parts.get(name)
        if part is None or part.phase not in {"started", "stopping", "doomed"}:
            return
        self.actors[name].alive[0].end(error)
        self.run(self.clock.advance(0))
        self.model.end(name, error)
        self.model.settle()

    @rule(name=st.sampled_from(NAMES), error=st.sampled_from(ENDS))
    def finish_start(self, name: str, error: type[Exception] | None) -> None:
        part = self.model.parts.get(name)
        if part is None or part.phase != "starting" or not part.traits.slow:
            return
        self.actors[name].fails = error
        self.actors[name].gate.set()
        self.run(self.clock.advance(0))
        if error is None:
            self.model.come_up(name)
        else:
            self.model.end(name, error)
        self.model.settle()

    @rule(name=st.sampled_from(NAMES))
    def uninstall(self, name: str) -> None:
        if name not in self.model.parts:
            return
        self.run(self._uninstall(name))
        self.model.parts[name].leaving = True
        self.model.stop(name)
        self.model.settle()

    @rule(name=st.sampled_from(NAMES), times=st.integers(2, 4))
    def fail_again_and_again(self, name: str, times: int) -> None:
        for _ in range(times):
            self.end(name, ValueError)
            part = self.model.parts.get(name)
            self.advance(part.delay if part is not None and part.phase == "delayed" else 1)

    @rule(seconds=st.integers(1, 6))
    def advance(self, seconds: int) -> None:
        self.run(self._advance(seconds))
        self.model.advance(seconds)

    @invariant()
    def agrees_with_the_model(self) -> None:
        assert not self.noise
        report: Any = self.engine.report()  # Any: a report is for people.
        assert list(report["manifolds"]) == list(self.model.parts)
        for name, part in self.model.parts.items():
            entry = report["manifolds"][name]
            assert entry["state"] == SHOWN.get(part.phase, part.phase), name
            assert entry.get("start-count", 0) == part.starts, name
            assert entry.get("delay", 0) == (part.delay if part.phase == "delayed" else 0), name
            assert entry.get("missing", []) == [each for each in part.traits.inputs if not self.model.is_up(each)]
            assert bool(self.actors[name].alive) == (part.is_up or part.phase == "doomed"), name

    def teardown(self) -> None:
        async def die() -> None:
            self.engine.kill()
            await self.clock.advance(0)

        self.run(die())
        self.model.kill()
        self.agrees_with_the_model()
        for name, part in list(self.model.parts.items()):
            if part.phase in {"stopping", "doomed"}:
                self.actors[name].alive[0].end(None)
                self.model.end(name, None)
        assert self.run(asyncio.wait_for(outcome(self.engine), 5)) is None
        self.agrees_with_the_model()
        assert self.clock.pending == 0
        self.runner.close()
        assert not self.noise


def test_the_delays_of_the_model_are_those_of_backoff() -> None:
    backoff = Backoff(ERROR, 2, LIMIT)

    assert [backoff.next(n, random.Random()) for n in range(1, 5)] == [2, 4, 8, 12]


EngineMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestEngine = EngineMachine.TestCase
