"""Applications: deployed whole or not at all, configured by their charm's types, refreshed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from plugins.model.tests.conftest import LOGGING, MYSQL, WORDPRESS, World, charm, endpoints

from undercroft_hookspecs import AlreadyExistsError, NotFoundError, NotValidError
from undercroft_hookspecs.charm import OptionSpec, ResourceSpec, StorageSpec
from undercroft_hookspecs.state import Life
from undercroft_model.applications import (
    attach_resource,
    effective_config,
    get_config,
    refresh,
    remove_application,
    set_config,
    set_exposed,
    set_trust,
)
from undercroft_model.models import destroy_model
from undercroft_model.rows import Resource
from undercroft_model.tables import CHARMS, RESOURCES
from undercroft_model.transaction import Transaction


async def values(world: World, name: str = "wordpress") -> dict[str, object]:
    return {option: found.value for option, found in (await world.run(get_config, name)).items()}


async def test_an_application_is_deployed_with_its_charm_config_and_units(world: World) -> None:
    deployed = await world.deploy(WORDPRESS, "blog", units=2, config={"title": "Mine"}, trust=True)

    blog = await world.application("blog")
    assert deployed.application == blog
    assert (blog.charm_url, blog.charm_name, blog.trust) == ("local:wordpress-0", "wordpress", True)
    assert await world.units() == ["blog/0", "blog/1"]
    assert (await values(world, "blog"))["title"] == "Mine"
    assert await Transaction(world.store).get(CHARMS.of(world.model), WORDPRESS.sha256) == WORDPRESS


async def test_every_deployment_of_a_charm_has_its_own_revision(world: World) -> None:
    await world.deploy(MYSQL, "one")
    await world.deploy(MYSQL, "two")

    assert (await world.application("two")).charm_url == "local:mysql-1"


async def test_a_name_is_taken_once(world: World) -> None:
    await world.deploy(MYSQL)

    with pytest.raises(AlreadyExistsError, match='cannot add application "mysql": application already exists'):
        await world.deploy(MYSQL)


async def test_of_two_operators_at_once_one_deploys(world: World) -> None:
    results = await asyncio.gather(*(world.deploy(MYSQL) for _ in range(4)), return_exceptions=True)

    assert sum(isinstance(result, AlreadyExistsError) for result in results) == 3
    assert await world.units() == ["mysql/0"]


@pytest.mark.parametrize("name", ["MySQL", "my_sql", "mysql-0", "", "a/b", "..", "-x"])
async def test_a_name_that_is_none_is_refused(world: World, name: str) -> None:
    with pytest.raises(NotValidError, match="invalid application name"):
        await world.deploy(charm("x"), name=name or " ")


async def test_no_application_is_called_as_the_model_is_when_it_owns_secrets(world: World) -> None:
    with pytest.raises(NotValidError, match="secrets whose owner is"):
        await world.deploy(WORDPRESS, "model")

    assert await world.units() == []


async def test_a_subordinate_begins_without_units(world: World) -> None:
    await world.deploy(LOGGING)

    assert await world.units() == []
    assert (await world.application("logging")).subordinate


async def test_units_of_a_subordinate_are_not_asked_for(world: World) -> None:
    with pytest.raises(NotValidError, match="cannot use --num-units or --to with a subordinate application"):
        await world.deploy(LOGGING, units=2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"config": {"titel": "x"}}, 'unknown option "titel"'),
        ({"config": {"workers": "many"}}, 'option "workers" expected'),
        ({"bindings": {"nothing": "alpha"}}, 'has no endpoint called "nothing"'),
        ({"storage": {"data": "1G"}}, 'has no store called "data"'),
        ({"resources": {"image": Resource(sha256="x")}}, 'has no resource called "image"'),
        ({"units": -1}, "cannot deploy -1 units"),
    ],
)
async def test_what_the_charm_does_not_have_is_refused_and_nothing_is_left(
    world: World, fields: dict[str, Any], message: str
) -> None:
    before = await world.keys()

    with pytest.raises(NotValidError, match=message):
        await world.deploy(WORDPRESS, **fields)

    assert await world.keys() == before


async def test_nothing_is_deployed_into_a_dying_model(world: World) -> None:
    await world.deploy(MYSQL)
    await world.run(destroy_model)

    with pytest.raises(NotValidError, match="it is being destroyed"):
        await world.deploy(WORDPRESS)


async def test_options_have_types_and_defaults(world: World) -> None:
    await world.deploy(WORDPRESS)

    found = await world.run(get_config, "wordpress")

    assert (found["title"].value, found["title"].source, found["title"].type) == ("My Title", "default", "string")
    assert (found["workers"].value, found["workers"].default) == (4, 4)
    assert (found["ratio"].value, found["ratio"].source) == (None, "unset")


async def test_text_becomes_the_options_type(world: World) -> None:
    await world.deploy(WORDPRESS)

    await world.run(set_config, "wordpress", {"workers": "8", "ratio": "0.5", "debug": "true", "title": "8"})

    assert await values(world) == {"workers": 8, "ratio": 0.5, "debug": True, "title": "8"}


async def test_options_keep_what_is_not_mentioned(world: World) -> None:
    await world.deploy(WORDPRESS, config={"title": "Mine", "workers": 2})

    await world.run(set_config, "wordpress", {"debug": True}, reset=["workers"])

    assert await values(world) == {"title": "Mine", "workers": 4, "debug": True, "ratio": None}


async def test_all_options_are_set_or_none(world: World) -> None:
    await world.deploy(WORDPRESS)

    with pytest.raises(NotValidError):
        await world.run(set_config, "wordpress", {"title": "Mine", "nothing": "x"})

    assert (await values(world))["title"] == "My Title"


async def test_operators_at_once_do_not_undo_each_others_options(world: World) -> None:
    await world.deploy(WORDPRESS)

    await asyncio.gather(
        world.run(set_config, "wordpress", {"title": "Mine"}),
        world.run(set_config, "wordpress", {"workers": 9}),
        world.run(set_config, "wordpress", {"debug": True}),
    )

    found = await values(world)
    assert (found["title"], found["workers"], found["debug"]) == ("Mine", 9, True)


async def test_a_charm_reads_what_was_set_and_else_the_default(world: World) -> None:
    await world.deploy(WORDPRESS, config={"title": "Mine"})

    found = await world.run(effective_config, "wordpress")

    assert (found["title"], found["workers"]) == ("Mine", 4)


async def test_trust_is_given_and_taken(world: World) -> None:
    await world.deploy(MYSQL)

    await world.run(set_trust, "mysql", True)
    given = (await world.application("mysql")).trust
    await world.run(set_config, "mysql", {"trust": "false"})

    assert given
    assert not (await world.application("mysql")).trust


async def test_an_application_is_exposed(world: World) -> None:
    await world.deploy(MYSQL)

    await world.run(set_exposed, "mysql", True)

    assert (await world.application("mysql")).exposed


async def test_a_refresh_gives_another_charm_under_a_new_url(world: World) -> None:
    await world.deploy(MYSQL)

    await world.run(refresh, "mysql", charm("mysql", sha256="new"))

    refreshed = await world.application("mysql")
    assert (refreshed.charm, refreshed.charm_url, refreshed.charm_modified_version) == ("new", "local:mysql-1", 1)


async def test_a_refresh_to_the_same_charm_has_a_new_url_too(world: World) -> None:
    await world.deploy(MYSQL)

    await world.run(refresh, "mysql", MYSQL)

    assert (await world.application("mysql")).charm_url == "local:mysql-1"


async def test_a_refresh_keeps_the_options_that_still_fit(world: World) -> None:
    await world.deploy(WORDPRESS, config={"title": "Mine", "workers": 2, "debug": True})
    options = {"title": OptionSpec(default="x"), "workers": OptionSpec(type="string", default="few")}
    peers = endpoints("peer", "loadbalancer:reversenginx")

    await world.run(refresh, "wordpress", charm("wordpress", peers, sha256="new", options=options))

    assert await values(world) == {"title": "Mine", "workers": "few"}


async def test_a_refresh_to_another_charm_is_refused(world: World) -> None:
    await world.deploy(MYSQL)

    with pytest.raises(NotValidError, match="that is another charm"):
        await world.run(refresh, "mysql", charm("postgresql"))


async def test_a_refresh_does_not_break_relations(world: World) -> None:
    await world.deploy(MYSQL)
    await world.deploy(WORDPRESS)
    await world.integrate("wordpress", "mysql")

    with pytest.raises(NotValidError, match='the charm would break relation "wordpress:db mysql:server"'):
        await world.run(refresh, "mysql", charm("mysql", sha256="new"))


async def test_a_refresh_does_not_turn_a_principal_into_a_subordinate(world: World) -> None:
    await world.deploy(MYSQL)

    with pytest.raises(NotValidError, match="subordinacy cannot change"):
        await world.run(refresh, "mysql", charm("mysql", sha256="new", subordinate=True))


async def test_a_dying_application_is_not_refreshed(world: World) -> None:
    await world.deploy(MYSQL)
    await world.run(remove_application, "mysql")

    with pytest.raises(NotValidError, match="it is being removed"):
        await world.run(refresh, "mysql", MYSQL)


async def test_a_new_resource_counts_as_a_modified_charm(world: World) -> None:
    kept = charm(
        "kept", resources={"data": ResourceSpec(filename="data.bin")}, storage={"disk": StorageSpec(type="block")}
    )
    await world.deploy(kept, resources={"data": Resource(sha256="one")}, storage={"disk": "loop,1G"})

    await world.run(attach_resource, "kept", "data", Resource(sha256="two"))

    found = await world.application("kept")
    assert (found.resources, found.charm_modified_version) == ({"data": "two"}, 1)
    record = await Transaction(world.store).get(RESOURCES.of(world.model), "kept", "data")
    assert record is not None
    assert (record.sha256, record.revision) == ("two", 1)


async def test_an_application_that_is_removed_is_dying(world: World) -> None:
    await world.deploy(MYSQL)

    await world.run(remove_application, "mysql")

    assert (await world.application("mysql")).life is Life.DYING


async def test_an_unknown_application_is_not_removed(world: World) -> None:
    with pytest.raises(NotFoundError, match='application "mysql" not found'):
        await world.run(remove_application, "mysql")
