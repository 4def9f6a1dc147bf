"""What a host is told of the units that it once had."""

from __future__ import annotations

from plugins.model.tests.conftest import HERE, MYSQL, WORDPRESS, World

from undercroft_hookspecs.identity import HostId
from undercroft_hookspecs.state import RemovedUnit
from undercroft_model.applications import remove_application
from undercroft_model.models import destroy_model
from undercroft_model.placement import RemovedUnits
from undercroft_model.units import remove_unit, unit_dead, unit_gone

ELSEWHERE = HostId.parse("5b2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f")


def removals(world: World, host: HostId | None = None) -> RemovedUnits:
    """The facade of a host."""
    return RemovedUnits(world.store, host or HostId.parse(HERE.id), clock=world.clock, rng=world.rng)


async def removed(world: World, host: HostId | None = None) -> list[RemovedUnit]:
    """What a host is told."""
    async with removals(world, host).watch_removed() as states:
        return list(await anext(states))


async def test_a_host_is_told_of_a_unit_that_was_removed_by_force(world: World) -> None:
    await world.deploy(MYSQL)
    await world.start("mysql/0")
    unit = await world.unit("mysql/0")

    await world.run(remove_unit, "mysql/0", force=True)
    await world.reap()

    assert await world.units() == []
    assert await removed(world) == [RemovedUnit(model=str(world.model), unit="mysql/0", created=unit.created)]


async def test_a_host_is_told_of_nothing_that_is_still_there(world: World) -> None:
    await world.deploy(MYSQL)
    await world.start("mysql/0")

    assert await removed(world) == []


async def test_a_host_is_not_told_of_the_units_of_others(world: World) -> None:
    await world.deploy(MYSQL)

    await world.run(remove_application, "mysql", force=True)
    await world.reap()

    assert await removed(world, ELSEWHERE) == []


async def test_a_host_is_told_of_the_units_of_a_model_that_was_destroyed_by_force(world: World) -> None:
    await world.deploy(MYSQL)
    await world.deploy(WORDPRESS, units=2)
    await world.start("mysql/0", "wordpress/0", "wordpress/1")

    await world.run(destroy_model, force=True)
    await world.reap()

    assert sorted(each.unit for each in await removed(world)) == ["mysql/0", "wordpress/0", "wordpress/1"]


async def test_what_was_seen_to_is_forgotten_and_that_twice_is_nothing(world: World) -> None:
    await world.deploy(MYSQL)
    await world.start("mysql/0")
    await world.run(unit_dead, "mysql/0")
    await world.run(unit_gone, "mysql/0")
    await world.reap()
    (told,) = await removed(world)

    await removals(world).forget_removed(told)
    await removals(world).forget_removed(told)

    assert await removed(world) == []


async def test_a_later_one_of_the_same_name_is_not_forgotten_with_it(world: World) -> None:
    await world.deploy(MYSQL)
    await world.run(remove_application, "mysql", force=True)
    await world.reap()
    (first,) = await removed(world)
    await world.deploy(MYSQL)
    await world.run(remove_application, "mysql", force=True)
    await world.reap()

    await removals(world).forget_removed(first)

    (left,) = await removed(world)
    assert left.created != first.created
