"""Hosts as machines of a model, and where new units go."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from plugins.model.tests.conftest import HERE, MYSQL, THERE, World

from undercroft_hookspecs import NotFoundError, NotValidError
from undercroft_hookspecs.state import Host, Machine
from undercroft_model.applications import Deployment, deploy
from undercroft_model.hosts import read_hosts, register_host
from undercroft_model.machines import place, remove_machine, units_on
from undercroft_model.tables import MACHINES
from undercroft_model.transaction import Transaction
from undercroft_model.units import add_units, add_units_in_batches, remove_unit

NOW = datetime(2026, 1, 1, tzinfo=UTC)
THIRD = Host(id="2d2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f", hostname="there")


async def machines(world: World) -> dict[str, str]:
    """The host of each machine."""
    found: dict[tuple[str, ...], Machine] = await Transaction(world.store).look(MACHINES.of(world.model))
    return {machine.id: machine.host for machine in found.values()}


async def register(world: World, *hosts: Host) -> None:
    for host in hosts:
        await world.change(lambda tx, host=host: register_host(tx, host))  # type: ignore[misc]


async def placed(world: World, count: int, *to: str) -> list[str]:
    return await world.run(place, count, to=to, here=None, now=NOW)


async def test_the_first_deployment_registers_this_host(world: World) -> None:
    await world.deploy(MYSQL)

    assert await machines(world) == {"0": HERE.id}
    assert (await read_hosts(world.store))[HERE.id].host == HERE


async def test_a_host_that_is_known_keeps_its_record(world: World) -> None:
    await register(world, Host(id=HERE.id, hostname="older name"))

    await world.deploy(MYSQL)

    assert (await read_hosts(world.store))[HERE.id].host.hostname == "older name"


async def test_a_host_is_one_machine_however_many_units_it_has(world: World) -> None:
    await world.deploy(MYSQL, units=3)

    assert [(await world.unit(name)).machine for name in await world.units()] == ["0", "0", "0"]


async def test_deployments_at_once_make_one_machine_of_a_host(world: World) -> None:
    await asyncio.gather(*(world.deploy(MYSQL, f"mysql-{letter}") for letter in "abcde"))

    assert await machines(world) == {"0": HERE.id}


async def test_without_a_host_there_is_nowhere_to_go(world: World) -> None:
    with pytest.raises(NotFoundError, match="there is no host to place units on"):
        await placed(world, 1)


async def test_units_go_to_the_least_loaded_host(world: World) -> None:
    await world.deploy(MYSQL, units=2)
    await register(world, THERE)

    chosen = await placed(world, 3)

    found = await machines(world)
    assert [found[machine] for machine in chosen].count(THERE.id) >= 2


async def test_units_of_other_models_weigh_as_much(world: World) -> None:
    await world.deploy(MYSQL, units=5)
    await register(world, THERE)
    world.model = await world.new_model("second")

    (chosen,) = await placed(world, 1)

    assert (await machines(world))[chosen] == THERE.id


async def test_hosts_whose_agent_runs_are_preferred(world: World) -> None:
    await register(world, HERE, THERE)
    await world.present(THERE)
    await world.deploy(MYSQL, units=3)

    assert set((await machines(world)).values()) == {THERE.id}


async def test_a_machine_is_named_by_its_number(world: World) -> None:
    await world.deploy(MYSQL)
    await register(world, THERE)

    assert await placed(world, 2, "0", "0") == ["0", "0"]


@pytest.mark.parametrize("name", ["there", THERE.id, "host=there"])
async def test_a_host_is_named_by_name_or_id(world: World, name: str) -> None:
    await register(world, HERE, THERE)

    (chosen,) = await placed(world, 1, name)

    assert (await machines(world))[chosen] == THERE.id


async def test_placements_are_for_the_first_units(world: World) -> None:
    await register(world, HERE, THERE)

    chosen = await placed(world, 3, "there")

    found = await machines(world)
    assert found[chosen[0]] == THERE.id
    assert len(chosen) == 3


async def test_two_hosts_of_one_name_are_not_guessed_between(world: World) -> None:
    await register(world, THERE, THIRD)

    with pytest.raises(NotValidError, match='2 hosts are called "there"'):
        await placed(world, 1, "there")


@pytest.mark.parametrize(
    ("directive", "message"),
    [
        ("7", 'machine "7" not found'),
        ("nowhere", 'host "nowhere" not found'),
        ("lxd:0", "units do not run in containers"),
    ],
)
async def test_a_placement_that_cannot_be_met_is_refused_whole(world: World, directive: str, message: str) -> None:
    await register(world, HERE)
    before = await world.keys()

    with pytest.raises((NotFoundError, NotValidError), match=message):
        await world.deploy(MYSQL, to=(directive,))

    assert await world.keys() == before


async def test_more_placements_than_units_are_refused(world: World) -> None:
    await world.deploy(MYSQL)

    with pytest.raises(NotValidError, match="2 placement directives for 1 units"):
        await placed(world, 1, "0", "0")


async def test_units_go_to_as_many_new_machines_as_there_are_units(world: World) -> None:
    hosts = [Host(id=f"{number:08x}-0000-4000-8000-000000000000", hostname=f"host-{number}") for number in range(60)]
    await register(world, *hosts)
    deployed = await world.run(deploy, Deployment(name="mysql", charm=MYSQL, units=60), here=None, now=NOW)

    await add_units_in_batches(
        world.store, world.model, "mysql", deployed.missing, here=None, clock=world.clock, rng=world.rng
    )

    assert len({(await world.unit(name)).machine for name in await world.units()}) == 60


async def test_a_machine_with_units_is_not_removed(world: World) -> None:
    await world.deploy(MYSQL, units=2)

    with pytest.raises(NotValidError, match='machine 0 has units "mysql/0", "mysql/1" assigned'):
        await world.run(remove_machine, "0")


async def test_an_empty_machine_is_removed_and_its_number_not_given_again(world: World) -> None:
    await world.deploy(MYSQL)
    await world.run(remove_unit, "mysql/0")
    await world.reap()

    await world.run(remove_machine, "0")
    await world.reap()
    (added,) = await world.run(add_units, "mysql", 1, here=HERE, now=NOW)

    assert added.machine == "1"
    assert await machines(world) == {"1": HERE.id}


async def test_a_machine_is_removed_with_its_units_by_force(world: World) -> None:
    await world.deploy(MYSQL, units=2)
    await world.start("mysql/0")

    await world.run(remove_machine, "0", force=True)
    await world.reap()

    assert await machines(world) == {}
    assert await world.units() == []


async def test_a_machine_that_is_being_removed_takes_no_unit(world: World) -> None:
    await world.deploy(MYSQL)
    await world.run(remove_machine, "0", force=True)

    with pytest.raises(NotValidError, match="machine 0 is being removed"):
        await placed(world, 1, "0")


async def test_units_are_found_by_their_machine(world: World) -> None:
    await world.deploy(MYSQL, units=2)

    assert await units_on(world.store, world.model, "0") == ["mysql/0", "mysql/1"]
