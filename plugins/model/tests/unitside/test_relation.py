from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

import pytest
from plugins.model.tests.conftest import LOGGING, MYSQL, WORDPRESS
from plugins.model.tests.unitside.conftest import Units

from undercroft_hookspecs import NotFoundError, NotLeaderError, NotPermittedError
from undercroft_hookspecs.hook_facades import HookChanges, HookFacade
from undercroft_hookspecs.relation_facades import LeadershipFacade, RelationFacade
from undercroft_hookspecs.state import Life
from undercroft_model.relations import remove_relation

T = TypeVar("T")


async def following(states: AsyncIterator[T]) -> T:
    async with asyncio.timeout(10):
        return await anext(states)


async def test_a_unit_sees_its_relations_from_its_side(units: Units) -> None:
    relation = await units.related()

    seen = await units.of("shop/0", RelationFacade).relations()

    by_name = {each.endpoint.name: each for each in seen}
    assert set(by_name) == {"db", "cluster"}
    assert by_name["db"].relation.id == relation.id
    assert str(by_name["db"].remote) == "mysql:server"
    assert str(by_name["cluster"].remote) == "shop:cluster"


async def test_a_relation_by_juju_info_is_implicit_on_that_side_alone(units: Units) -> None:
    await units.world.deploy(MYSQL)
    await units.world.deploy(LOGGING, units=0)
    relation = await units.world.integrate("logging:info", "mysql")
    await units.world.start("mysql/0")
    await units.of("mysql/0", RelationFacade).enter_scope(relation.id)

    mine = await units.of("mysql/0", RelationFacade).relations()
    other = await units.of("logging/0", RelationFacade).relations()

    assert [each.is_implicit for each in mine] == [True]
    assert [each.is_implicit for each in other] == [False]


async def test_relations_are_followed_through_their_life(units: Units) -> None:
    await units.world.deploy(WORDPRESS)
    await units.world.deploy(MYSQL)
    async with units.of("mysql/0", RelationFacade).watch_relations() as states:
        assert await following(states) == ()

        relation = await units.world.integrate("wordpress:db", "mysql:server")
        assert [each.relation.id for each in await following(states)] == [relation.id]
        await units.world.enter(relation, "mysql/0")
        await units.world.run(remove_relation, relation.id)
        assert [each.relation.life for each in await following(states)] == [Life.DYING]


async def test_a_unit_s_bag_has_its_addresses_from_the_beginning(units: Units) -> None:
    relation = await units.related()
    facade = units.of("shop/0", RelationFacade)

    await facade.enter_scope(relation.id)

    assert await facade.read_settings(relation.id, "shop/0") == {
        "private-address": "10.0.0.1",
        "ingress-address": "10.0.0.1",
        "egress-subnets": "10.0.0.1/32",
    }
    assert await facade.relations_in_scope() == [relation.id]


async def test_members_come_change_and_go(units: Units) -> None:
    relation = await units.related()
    mysql = units.of("mysql/0", RelationFacade)
    async with units.of("shop/0", RelationFacade).watch_members(relation.id) as states:
        assert (await following(states)).units == {}

        await mysql.enter_scope(relation.id)
        joined = (await following(states)).units["mysql/0"]
        await units.of("mysql/0", HookFacade).commit(HookChanges(unit_settings={relation.id: {"port": "3306"}}))
        changed = (await following(states)).units["mysql/0"]
        await mysql.depart_scope(relation.id)
        gone = await following(states)

    assert changed != joined
    assert gone.units == {}


async def test_what_is_said_again_is_no_change(units: Units) -> None:
    relation = await units.related()
    await units.of("mysql/0", RelationFacade).enter_scope(relation.id)
    hooks = units.of("mysql/0", HookFacade)
    await hooks.commit(HookChanges(unit_settings={relation.id: {"port": "3306"}}))
    revision = (await units.world.store.list("")).revision

    await hooks.commit(HookChanges(unit_settings={relation.id: {"port": "3306", "absent": ""}}))

    assert (await units.world.store.list("")).revision == revision


async def test_an_application_is_a_member_once_its_leader_has_said_something(units: Units) -> None:
    relation = await units.related()
    async with units.of("shop/0", RelationFacade).watch_members(relation.id) as states:
        assert (await following(states)).applications == {}

        await units.of("mysql/0", LeadershipFacade).claim()
        changes = HookChanges(application_settings={relation.id: {"name": "shop"}})
        await units.of("mysql/0", HookFacade).commit(changes)

        assert list((await following(states)).applications) == ["mysql"]


async def test_peers_see_one_another_but_not_themselves(units: Units) -> None:
    await units.related()
    facade = units.of("shop/0", RelationFacade)
    (peers,) = [each.relation for each in await facade.relations() if each.endpoint.name == "cluster"]
    await facade.enter_scope(peers.id)
    await units.of("shop/1", RelationFacade).enter_scope(peers.id)

    async with facade.watch_members(peers.id) as states:
        assert list((await following(states)).units) == ["shop/1"]


async def test_in_container_scope_a_unit_sees_those_beside_it_only(units: Units) -> None:
    await units.world.deploy(MYSQL, units=2)
    await units.world.deploy(LOGGING, units=0)
    await units.world.start("mysql/0", "mysql/1")
    relation = await units.world.integrate("logging:info", "mysql")
    for name in ("mysql/0", "mysql/1"):
        await units.of(name, RelationFacade).enter_scope(relation.id)
    for name in ("logging/0", "logging/1"):
        await units.of(name, RelationFacade).enter_scope(relation.id)

    async with units.of("mysql/1", RelationFacade).watch_members(relation.id) as states:
        assert list((await following(states)).units) == ["logging/1"]


async def test_the_watch_of_members_ends_with_the_relation(units: Units) -> None:
    relation = await units.related()

    async with units.of("shop/0", RelationFacade).watch_members(relation.id) as states:
        await following(states)
        await units.world.run(remove_relation, relation.id)
        await units.world.reap()
        with pytest.raises(NotFoundError):
            await following(states)


async def test_what_a_unit_said_stays_readable_after_it_has_left(units: Units) -> None:
    relation = await units.related()
    mysql = units.of("mysql/0", RelationFacade)
    await mysql.enter_scope(relation.id)
    await mysql.leave_scope(relation.id)

    settings = await units.of("shop/0", RelationFacade).read_settings(relation.id, "mysql/0")

    assert settings["private-address"] == "10.0.0.1"
    assert await mysql.relations_in_scope() == []


async def test_who_has_never_been_in_a_relation_has_said_nothing_there(units: Units) -> None:
    relation = await units.related()

    with pytest.raises(NotFoundError, match="settings not found"):
        await units.of("shop/0", RelationFacade).read_settings(relation.id, "mysql/0")


async def test_a_unit_may_not_read_what_its_fellows_say_to_others(units: Units) -> None:
    relation = await units.related()
    await units.of("shop/1", RelationFacade).enter_scope(relation.id)

    with pytest.raises(NotPermittedError):
        await units.of("shop/0", RelationFacade).read_settings(relation.id, "shop/1")


async def test_a_stranger_may_read_nothing(units: Units) -> None:
    relation = await units.related()
    await units.world.deploy(WORDPRESS)

    with pytest.raises(NotPermittedError):
        await units.of("wordpress/0", RelationFacade).read_settings(relation.id, "mysql/0")
    with pytest.raises(NotPermittedError):
        await units.of("shop/0", RelationFacade).read_settings(relation.id, "wordpress/0")


async def test_only_the_leader_reads_what_its_application_says(units: Units) -> None:
    relation = await units.related()
    await units.of("mysql/0", LeadershipFacade).claim()
    await units.of("mysql/0", HookFacade).commit(HookChanges(application_settings={relation.id: {"a": "b"}}))

    assert await units.of("mysql/0", RelationFacade).read_settings(relation.id, "mysql") == {"a": "b"}
    assert await units.of("shop/1", RelationFacade).read_settings(relation.id, "mysql") == {"a": "b"}
    with pytest.raises(NotLeaderError):
        await units.of("mysql/1", RelationFacade).read_settings(relation.id, "mysql")


async def test_peers_read_what_their_leader_says_to_them(units: Units) -> None:
    await units.related()
    facade = units.of("shop/1", RelationFacade)
    (peers,) = [each.relation for each in await facade.relations() if each.endpoint.name == "cluster"]
    await units.of("shop/0", LeadershipFacade).claim()
    await units.of("shop/0", HookFacade).commit(HookChanges(application_settings={peers.id: {"a": "b"}}))

    assert await facade.read_settings(peers.id, "shop") == {"a": "b"}


async def test_the_leader_says_how_a_relation_is(units: Units) -> None:
    relation = await units.related()
    with pytest.raises(NotLeaderError):
        await units.of("mysql/0", RelationFacade).set_relation_status(relation.id, "joined")
    await units.of("mysql/0", LeadershipFacade).claim()

    await units.of("mysql/0", RelationFacade).set_relation_status(relation.id, "joined")

    present = await units.world.relation(relation.id)
    assert present is not None
    assert present.status is not None
    assert present.status.current == "joined"
