"""Operators and units that do at random what they may, all at once: the model stays whole, and ends empty."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
import pytest
from plugins.model.tests.conftest import HERE, LOGGING, MYSQL, WORDPRESS, World

from undercroft_hookspecs import UndercroftError, UnitHasSubordinates
from undercroft_hookspecs.state import Life, Relation, Unit
from undercroft_model.applications import remove_application, set_config
from undercroft_model.models import destroy_model
from undercroft_model.relations import endpoint_in, remove_relation
from undercroft_model.scopes import enter_scope, leave_scope
from undercroft_model.statuses import set_status
from undercroft_model.table import ModelTable
from undercroft_model.tables import APPLICATIONS, MACHINES, RELATION_KEYS, RELATION_SCOPES, RELATIONS, UNITS, parts_of
from undercroft_model.transaction import ContendedError, Transaction
from undercroft_model.units import add_units, remove_unit, unit_dead, unit_dying, unit_gone

R = TypeVar("R", bound=msgspec.Struct)

CHARMS = {"wordpress": WORDPRESS, "mysql": MYSQL, "logging": LOGGING, "other": MYSQL}


class Hand:
    """Somebody who does one random thing after the other; what is refused is refused in words."""

    def __init__(self, world: World, seed: int) -> None:
        self._world, self._rng = world, random.Random(seed)
        self.done = self.refused = 0

    async def work(self, count: int) -> None:
        """Do so many things."""
        deeds: Sequence[Callable[[], Awaitable[object]]] = (
            self._deploy,
            self._deploy,
            self._add,
            self._integrate,
            self._integrate,
            self._enter,
            self._enter,
            self._enter,
            self._start,
            self._say,
            self._configure,
            self._leave,
            self._finish,
            self._finish,
            self._remove_unit,
            self._remove_relation,
            self._remove_application,
            self._world.reap,
        )
        for _ in range(count):
            try:
                await self._rng.choice(deeds)()
            except ContendedError:
                raise
            except UndercroftError:
                self.refused += 1
            else:
                self.done += 1

    async def _deploy(self) -> None:
        name = self._rng.choice(list(CHARMS))
        await self._world.deploy(CHARMS[name], name)

    async def _add(self) -> None:
        name = self._rng.choice(list(CHARMS))
        await self._world.run(add_units, name, 2, here=HERE, now=self._world.clock.now())

    async def _integrate(self) -> None:
        await self._world.integrate(*self._rng.sample(list(CHARMS), 2))

    async def _enter(self) -> None:
        relation, unit = await self._pick_relation(), await self._pick_unit()
        if relation is not None and unit is not None:
            now = self._world.clock.now()
            await self._world.run(enter_scope, relation.id, unit.name, settings={"a": "b"}, now=now)

    async def _leave(self) -> None:
        relation, unit = await self._pick_relation(), await self._pick_unit()
        if relation is not None and unit is not None:
            await self._world.run(leave_scope, relation.id, unit.name)

    async def _start(self) -> None:
        unit = await self._pick_unit()
        if unit is not None and unit.name.partition("/")[0] in await self._world.applications():
            await self._world.run(set_status, "agent", unit.name, "executing", now=self._world.clock.now())
            await self._world.start(unit.name)

    async def _say(self) -> None:
        unit = await self._pick_unit()
        if unit is not None:
            current = self._rng.choice(["active", "blocked"])
            await self._world.run(set_status, "unit", unit.name, current, now=self._world.clock.now())

    async def _configure(self) -> None:
        await self._world.run(set_config, "wordpress", {"workers": self._rng.randrange(9)})

    async def _finish(self) -> None:
        """Take a dying unit through to its end, as its agent does."""
        unit = await self._pick_unit()
        if unit is None or unit.life is Life.ALIVE:
            return
        for relation in (await self._look(RELATIONS)).values():
            await self._world.run(leave_scope, relation.id, unit.name)
        for subordinate in unit.subordinates:
            await self._world.run(unit_dying, subordinate)
        try:
            await self._world.run(unit_dead, unit.name)
        except UnitHasSubordinates:
            return
        await self._world.run(unit_gone, unit.name)

    async def _remove_unit(self) -> None:
        unit = await self._pick_unit()
        if unit is not None:
            await self._world.run(remove_unit, unit.name, force=self._rng.random() < 0.3)

    async def _remove_relation(self) -> None:
        relation = await self._pick_relation()
        if relation is not None:
            await self._world.run(remove_relation, relation.id, force=self._rng.random() < 0.3)

    async def _remove_application(self) -> None:
        await self._world.run(remove_application, self._rng.choice(list(CHARMS)), force=self._rng.random() < 0.3)

    async def _pick_unit(self) -> Unit | None:
        units = list((await self._look(UNITS)).values())
        return self._rng.choice(units) if units else None

    async def _pick_relation(self) -> Relation | None:
        relations = list((await self._look(RELATIONS)).values())
        return self._rng.choice(relations) if relations else None

    async def _look(self, table: ModelTable[R]) -> dict[tuple[str, ...], R]:
        return await Transaction(self._world.store).look(table.of(self._world.model))


async def assert_whole(world: World) -> None:
    """See that everything that refers to something refers to what is there."""
    tx, model = Transaction(world.store), world.model
    applications = await tx.look(APPLICATIONS.of(model))
    units = {unit.name: unit for unit in (await tx.look(UNITS.of(model))).values()}
    relations = {relation.id: relation for relation in (await tx.look(RELATIONS.of(model))).values()}
    machines = await tx.look(MACHINES.of(model))
    for unit in units.values():
        assert parts_of(unit.name)[:1] in applications
        assert (unit.machine,) in machines
        assert all(units[name].principal == unit.name for name in unit.subordinates)
        assert not unit.principal or unit.name in units[unit.principal].subordinates
    for relation in relations.values():
        assert all((endpoint.application,) in applications for endpoint in relation.endpoints)
    keys = {index.id: parts[0] for parts, index in (await tx.look(RELATION_KEYS.of(model))).items()}
    assert keys == {relation.id: relation.key for relation in relations.values()}
    for number, *parts in await tx.look(RELATION_SCOPES.of(model)):
        assert endpoint_in(relations[int(number)], parts[0]) is not None
        assert "/".join(parts) in units


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_many_hands_leave_the_model_whole_and_nothing_behind(world: World, seed: int) -> None:
    for round_ in range(3):
        hands = [Hand(world, 100 * seed + 10 * round_ + number) for number in range(5)]
        await asyncio.gather(*(hand.work(25) for hand in hands))
        await world.reap()
        await assert_whole(world)
        assert sum(hand.done for hand in hands) > 20

    await world.run(destroy_model, force=True)
    await world.reap()

    assert not (await world.store.list(f"/models/{world.model}/")).entries
