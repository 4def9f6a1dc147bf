"""Units: numbered, placed, removed, resolved."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from plugins.model.tests.conftest import HERE, LOGGING, MYSQL, World, charm

from undercroft_hookspecs import NotFoundError, NotValidError
from undercroft_hookspecs.charm import StorageSpec
from undercroft_hookspecs.state import Life, Unit
from undercroft_model.applications import remove_application
from undercroft_model.statuses import set_status
from undercroft_model.units import (
    MAX_UNITS_AT_ONCE,
    add_units,
    add_units_in_batches,
    clear_resolved,
    remove_subordinates,
    remove_unit,
    resolve,
    take_up_charm,
    unit_dead,
    unit_dying,
    unit_gone,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def add(world: World, application: str, count: int = 1) -> list[Unit]:
    return await world.run(add_units, application, count, here=HERE, now=NOW)


async def fail(world: World, unit: str) -> None:
    await world.run(set_status, "agent", unit, "error", 'hook failed: "install"', now=NOW)


async def test_numbers_go_on(world: World) -> None:
    await world.deploy(MYSQL, units=2)

    added = await add(world, "mysql", 2)

    assert [unit.name for unit in added] == ["mysql/2", "mysql/3"]


async def test_numbers_are_never_reused(world: World) -> None:
    await world.deploy(MYSQL, units=2)
    await world.run(remove_unit, "mysql/1")
    await world.reap()

    (added,) = await add(world, "mysql")

    assert added.name == "mysql/2"


async def test_operators_at_once_add_different_units(world: World) -> None:
    await world.deploy(MYSQL, units=0)

    await asyncio.gather(*(add(world, "mysql", 2) for _ in range(6)))

    assert len(await world.units()) == 12


async def test_any_number_is_added_in_batches(world: World) -> None:
    deployed = await world.deploy(MYSQL, units=MAX_UNITS_AT_ONCE + 70)
    assert deployed.missing == 70

    await add_units_in_batches(
        world.store, world.model, "mysql", deployed.missing, here=HERE, clock=world.clock, rng=world.rng
    )

    assert len(await world.units()) == MAX_UNITS_AT_ONCE + 70


async def test_too_many_at_once_are_refused(world: World) -> None:
    await world.deploy(MYSQL)

    with pytest.raises(NotValidError, match="at most 25"):
        await add(world, "mysql", 26)


async def test_units_of_an_unknown_application_are_refused(world: World) -> None:
    with pytest.raises(NotFoundError, match='application "mysql" not found'):
        await add(world, "mysql")


async def test_units_of_a_dying_application_are_refused(world: World) -> None:
    await world.deploy(MYSQL)
    await world.run(remove_application, "mysql")

    with pytest.raises(NotValidError, match="it is being removed"):
        await add(world, "mysql")


async def test_units_of_a_subordinate_are_not_added(world: World) -> None:
    await world.deploy(LOGGING)

    with pytest.raises(NotValidError, match="application is a subordinate"):
        await add(world, "logging")


@pytest.mark.parametrize("name", ["mysql/0/1", "mysql", "mysql/", "mysql/01", "../0"])
async def test_what_is_no_units_name_is_refused(world: World, name: str) -> None:
    await world.deploy(MYSQL)

    with pytest.raises(NotValidError, match=f'invalid unit name "{name}"'):
        await world.run(remove_unit, name)


async def test_an_unknown_unit_is_not_found(world: World) -> None:
    await world.deploy(MYSQL)

    with pytest.raises(NotFoundError, match='unit "mysql/7" not found'):
        await world.run(remove_unit, "mysql/7")


async def test_a_unit_that_never_ran_goes_at_once(world: World) -> None:
    await world.deploy(MYSQL, units=2)

    await world.run(remove_unit, "mysql/0")
    await world.reap()

    assert await world.units() == ["mysql/1"]


async def test_a_running_unit_is_left_to_die(world: World) -> None:
    await world.deploy(MYSQL)
    await world.start("mysql/0")

    await world.run(remove_unit, "mysql/0")
    await world.reap()

    assert (await world.unit("mysql/0")).life is Life.DYING


async def test_a_unit_whose_host_has_cleaned_up_goes(world: World) -> None:
    await world.deploy(MYSQL)
    await world.start("mysql/0")

    for step in (remove_unit, unit_dead, unit_gone):
        await world.run(step, "mysql/0")
    await world.reap()

    assert await world.units() == []
    assert await world.applications() == ["mysql"]


async def test_a_unit_that_is_not_dead_is_not_gone(world: World) -> None:
    await world.deploy(MYSQL)

    with pytest.raises(NotValidError, match="is not dead but alive"):
        await world.run(unit_gone, "mysql/0")


async def test_a_unit_that_is_gone_may_be_gone_again(world: World) -> None:
    await world.deploy(MYSQL)

    await world.run(unit_gone, "mysql/9")
    await world.run(unit_dying, "mysql/9")

    assert await world.units() == ["mysql/0"]


async def test_an_operator_does_not_remove_a_subordinate_by_itself(world: World) -> None:
    await world.deploy(MYSQL)
    await world.deploy(LOGGING)
    relation = await world.integrate("logging", "mysql")
    await world.enter(relation, "mysql/0")

    with pytest.raises(NotValidError) as caught:
        await world.run(remove_unit, "logging/0")

    assert str(caught.value) == (
        'unit "logging/0" is a subordinate, to remove use remove-relation. '
        'Note: this will remove all units of "logging" from "mysql"'
    )


async def test_a_principal_lets_its_subordinates_die(world: World) -> None:
    await world.deploy(MYSQL)
    await world.deploy(LOGGING)
    relation = await world.integrate("logging", "mysql")
    await world.enter(relation, "mysql/0")
    await world.start("logging/0")

    await world.run(remove_subordinates, "mysql/0")

    assert (await world.unit("logging/0")).life is Life.DYING


async def test_a_dead_unit_takes_up_no_charm(world: World) -> None:
    await world.deploy(MYSQL)
    await world.run(unit_dead, "mysql/0")

    with pytest.raises(NotValidError, match="is dead"):
        await world.run(take_up_charm, "mysql/0", url="local:mysql-1", sha256="x")


async def test_only_a_unit_in_error_is_resolved(world: World) -> None:
    await world.deploy(MYSQL)

    with pytest.raises(NotValidError, match='unit "mysql/0" is not in an error state'):
        await world.run(resolve, "mysql/0")


@pytest.mark.parametrize(("retry", "mode"), [(True, "retry-hooks"), (False, "no-hooks")])
async def test_a_unit_in_error_is_told_how_to_go_on(world: World, retry: bool, mode: str) -> None:
    await world.deploy(MYSQL)
    await fail(world, "mysql/0")

    await world.run(resolve, "mysql/0", retry=retry)

    assert (await world.unit("mysql/0")).resolved == mode


async def test_a_unit_is_told_once(world: World) -> None:
    await world.deploy(MYSQL)
    await fail(world, "mysql/0")
    await world.run(resolve, "mysql/0")

    with pytest.raises(NotValidError, match="already resolved"):
        await world.run(resolve, "mysql/0")


async def test_a_unit_that_has_gone_on_can_be_told_again(world: World) -> None:
    await world.deploy(charm("app"))
    await fail(world, "app/0")
    await world.run(resolve, "app/0")
    await world.run(clear_resolved, "app/0")

    await world.run(resolve, "app/0", retry=False)

    assert (await world.unit("app/0")).resolved == "no-hooks"


async def test_a_second_unit_is_refused_where_the_storage_of_both_would_be_mounted_at_one_place(world: World) -> None:
    """Its agent would find the place taken, and try for ever."""
    fixed = charm("fixed", storage={"data": StorageSpec(location="/srv/fixed")})
    await world.deploy(fixed)

    with pytest.raises(NotValidError, match="mounted at /srv/fixed, which two units cannot share") as refused:
        await add(world, "fixed")
    with pytest.raises(NotValidError, match="cannot share"):
        await world.deploy(fixed, "twice", units=2)

    assert refused.value.field == "to"


@pytest.mark.parametrize(
    "spec",
    [StorageSpec(location="/srv/many", maximum=2), StorageSpec(location="/srv/maybe", minimum=0), StorageSpec()],
    ids=["several have a place each", "none is made yet", "anywhere"],
)
async def test_units_whose_storage_has_places_of_its_own_share_a_machine(world: World, spec: StorageSpec) -> None:
    await world.deploy(charm("apart", storage={"data": spec}), units=2)

    assert [unit.name for unit in await add(world, "apart")] == ["apart/2"]


async def test_a_unit_that_is_on_its_way_out_keeps_no_place(world: World) -> None:
    await world.deploy(charm("fixed", storage={"data": StorageSpec(location="/srv/fixed")}))
    await world.run(take_up_charm, "fixed/0", url="local:fixed-0", sha256="sha-of-fixed")
    await world.run(remove_unit, "fixed/0")

    assert [unit.name for unit in await add(world, "fixed")] == ["fixed/1"]
