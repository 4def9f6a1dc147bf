"""A plugin for tests: it stands in for units, through the facades alone, and writes down what it did and saw.

Each unit takes part in its relations and hands out its option `token`; the leader says so for its application, too.
Whoever hears a token says that it has taken it. Lines of the journal are JSON and have the time that all processes of
a machine share, `at`:

* `claimed`: the unit has asked for the leadership; if it `leads`, it believes so until the time `until`.
* `doubts`: the unit has stopped believing in its leadership.
* `said`, `refused`: words for the application were written, or were not, since another unit leads.
* `heard`: what a unit or application (`of`) has said.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeVar

import msgspec

from undercroft import SimpleWorker, Stop
from undercroft_hookspecs import (
    Agent,
    Context,
    Manifold,
    ModelId,
    NotLeaderError,
    PlacementFacade,
    StoreUnavailable,
    UnitAgent,
    UnitEngines,
    UnitName,
    Worker,
    hookimpl,
)
from undercroft_hookspecs.hook_facades import HookChanges, HookFacade
from undercroft_hookspecs.relation_facades import LeadershipFacade, RelationFacade, UnitRelation
from undercroft_hookspecs.unit_facades import ConfigFacade

T = TypeVar("T")

RENEWED_SECONDS = 30.0
PAUSE_SECONDS = 0.2


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `[plugins.understudy]`."""

    journal: str = os.devnull


@hookimpl
def undercroft_config() -> type[msgspec.Struct]:
    """The struct of the section."""
    return Config


@hookimpl
def undercroft_manifolds(agent: Agent) -> Mapping[str, Manifold]:
    """Whoever starts the units of this host."""

    def start(context: Context) -> Worker:
        stage = Stage(context.get("model", PlacementFacade), context.get("agent", UnitEngines))
        return SimpleWorker(stage.run, name="understudies", grace=0, clock=agent.clock)

    return {"understudies": Manifold(start=start, inputs=("agent", "model"))}


@hookimpl
def undercroft_unit_manifolds(unit: UnitAgent) -> Mapping[str, Manifold]:
    """The unit's part."""

    def start(context: Context) -> Worker:
        part = Part(unit, context)
        return SimpleWorker(part.play, name="understudy", grace=0, clock=unit.clock)

    return {"understudy": Manifold(start=start, inputs=("model",))}


class Stage:
    """Runs the engines of all units that are placed here."""

    def __init__(self, placement: PlacementFacade, engines: UnitEngines) -> None:
        self._placement, self._engines = placement, engines

    async def run(self, _: Stop) -> None:
        """Go on until cancelled."""
        known: set[ModelId] = set()
        async with asyncio.TaskGroup() as group, self._placement.watch_models() as states:
            async for models in states:
                for model in set(models) - known:
                    known.add(model)
                    group.create_task(self._follow(model), name=f"understudies {model}")

    async def _follow(self, model: ModelId) -> None:
        running: dict[str, Worker] = {}
        try:
            await self._start(model, running)
        finally:
            for worker in running.values():
                worker.kill()
            await asyncio.gather(*(worker.wait() for worker in running.values()))

    async def _start(self, model: ModelId, running: dict[str, Worker]) -> None:
        async with self._placement.watch_units(model) as states:
            async for units in states:
                for name in units.keys() - running.keys():
                    running[name] = self._engines.engine(model, UnitName.parse(name))


class Part:
    """What one unit does."""

    def __init__(self, unit: UnitAgent, context: Context) -> None:
        self._unit, self._name, self._clock = unit, str(unit.unit), unit.clock
        self._application = self._name.partition("/")[0]
        self._journal = unit.config(Config).journal
        self._leadership = context.get("model", LeadershipFacade)
        self._relations = context.get("model", RelationFacade)
        self._settings = context.get("model", ConfigFacade)
        self._hooks = context.get("model", HookFacade)
        self._believing = asyncio.Event()

    async def play(self, _: Stop) -> None:
        """Go on until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._lead(), name="lead")
            group.create_task(self._doubt(), name="doubt")
            group.create_task(self._relate(group), name="relate")

    async def _lead(self) -> None:
        while True:
            leads = await self._persist(self._leadership.claim)
            seconds = self._leadership.certain_seconds()
            self._note("claimed", leads=leads, until=self._clock.monotonic() + seconds)
            if leads:
                self._believing.set()
                await self._clock.sleep(max(seconds - RENEWED_SECONDS, 0) + PAUSE_SECONDS)
            else:
                await self._leadership.wait_released()

    async def _doubt(self) -> None:
        while True:
            await self._believing.wait()
            while (seconds := self._leadership.certain_seconds()) > 0:
                await self._clock.sleep(seconds)
            self._believing.clear()
            self._note("doubts")

    async def _relate(self, group: asyncio.TaskGroup) -> None:
        known: set[int] = set()
        async with self._relations.watch_relations() as states:
            async for relations in states:
                for each in [each for each in relations if each.relation.id not in known]:
                    known.add(each.relation.id)
                    group.create_task(self._take_part(each), name=f"relation {each.relation.id}")

    async def _take_part(self, each: UnitRelation) -> None:
        relation = each.relation.id
        await self._persist(lambda: self._relations.enter_scope(relation))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(relation), name="listen")
            group.create_task(self._hand_out(relation), name="hand out")

    async def _listen(self, relation: int) -> None:
        versions: dict[str, int] = {}
        async with self._relations.watch_members(relation) as states:
            async for members in states:
                present = {**members.units, **members.applications}
                for name in sorted(name for name in present if versions.get(name) != present[name]):
                    await self._hear(relation, name)
                versions = present

    async def _hear(self, relation: int, name: str) -> None:
        words = await self._persist(lambda: self._relations.read_settings(relation, name))
        self._note("heard", of=name, words=words)
        if "/" in name and "token" in words:
            await self._say(HookChanges(unit_settings={relation: {"taken": words["token"]}}))

    async def _hand_out(self, relation: int) -> None:
        async with self._settings.watch_hashes() as states:
            async for _ in states:
                token = (await self._persist(self._settings.settings)).get("token")
                if token is None:
                    continue
                await self._say(HookChanges(unit_settings={relation: {"token": str(token)}}))
                await self._say_as_leader(relation, str(token))

    async def _say_as_leader(self, relation: int, token: str) -> None:
        """Whatever the unit believes: it is the store that knows."""
        changes = HookChanges(application_settings={relation: {"leader": self._name, "token": token}})
        try:
            await self._say(changes)
        except NotLeaderError:
            self._note("refused", token=token)
        else:
            self._note("said", token=token)

    async def _say(self, changes: HookChanges) -> None:
        await self._persist(lambda: self._hooks.commit(changes))

    async def _persist(self, work: Callable[[], Awaitable[T]]) -> T:
        """Go on through an outage; all that is done here may be done twice."""
        while True:
            with suppress(StoreUnavailable):
                return await work()
            await self._clock.sleep(PAUSE_SECONDS)

    def _note(self, what: str, **details: object) -> None:
        line = {"at": self._clock.monotonic(), "unit": self._name, "what": what, **details}
        descriptor = os.open(self._journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, msgspec.json.encode(line) + b"\n")
        finally:
            os.close(descriptor)
