"""Who is in a relation's scope, whom each of them sees, and subordinates that come into being there."""

from __future__ import annotations

import asyncio

import pytest
from plugins.model.tests.conftest import LOGGING, MYSQL, WORDPRESS, World, charm, endpoints

from undercroft_hookspecs import CannotEnterScope, CannotEnterScopeYet
from undercroft_hookspecs.state import Life
from undercroft_model.relations import relations_of, remove_relation
from undercroft_model.scopes import depart_scope, enter_scope, leave_scope, members
from undercroft_model.tables import RELATION_SETTINGS
from undercroft_model.transaction import Transaction
from undercroft_model.units import remove_unit, unit_dead, unit_dying, unit_gone


async def seen(world: World, relation: int, unit: str) -> list[str]:
    return await world.run(members, relation, seen_by=unit)


async def bag(world: World, relation: int, *parts: str) -> dict[str, str] | None:
    found = await Transaction(world.store).get(RELATION_SETTINGS.of(world.model), str(relation), *parts)
    return None if found is None else dict(found.values)


async def test_units_see_those_of_the_other_side_that_have_entered(world: World) -> None:
    await world.deploy(WORDPRESS, units=2)
    await world.deploy(MYSQL, units=3)
    relation = await world.integrate("wordpress", "mysql")

    await world.enter(relation, "mysql/0", "mysql/2", "wordpress/1")

    assert await seen(world, relation.id, "wordpress/1") == ["mysql/0", "mysql/2"]
    assert await seen(world, relation.id, "mysql/0") == ["wordpress/1"]


async def test_peers_see_the_others_and_not_themselves(world: World) -> None:
    await world.deploy(WORDPRESS, units=3)
    (peers,) = await relations_of(world.store, world.model, "wordpress")

    await world.enter(peers, "wordpress/0", "wordpress/1", "wordpress/2")

    assert await seen(world, peers.id, "wordpress/1") == ["wordpress/0", "wordpress/2"]


async def test_a_unit_enters_with_settings(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    relation = await world.integrate("wordpress", "mysql")

    await world.enter(relation, "mysql/0", host="10.0.0.1")

    assert await bag(world, relation.id, "mysql", "0") == {"host": "10.0.0.1"}


async def test_entering_again_keeps_the_settings(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    relation = await world.integrate("wordpress", "mysql")
    await world.enter(relation, "mysql/0", host="10.0.0.1")

    await world.enter(relation, "mysql/0", host="other")

    assert await bag(world, relation.id, "mysql", "0") == {"host": "10.0.0.1"}


async def test_entering_after_leaving_begins_anew(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    relation = await world.integrate("wordpress", "mysql")
    await world.enter(relation, "mysql/0", host="10.0.0.1")
    await world.run(leave_scope, relation.id, "mysql/0")

    await world.enter(relation, "mysql/0", host="10.0.0.9")

    assert await bag(world, relation.id, "mysql", "0") == {"host": "10.0.0.9"}


async def test_a_departing_unit_is_not_seen_and_still_read(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    relation = await world.integrate("wordpress", "mysql")
    await world.enter(relation, "mysql/0", "wordpress/0", host="10.0.0.1")

    await world.run(depart_scope, relation.id, "mysql/0")

    assert await seen(world, relation.id, "wordpress/0") == []
    assert await bag(world, relation.id, "mysql", "0") == {"host": "10.0.0.1"}


async def test_what_a_unit_said_is_readable_after_it_has_left(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    relation = await world.integrate("wordpress", "mysql")
    await world.enter(relation, "mysql/0", host="10.0.0.1")

    await world.run(leave_scope, relation.id, "mysql/0")

    assert await bag(world, relation.id, "mysql", "0") == {"host": "10.0.0.1"}


async def test_a_dying_relation_is_not_entered(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    relation = await world.integrate("wordpress", "mysql")
    await world.run(remove_relation, relation.id)

    with pytest.raises(CannotEnterScope):
        await world.enter(relation, "mysql/0")


async def test_a_dying_unit_does_not_enter(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    await world.start("mysql/0")
    relation = await world.integrate("wordpress", "mysql")
    await world.run(remove_unit, "mysql/0")

    with pytest.raises(CannotEnterScope):
        await world.enter(relation, "mysql/0")


async def test_a_unit_of_another_application_does_not_enter(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    await world.deploy(charm("other"))
    relation = await world.integrate("wordpress", "mysql")

    with pytest.raises(CannotEnterScope, match="no part in"):
        await world.enter(relation, "other/0")


async def test_the_last_unit_to_leave_ends_a_dying_relation(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    before = await world.keys()
    relation = await world.integrate("wordpress", "mysql")
    await world.enter(relation, "mysql/0", "wordpress/0")
    await world.run(remove_relation, relation.id)
    await world.reap()

    await world.run(leave_scope, relation.id, "mysql/0")
    await world.reap()
    between = await world.relation(relation.id)
    await world.run(leave_scope, relation.id, "wordpress/0")
    await world.reap()

    assert between is not None
    assert await world.keys() == before


async def test_a_dying_relation_ends_while_everybody_reaps(world: World) -> None:
    await world.deploy(WORDPRESS, units=5)
    await world.deploy(MYSQL, units=5)
    before = await world.keys()
    relation = await world.integrate("wordpress", "mysql")
    names = [f"{name}/{number}" for name in ("mysql", "wordpress") for number in range(5)]
    await world.enter(relation, *names)
    await world.run(remove_relation, relation.id)

    async def leave(unit: str) -> None:
        await world.run(leave_scope, relation.id, unit)
        await world.reap()

    await asyncio.gather(*map(leave, names))

    assert await world.keys() == before


async def test_a_subordinate_comes_into_being_beside_its_principal(world: World) -> None:
    await world.deploy(MYSQL, units=2)
    await world.deploy(LOGGING)
    relation = await world.integrate("logging", "mysql")
    assert await world.units() == ["mysql/0", "mysql/1"]

    await world.enter(relation, "mysql/1")

    born = await world.unit("logging/0")
    assert (born.principal, born.machine) == ("mysql/1", (await world.unit("mysql/1")).machine)
    assert (await world.unit("mysql/1")).subordinates == ("logging/0",)


async def test_a_principal_has_one_subordinate_of_each_application(world: World) -> None:
    await world.deploy(MYSQL)
    await world.deploy(LOGGING)
    relation = await world.integrate("logging", "mysql")

    await world.enter(relation, "mysql/0")
    await world.enter(relation, "mysql/0", "logging/0")

    assert await world.units() == ["logging/0", "mysql/0"]


async def test_principals_that_enter_at_once_get_a_subordinate_each(world: World) -> None:
    await world.deploy(MYSQL, units=8)
    await world.deploy(LOGGING)
    relation = await world.integrate("logging", "mysql")

    await asyncio.gather(*(world.enter(relation, f"mysql/{number}") for number in range(8)))

    born = [await world.unit(name) for name in await world.units() if name.startswith("logging/")]
    assert {unit.principal for unit in born} == {f"mysql/{number}" for number in range(8)}


async def test_in_container_scope_units_see_those_on_their_principal(world: World) -> None:
    await world.deploy(MYSQL, units=2)
    await world.deploy(LOGGING)
    relation = await world.integrate("logging", "mysql")
    await world.enter(relation, "mysql/0", "mysql/1", "logging/0", "logging/1")

    assert await seen(world, relation.id, "mysql/0") == ["logging/0"]
    assert await seen(world, relation.id, "logging/1") == ["mysql/1"]


async def test_a_subordinate_has_no_part_in_its_applications_relation_with_others(world: World) -> None:
    await world.deploy(MYSQL)
    await world.deploy(WORDPRESS)
    await world.deploy(LOGGING)
    with_mysql = await world.integrate("logging", "mysql")
    with_wordpress = await world.integrate("logging", "wordpress")
    await world.enter(with_mysql, "mysql/0")

    with pytest.raises(CannotEnterScope, match="no part in"):
        await world.enter(with_wordpress, "logging/0")


async def test_a_principal_waits_for_its_former_subordinate_to_go(world: World) -> None:
    await world.deploy(MYSQL)
    await world.deploy(LOGGING)
    relation = await world.integrate("logging", "mysql")
    await world.enter(relation, "mysql/0")
    await world.start("logging/0")
    await world.run(unit_dying, "logging/0")

    with pytest.raises(CannotEnterScopeYet):
        await world.enter(relation, "mysql/0")


async def test_a_new_subordinate_comes_once_the_former_is_gone(world: World) -> None:
    await world.deploy(MYSQL)
    await world.deploy(LOGGING)
    relation = await world.integrate("logging", "mysql")
    await world.enter(relation, "mysql/0")
    await world.start("logging/0")
    await world.run(unit_dying, "logging/0")
    await world.run(unit_dead, "logging/0")
    await world.run(unit_gone, "logging/0")
    await world.reap()

    await world.enter(relation, "mysql/0")

    assert (await world.unit("mysql/0")).subordinates == ("logging/1",)


async def test_a_subordinate_dies_with_its_relation(world: World) -> None:
    await world.deploy(MYSQL)
    await world.deploy(LOGGING)
    relation = await world.integrate("logging", "mysql")
    await world.enter(relation, "mysql/0", "logging/0")
    await world.start("mysql/0", "logging/0")
    await world.run(remove_relation, relation.id)

    await world.run(leave_scope, relation.id, "logging/0")
    await world.run(leave_scope, relation.id, "mysql/0")
    await world.reap()

    assert await world.relation(relation.id) is None
    assert (await world.unit("logging/0")).life is Life.DYING


async def test_a_subordinate_stays_while_another_relation_holds_it(world: World) -> None:
    both = charm("both", endpoints("requirer", "info:juju-info", "more:extra", scope="container"), subordinate=True)
    await world.deploy(charm("app", endpoints("provider", "extra:extra")))
    await world.deploy(both)
    first = await world.integrate("both:info", "app")
    await world.integrate("both:more", "app")
    await world.enter(first, "app/0")
    await world.start("both/0")

    await world.run(remove_relation, first.id, force=True)
    await world.reap()

    assert (await world.unit("both/0")).life is Life.ALIVE


async def test_entering_a_relation_that_is_gone_says_so(world: World) -> None:
    await world.deploy(MYSQL)

    with pytest.raises(CannotEnterScope):
        await world.run(enter_scope, 99, "mysql/0", settings={}, now=world.clock.now())
