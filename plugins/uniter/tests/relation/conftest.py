"""Units with trackers of their relations."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from plugins.model.tests.conftest import HERE
from plugins.model.tests.unitside.conftest import Units
from plugins.uniter.tests.sight import open_units, snapshot

from undercroft_hookspecs.facades import CharmFacade
from undercroft_hookspecs.relation_facades import LeadershipFacade, RelationFacade
from undercroft_hookspecs.unit_facades import ApplicationFacade, UnitFacade
from undercroft_model.hosts import register_host
from undercroft_uniter.hook.info import HookInfo
from undercroft_uniter.relation.tracker import Relations
from undercroft_uniter.remotestate.snapshot import RelationSnapshot, Snapshot


class Unit:
    """One unit's part of its agent: `look` gives what its watcher would."""

    def __init__(self, name: str, units: Units, folder: Path) -> None:
        self.name, self.units = name, units
        self.path = folder / name.replace("/", "-") / "relations.json"
        self.facade = units.of(name, RelationFacade)
        self.tracker: Relations

    async def begin(self) -> Unit:
        """Start its tracker, anew if there was one."""
        self.tracker = await Relations.open(
            self.path,
            relations=self.facade,
            units=self.units.of(self.name, UnitFacade),
            charms=self.units.of(self.name, CharmFacade),
        )
        return self

    async def look(self) -> Snapshot:
        """What is wanted now."""
        unit = await self.units.of(self.name, UnitFacade).unit()
        application = await self.units.of(self.name, ApplicationFacade).application()
        found = []
        for relation in await self.facade.relations():
            async with self.facade.watch_members(relation.relation.id) as states:
                found.append(RelationSnapshot(relation=relation, members=await anext(states)))
        fields: dict[str, Any] = {  # as Snapshot's own
            "life": unit.life,
            "application_life": application.life,
            "has_subordinates": bool(unit.subordinates),
            "is_subordinate": bool(unit.principal),
            "is_leader": self.units.of(self.name, LeadershipFacade).certain_seconds() > 0,
        }
        return snapshot(*found, **fields)

    async def due(self) -> HookInfo | None:
        """The next hook, as the agent would choose it."""
        present = await self.look()
        await self.tracker.synchronize(present)
        return self.tracker.created_hook(present) or self.tracker.next_hook(present)

    async def step(self) -> str:
        """Run the next hook; empty if there is none."""
        found = await self.due()
        if found is None:
            return ""
        script = self.tracker.prepare(found)
        await self.tracker.commit(found)
        return f"{script} {found.remote_unit}".strip()

    async def settle(self) -> list[str]:
        """Run hooks until none is due."""
        run = []
        while script := await self.step():
            run.append(script)
        return run


class Agents:
    """The units of a model, each with a tracker."""

    def __init__(self, units: Units, folder: Path) -> None:
        self.units, self.world = units, units.world
        self._folder = folder

    async def unit(self, name: str) -> Unit:
        """A unit whose agent starts."""
        return await Unit(name, self.units, self._folder).begin()


@pytest.fixture
async def agents(tmp_path: Path) -> AsyncIterator[Agents]:
    """Nothing but a host."""
    async with open_units(tmp_path) as units:
        await units.world.change(lambda tx: register_host(tx, HERE))
        yield Agents(units, tmp_path)
