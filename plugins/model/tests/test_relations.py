"""Which endpoints match, what is refused, and that two operators cannot do the same thing twice."""

from __future__ import annotations

import asyncio

import pytest
from plugins.model.tests.conftest import LOGGING, MYSQL, WORDPRESS, World, charm, endpoints

from undercroft_hookspecs import AlreadyExistsError, NotFoundError, NotValidError
from undercroft_hookspecs.state import Life
from undercroft_model.applications import remove_application
from undercroft_model.relations import find_relation, relations_of, remove_relation


async def test_the_only_match_by_interface_and_role_is_taken(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)

    relation = await world.integrate("mysql", "wordpress")

    assert relation.key == "wordpress:db mysql:server"
    assert relation.life is Life.ALIVE
    assert relation.scope == "global"


async def test_numbers_of_relations_are_never_given_twice(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    first = await world.integrate("mysql", "wordpress")
    await world.run(remove_relation, first.id)
    await world.reap()

    second = await world.integrate("mysql", "wordpress")

    assert second.id > first.id


async def test_nothing_in_common_is_refused(world: World) -> None:
    await world.deploy(MYSQL)
    await world.deploy(charm("lonely"))

    with pytest.raises(NotValidError, match="no relations found"):
        await world.integrate("mysql", "lonely")


async def test_an_unknown_application_is_named(world: World) -> None:
    await world.deploy(MYSQL)

    with pytest.raises(NotFoundError, match='application "wordpres" not found'):
        await world.integrate("mysql", "wordpres")


async def test_an_unknown_endpoint_is_named(world: World) -> None:
    await world.deploy(MYSQL)
    await world.deploy(WORDPRESS)

    with pytest.raises(NotFoundError, match='application "mysql" has no "serv" relation'):
        await world.integrate("mysql:serv", "wordpress")


async def test_several_matches_are_all_named(world: World) -> None:
    await world.deploy(charm("client", endpoints("requirer", "read:mysql", "write:mysql")))
    await world.deploy(MYSQL)

    with pytest.raises(NotValidError) as caught:
        await world.integrate("client", "mysql")

    assert str(caught.value) == (
        'ambiguous relation: "client mysql" could refer to "client:read mysql:server"; "client:write mysql:server"'
    )


async def test_an_endpoint_decides_between_several_matches(world: World) -> None:
    await world.deploy(charm("client", endpoints("requirer", "read:mysql", "write:mysql")))
    await world.deploy(MYSQL)

    relation = await world.integrate("client:write", "mysql")

    assert relation.key == "client:write mysql:server"


async def test_a_relation_to_itself_is_refused(world: World) -> None:
    both = charm("both", endpoints("requirer", "in:x"), endpoints("provider", "out:x"))
    await world.deploy(both)

    with pytest.raises(NotValidError, match='"both" cannot be integrated with itself'):
        await world.integrate("both:in", "both:out")


async def test_the_implicit_endpoint_serves_where_no_other_matches(world: World) -> None:
    await world.deploy(LOGGING)
    await world.deploy(MYSQL)

    relation = await world.integrate("logging", "mysql")

    assert relation.key == "logging:info mysql:juju-info"
    assert relation.scope == "container"


async def test_an_explicit_match_goes_before_the_implicit_one(world: World) -> None:
    await world.deploy(LOGGING)
    await world.deploy(charm("app", endpoints("provider", "logging-directory:logging")))

    relation = await world.integrate("logging", "app")

    assert relation.key == "logging:logging-directory app:logging-directory"


async def test_a_second_relation_between_the_same_endpoints_is_refused(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    await world.integrate("wordpress", "mysql")

    with pytest.raises(AlreadyExistsError) as caught:
        await world.integrate("wordpress", "mysql")

    assert str(caught.value) == (
        'cannot add relation "wordpress:db mysql:server": relation wordpress:db mysql:server already exists'
    )


async def test_two_operators_at_once_make_one_relation(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)

    results = await asyncio.gather(*(world.integrate("wordpress", "mysql") for _ in range(5)), return_exceptions=True)

    assert sum(isinstance(result, AlreadyExistsError) for result in results) == 4
    found = await relations_of(world.store, world.model, "mysql")
    assert len(found) == 1


async def test_a_limit_is_kept_by_two_operators_at_once(world: World) -> None:
    await world.deploy(charm("client", endpoints("requirer", "db:mysql", limit=1)))
    await world.deploy(MYSQL, "one")
    await world.deploy(MYSQL, "two")

    results = await asyncio.gather(
        world.integrate("client", "one"), world.integrate("client", "two"), return_exceptions=True
    )

    (refused,) = [str(result) for result in results if isinstance(result, NotValidError)]
    assert "would exceed its maximum relation limit of 1" in refused


async def test_container_scope_needs_a_subordinate(world: World) -> None:
    await world.deploy(charm("plain", endpoints("requirer", "info:juju-info", scope="container")))
    await world.deploy(MYSQL)

    with pytest.raises(NotValidError, match="container scoped relation requires at least one subordinate application"):
        await world.integrate("plain", "mysql")


async def test_a_dying_application_is_not_related(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    await world.run(remove_application, "mysql")

    with pytest.raises(NotValidError, match="application mysql is being removed"):
        await world.integrate("wordpress", "mysql")


async def test_peers_are_made_with_their_application(world: World) -> None:
    await world.deploy(WORDPRESS)

    (peers,) = await relations_of(world.store, world.model, "wordpress")

    assert peers.key == "wordpress:loadbalancer"


async def test_peers_are_not_removed_by_themselves(world: World) -> None:
    await world.deploy(WORDPRESS)
    (peers,) = await relations_of(world.store, world.model, "wordpress")

    with pytest.raises(NotValidError, match='cannot remove the peer relation "wordpress:loadbalancer"'):
        await world.run(remove_relation, peers.id)


async def test_a_relation_is_found_by_its_ends_in_any_order(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    relation = await world.integrate("wordpress", "mysql")

    found = await world.run(find_relation, "mysql:server", "wordpress")

    assert found == relation


async def test_a_relation_that_is_not_there_is_not_found(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)

    with pytest.raises(NotFoundError, match='relation "wordpress mysql" not found'):
        await world.run(find_relation, "wordpress", "mysql")


async def test_of_several_relations_none_is_guessed(world: World) -> None:
    await world.deploy(charm("client", endpoints("requirer", "read:mysql", "write:mysql")))
    await world.deploy(MYSQL)
    await world.integrate("client:read", "mysql")
    await world.integrate("client:write", "mysql")

    with pytest.raises(NotValidError, match="ambiguous relation"):
        await world.run(find_relation, "client", "mysql")


async def test_a_relation_without_units_in_scope_goes_at_once(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    before = await world.keys()
    relation = await world.integrate("wordpress", "mysql")

    await world.run(remove_relation, relation.id)
    await world.reap()

    assert await world.keys() == before


async def test_a_relation_with_units_in_scope_waits_for_them(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    relation = await world.integrate("wordpress", "mysql")
    await world.enter(relation, "mysql/0")

    await world.run(remove_relation, relation.id)
    await world.reap()

    left = await world.relation(relation.id)
    assert left is not None
    assert left.life is Life.DYING


async def test_a_dying_relation_is_not_made_anew_beside_itself(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    relation = await world.integrate("wordpress", "mysql")
    await world.enter(relation, "mysql/0")
    await world.run(remove_relation, relation.id)

    with pytest.raises(AlreadyExistsError, match="already exists, and is being removed"):
        await world.integrate("wordpress", "mysql")


async def test_force_does_not_wait_for_units_in_scope(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    before = await world.keys()
    relation = await world.integrate("wordpress", "mysql")
    await world.enter(relation, "mysql/0", "wordpress/0", port="3306")

    await world.run(remove_relation, relation.id, force=True)
    await world.reap()

    assert await world.keys() == before
