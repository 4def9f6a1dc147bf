"""The plugin's manifolds in a real engine, with its fakes as further manifolds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from undercroft import caused_by, outcome
from undercroft.dependency import Engine, EngineConfig, Missing
from undercroft.testing import StubContext
from undercroft.worker.small import NoOpWorker
from undercroft_conformance.checks.manifolds import Manifolds, per_manifold
from undercroft_conformance.drive import deadline, turns, within
from undercroft_conformance.leaks import lines
from undercroft_conformance.life import Case, LeakWatch
from undercroft_conformance.rules import worker as rules
from undercroft_conformance.verdict import Broken, Check, NotApplicable, Unjudged, describe, expect
from undercroft_hookspecs.manifold import Context, Manifold
from undercroft_hookspecs.worker import Event, Worker

MOMENTS = (0, 1, 2, 3, 5, 8, 13, 21, 34)
"""After how many turns of the loop the engine is killed; then once more when all is up."""


@dataclass(slots=True)
class Ups:
    """How often each manifold has come up, the errors that ended one, and those it was to be started again after."""

    counts: dict[str, int] = field(default_factory=dict)
    ends: dict[str, BaseException] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, event: Event) -> None:
        """Take note of an event of the engine."""
        name = event.path.partition("/")[2]
        if event.kind == "started":
            self.counts[name] = self.counts.get(name, 0) + 1
        elif event.kind == "restarting" and event.error is not None:
            self.errors[name] = event.error
        elif event.kind == "stopped" and event.error is not None and caused_by(event.error, Missing) is None:
            self.ends[name] = event.error
        self.changed.set()

    async def until(self, name: str, count: int) -> None:
        """Wait until a manifold has come up so many times.

        Raises:
            Broken: it does not, or fails.
        """
        try:
            async with asyncio.timeout(deadline()):
                await self._until(name, count)
        except TimeoutError:
            raise Broken(f"{name!r} has not come up {count} times within {deadline():g} s") from None

    async def _until(self, name: str, count: int) -> None:
        while self.counts.get(name, 0) < count:
            if name in self.errors:
                raise Broken(f"{name!r} fails under an engine: {describe(self.errors[name])}")
            self.changed.clear()
            await self.changed.wait()


def fake_manifold(name: str, resource: object) -> Manifold:
    """A manifold that is up until it is killed and gives a fake as whatever kind it is."""

    def start(_: Context) -> Worker:
        return NoOpWorker()

    def output(_: Worker, kind: type) -> object:
        given: object = StubContext({name: resource}).get(name, kind)
        return given

    return Manifold(start=start, output=output)


async def _engine(case: Case, name: str, manifolds: Manifolds, events: Callable[[Event], None]) -> Engine:
    engine = Engine(EngineConfig(error_delay=60.0, jitter=0.0, events=events), name="check")
    for each in _needed(case, name, manifolds):
        fake = case.subject.resources.get(each)
        await engine.install(each, manifolds[each] if fake is None else fake_manifold(each, fake))
    return engine


def _needed(case: Case, name: str, manifolds: Manifolds) -> list[str]:
    """A manifold and all that it takes, what is taken first."""
    found: list[str] = []

    def add(each: str) -> None:
        if each in found:
            return
        if each in manifolds and (each == name or each not in case.subject.resources):
            for taken in manifolds[each].inputs:
                add(taken)
        found.append(each)

    add(name)
    return [each for each in found if each in manifolds or each in case.subject.resources]


async def _end(engine: Engine, name: str, when: str) -> None:
    engine.kill()
    ending = asyncio.ensure_future(outcome(engine))
    await asyncio.wait([ending], timeout=deadline())
    if not ending.done():
        ending.cancel()
        raise Broken(f"the engine with {name!r} was killed {when} and is not dead {deadline():g} s later")
    error = ending.result()
    expect(error is None, f"the engine with {name!r} was killed {when} and died of {describe(error)}")


def _ended_cleanly(ups: Ups, name: str, when: str) -> None:
    error = ups.ends.get(name)
    expect(error is None, f"the engine was killed {when}, and {name!r} died of {describe(error)}")


async def kill_engine(case: Case, name: str, manifolds: Manifolds) -> None:
    """Kill the engine at turn after turn, and once when all is up."""
    watch = LeakWatch(case)
    for moment in MOMENTS:
        ups = Ups()
        engine = await _engine(case, name, manifolds, ups)
        await turns(moment)
        await _end(engine, name, f"after {moment} turns of the loop")
        if name in ups.errors:
            raise Unjudged(f"{name!r} does not come up (see start-worker): {describe(ups.errors[name])}")
        _ended_cleanly(ups, name, f"after {moment} turns of the loop")
    ups = Ups()
    engine = await _engine(case, name, manifolds, ups)
    try:
        await ups.until(name, 1)
    except Broken as reason:
        raise Unjudged(f"{name!r} does not come up (see start-worker): {reason}") from reason
    finally:
        await _end(engine, name, "when all was up")
    _ended_cleanly(ups, name, "when all was up")
    if left := await watch.leaks():
        raise Broken(f"{name!r} was killed with its engine and left behind:\n{lines(left)}")


async def engine_bounce(case: Case, name: str, manifolds: Manifolds) -> None:
    """Take each input away and bring it back: the worker follows."""
    fakes = [each for each in manifolds[name].inputs if each in case.subject.resources]
    if not fakes:
        raise NotApplicable(f"{name!r} takes no fake")
    ups = Ups()
    engine = await _engine(case, name, manifolds, ups)
    try:
        try:
            await ups.until(name, 1)
        except Broken as reason:
            raise Unjudged(f"{name!r} does not come up (see start-worker): {reason}") from reason
        for each in fakes:
            before = ups.counts[name]
            await within(engine.uninstall(each), f"{each!r} was to go away from under {name!r}")
            await engine.install(each, fake_manifold(each, case.subject.resources[each]))
            await ups.until(name, before + 1)
        expect(name not in ups.ends, f"{name!r} died of {describe(ups.ends.get(name))} when an input went away")
    finally:
        await _end(engine, name, "after its inputs were bounced")


CHECKS: tuple[Check[Case], ...] = (
    Check(rules.KILL_ENGINE, per_manifold(kill_engine)),
    Check(rules.ENGINE_BOUNCE, per_manifold(engine_bounce)),
)
