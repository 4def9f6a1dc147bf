"""Somebody else is faster, at the worst moment: between what a change looks at without a check, and its commit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from plugins.model.tests.conftest import MYSQL, WORDPRESS, World, charm, endpoints

from undercroft_hookspecs import AlreadyExistsError, NotValidError, Snapshot, Store
from undercroft_hookspecs.identity import ModelId
from undercroft_model.applications import get_config, refresh, remove_application
from undercroft_model.machines import remove_machine
from undercroft_model.models import destroy_model
from undercroft_model.relations import integrate, remove_relation
from undercroft_model.scopes import leave_scope
from undercroft_model.tables import APPLICATIONS, CHARMS, RELATION_SCOPES, RELATIONS, RESOURCES, UNITS
from undercroft_model.transaction import Transaction


class Meddler:
    """A store on which, right after the first list of a prefix, somebody else does something."""

    def __init__(self, store: Store, prefix: str, deed: Callable[[], Awaitable[object]]) -> None:
        self._store, self._prefix = store, prefix
        self._deed: Callable[[], Awaitable[object]] | None = deed
        self.get, self.transact = store.get, store.transact

    @property
    def is_done(self) -> bool:
        """Whether the deed was done."""
        return self._deed is None

    async def list(self, prefix: str) -> Snapshot:
        """List, and then do the deed."""
        found = await self._store.list(prefix)
        if prefix == self._prefix and self._deed is not None:
            deed, self._deed = self._deed, None
            await deed()
        return found


def meddled(world: World, prefix: str, deed: Callable[[], Awaitable[object]]) -> tuple[World, Meddler]:
    """The same model for somebody who is meddled with."""
    meddler = Meddler(world.store, prefix, deed)
    slow = World(meddler)  # type: ignore[arg-type]
    slow.model = world.model
    return slow, meddler


def under(model: ModelId, table: object, *parts: str) -> str:
    prefix: str = table.of(model).under(*parts)  # type: ignore[attr-defined]
    return prefix


async def test_a_relation_that_comes_after_the_look_is_seen(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)

    async def deed() -> None:
        await world.integrate("wordpress", "mysql")

    slow, meddler = meddled(world, under(world.model, RELATIONS), deed)

    with pytest.raises(AlreadyExistsError):
        await slow.integrate("wordpress", "mysql")
    assert meddler.is_done


async def test_a_limit_reached_after_the_look_is_kept(world: World) -> None:
    await world.deploy(charm("client", endpoints("requirer", "db:mysql", limit=1)))
    await world.deploy(MYSQL, "one")
    await world.deploy(MYSQL, "two")

    async def deed() -> None:
        await world.integrate("client", "one")

    slow, meddler = meddled(world, under(world.model, RELATIONS), deed)

    with pytest.raises(NotValidError, match="maximum relation limit"):
        await slow.run(integrate, "client", "two", now=world.clock.now())
    assert meddler.is_done


async def test_a_relation_that_a_new_charm_would_break_is_seen_however_late(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)

    async def deed() -> None:
        await world.integrate("wordpress", "mysql")

    slow, meddler = meddled(world, under(world.model, RELATIONS), deed)

    with pytest.raises(NotValidError, match="would break relation"):
        await slow.run(refresh, "mysql", charm("mysql", sha256="new"))
    assert meddler.is_done


async def test_a_charm_that_is_deployed_after_the_look_stays(world: World) -> None:
    await world.deploy(MYSQL, "old")
    await world.run(remove_application, "old")

    async def deed() -> None:
        await world.deploy(MYSQL, "new")

    slow, meddler = meddled(world, under(world.model, APPLICATIONS), deed)
    await slow.reap()

    assert meddler.is_done
    assert await Transaction(world.store).get(CHARMS.of(world.model), MYSQL.sha256) is not None


async def test_the_last_unit_to_leave_after_the_look_is_noticed(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    relation = await world.integrate("wordpress", "mysql")
    await world.enter(relation, "mysql/0")
    await world.run(remove_relation, relation.id)

    async def deed() -> None:
        await world.run(leave_scope, relation.id, "mysql/0")

    slow, meddler = meddled(world, under(world.model, RELATION_SCOPES, str(relation.id)), deed)
    await slow.reap()

    assert meddler.is_done
    assert await world.relation(relation.id) is None


async def test_a_namesake_that_comes_while_its_forerunner_is_swept_is_let_be(world: World) -> None:
    await world.deploy(WORDPRESS, config={"title": "old"})
    await world.run(remove_application, "wordpress", force=True)

    async def deed() -> None:
        await world.reap()
        await world.deploy(WORDPRESS, config={"title": "new"})

    slow, meddler = meddled(world, under(world.model, RESOURCES, "wordpress"), deed)
    await slow.reap()

    assert meddler.is_done
    assert (await world.run(get_config, "wordpress"))["title"].value == "new"


async def test_a_unit_that_comes_while_its_machine_goes_keeps_it(world: World) -> None:
    await world.deploy(MYSQL, units=0)
    await world.deploy(WORDPRESS)
    await world.run(remove_application, "wordpress")
    await world.reap()

    async def deed() -> None:
        await world.deploy(MYSQL, "late")

    slow, meddler = meddled(world, under(world.model, UNITS), deed)
    await slow.run(remove_machine, "0")
    await slow.reap()

    assert meddler.is_done
    unit = await world.unit("late/0")
    machines = {key for key in await world.keys() if key.startswith("machines/")}
    assert f"machines/{unit.machine}" in machines


async def test_an_application_that_comes_while_its_model_goes_is_refused_or_goes_too(world: World) -> None:
    await world.deploy(MYSQL)
    await world.run(destroy_model)

    async def deed() -> None:
        with pytest.raises(NotValidError, match="being destroyed"):
            await world.deploy(WORDPRESS)

    slow, meddler = meddled(world, under(world.model, APPLICATIONS), deed)
    await slow.reap()

    assert meddler.is_done
    assert not (await world.store.list(f"/models/{world.model}/")).entries
