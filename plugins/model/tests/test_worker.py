from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from plugins.model.tests.conftest import HERE, MYSQL, THERE, WORDPRESS, World
from plugins.model.tests.fakes import FlakyStore

from undercroft import stop
from undercroft.dependency import OutputError
from undercroft.testing import FakeAgent, MemoryStore
from undercroft_hookspecs import (
    BlockDevice,
    BlockDeviceFacade,
    BlockDeviceView,
    HostId,
    MachineId,
    NotFoundError,
    PlacementFacade,
    Snapshot,
    Store,
    UnitName,
)
from undercroft_hookspecs.hook_facades import HookChanges, HookFacade
from undercroft_hookspecs.relation_facades import LeadershipFacade, RelationFacade
from undercroft_hookspecs.store import StoreUnusable
from undercroft_hookspecs.unit_facades import ModelFacade, UnitFacade
from undercroft_model.applications import Deployment, deploy, remove_application
from undercroft_model.encryption import SecretsKeyError
from undercroft_model.hosts import read_hosts, register_host
from undercroft_model.models import create_model
from undercroft_model.operator import Operator
from undercroft_model.plugin import Config
from undercroft_model.worker import ModelWorker, key_path, start_model

HOST = HostId.parse(HERE.id)
UNIT = UnitName.parse("mysql/0")


@dataclass(frozen=True)
class ProcessRole:
    role: Literal["agent", "client"]
    model: str | None = None


@asynccontextmanager
async def running(
    store: Store, folder: Path, role: Literal["agent", "client"] = "agent", *, host: HostId = HOST
) -> AsyncIterator[ModelWorker]:
    agent = FakeAgent(data_dir=folder, host=host)
    worker = await start_model(agent, Config(), role=ProcessRole(role, "chosen"), store=store)
    try:
        yield worker
    finally:
        await stop(worker)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


def presence_in(store: Store, wanted: bool) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        hosts = await read_hosts(store)
        return str(HOST) in hosts and hosts[str(HOST)].present is wanted

    return look


async def test_an_agent_registers_its_host_and_is_present_until_it_stops(store: Store, tmp_path: Path) -> None:
    async with running(store, tmp_path):
        await until(presence_in(store, True))

    assert await presence_in(store, False)()


async def test_a_new_life_of_the_agent_takes_over_the_presence_of_one_that_was_killed(tmp_path: Path) -> None:
    store = MemoryStore()
    async with running(store, tmp_path) as first:
        await until(presence_in(store, True))
        async with running(store, tmp_path) as second:
            await until(lambda: _is_present(second))
            await stop(first)

            assert await presence_in(store, True)()


async def _is_present(worker: ModelWorker) -> bool:
    return "waiting" not in str(worker.report()["present"])


async def test_a_command_neither_registers_the_host_nor_removes_anything(world: World, tmp_path: Path) -> None:
    await world.deploy(MYSQL)
    await world.run(remove_application, "mysql")
    keys = await world.keys()

    async with running(world.store, tmp_path, "client") as worker:
        await asyncio.sleep(0.2)

        assert await world.keys() == keys
        assert not await read_hosts(world.store) or not (await read_hosts(world.store))[str(HOST)].present
        assert worker.report() == {"role": "client"}


async def test_an_agent_removes_what_is_to_be_removed_as_soon_as_it_is_asked_for(world: World, tmp_path: Path) -> None:
    await world.deploy(MYSQL)
    async with running(world.store, tmp_path):
        await world.run(remove_application, "mysql")

        await until(lambda: _has_no_applications(world))


async def test_an_agent_removes_what_was_left_while_it_was_down_in_models_of_any_age(
    world: World, tmp_path: Path
) -> None:
    await world.deploy(MYSQL)
    await world.run(remove_application, "mysql")
    async with running(world.store, tmp_path):
        await until(lambda: _has_no_applications(world))
        world.model = await world.new_model("younger")
        await world.deploy(MYSQL)
        await world.run(remove_application, "mysql")

        await until(lambda: _has_no_applications(world))


async def _has_no_applications(world: World) -> bool:
    return not await world.applications()


async def test_an_agent_stays_up_through_an_outage_and_is_present_again_after_it(tmp_path: Path) -> None:
    store = FlakyStore()
    store.go_away()
    async with running(store, tmp_path) as worker:
        await until(lambda: _failures(store))
        assert str(worker.report()["present"]).startswith("not yet")

        store.come_back()

        await until(presence_in(store, True))
        await until(lambda: _is_present(worker))


async def _failures(store: FlakyStore) -> bool:
    return store.failures > 3


class DamagedStore(MemoryStore):
    async def list(self, prefix: str) -> Snapshot:
        if "/cleanups/" in prefix:
            raise StoreUnusable("a page is damaged")
        return await super().list(prefix)


async def test_a_store_that_is_damaged_is_what_the_worker_dies_of(tmp_path: Path) -> None:
    world = await World(DamagedStore()).begin()
    agent = FakeAgent(data_dir=tmp_path, host=HOST)
    worker = await start_model(agent, Config(), role=ProcessRole("agent"), store=world.store)

    with pytest.raises(StoreUnusable, match="a page is damaged"):
        async with asyncio.timeout(20):
            await worker.wait()


async def test_block_devices_that_were_published_are_seen_by_others(store: Store, tmp_path: Path) -> None:
    async with running(store, tmp_path) as agent, running(store, tmp_path, "client") as command:
        publisher, view = agent.output(BlockDeviceFacade), command.output(BlockDeviceView)
        assert isinstance(publisher, BlockDeviceFacade)
        assert isinstance(view, BlockDeviceView)

        async with view.watch_block_devices() as lists:
            assert await anext(lists) == ()
            await publisher.set_block_devices([BlockDevice(device_name="sdb"), BlockDevice(device_name="sda")])

            assert [device.device_name for device in await anext(lists)] == ["sda", "sdb"]
            assert [device.device_name for device in await view.block_devices()] == ["sda", "sdb"]


async def test_the_same_devices_are_not_written_again(store: Store, tmp_path: Path) -> None:
    async with running(store, tmp_path, "client") as worker:
        devices = worker.output(BlockDeviceFacade)
        assert isinstance(devices, BlockDeviceFacade)
        await devices.set_block_devices([BlockDevice(device_name="sda")])
        revision = (await store.list("")).revision

        await devices.set_block_devices([BlockDevice(device_name="sda")])

        assert (await store.list("")).revision == revision


async def test_publishing_block_devices_waits_for_the_end_of_an_outage(tmp_path: Path) -> None:
    store = FlakyStore()
    async with running(store, tmp_path, "client") as worker:
        devices = worker.output(BlockDeviceFacade)
        assert isinstance(devices, BlockDeviceFacade)
        store.go_away()
        publishing = asyncio.ensure_future(devices.set_block_devices([BlockDevice(device_name="sda")]))
        await until(lambda: _failures_of(store, 1))

        store.come_back()
        await publishing


async def _failures_of(store: FlakyStore, count: int) -> bool:
    return store.failures >= count


async def test_a_unit_gets_facades_of_its_own_and_those_of_its_host(world: World, tmp_path: Path) -> None:
    await world.deploy(MYSQL)
    async with running(world.store, tmp_path) as worker:
        give = worker.for_unit(world.model, UNIT)

        own = give(UnitFacade)
        assert isinstance(own, UnitFacade)
        assert (await own.unit()).name == "mysql/0"
        assert give(BlockDeviceView) is worker.output(BlockDeviceView)


async def test_all_who_ask_for_a_unit_share_its_claim_to_leadership(world: World, tmp_path: Path) -> None:
    async with running(world.store, tmp_path) as worker:
        first, second = worker.for_unit(world.model, UNIT), worker.for_unit(world.model, UNIT)

        assert first(LeadershipFacade) is second(LeadershipFacade)


@pytest.mark.parametrize("kind", [UnitFacade, int])
async def test_what_is_not_known_is_refused_by_name(kind: type, tmp_path: Path) -> None:
    async with running(MemoryStore(), tmp_path) as worker:
        with pytest.raises(OutputError, match=f"no {kind.__name__} here"):
            worker.output(kind)


@pytest.mark.parametrize("kind", [Operator, BlockDeviceFacade])
async def test_a_unit_gets_nothing_that_is_not_its_own(world: World, kind: type, tmp_path: Path) -> None:
    async with running(world.store, tmp_path) as worker:
        with pytest.raises(OutputError, match=f"no {kind.__name__} here"):
            worker.for_unit(world.model, UNIT)(kind)


async def test_a_unit_s_machine_is_known_once_it_has_been_placed(world: World, tmp_path: Path) -> None:
    await world.deploy(MYSQL)
    async with running(world.store, tmp_path) as worker:
        give = worker.for_unit(world.model, UNIT)
        with pytest.raises(OutputError, match="not been seen"):
            give(MachineId)
        placed = worker.output(PlacementFacade)
        assert isinstance(placed, PlacementFacade)

        async with placed.watch_models() as models, placed.watch_units(world.model) as units:
            assert await anext(models) == (world.model,)
            assert list(await anext(units)) == ["mysql/0"]

        assert give(MachineId) == MachineId.parse("0")


async def test_a_command_s_operator_knows_the_model_that_was_asked_for(tmp_path: Path) -> None:
    async with running(MemoryStore(), tmp_path, "client") as worker:
        operator = worker.output(Operator)

        assert isinstance(operator, Operator)
        assert operator.wanted == "chosen"


async def test_a_command_is_told_which_model_was_asked_for_and_how_it_is_set(tmp_path: Path) -> None:
    store = MemoryStore()
    async with running(store, tmp_path, "client") as worker:
        operator, chosen = worker.output(Operator), worker.output(ModelFacade)
        assert isinstance(operator, Operator)
        assert isinstance(chosen, ModelFacade)
        with pytest.raises(NotFoundError, match='model "chosen" not found'):
            await chosen.model()

        made = await operator.change(lambda tx: create_model(tx, "chosen", now=operator.clock.now(), rng=operator.rng))

        assert await chosen.model() == made
        assert (await chosen.model_settings())["automatically-retry-hooks"] is True
        async with chosen.watch_update_status_seconds() as seconds:
            assert await anext(seconds) == 300


class SharedStore(MemoryStore):
    is_local = False


async def test_an_agent_on_a_shared_store_does_not_start_without_the_key_of_the_secrets(tmp_path: Path) -> None:
    with pytest.raises(SecretsKeyError, match="secrets_key_file"):
        async with running(SharedStore(), tmp_path):
            pass


async def test_a_command_on_a_shared_store_does_without_the_key_as_long_as_it_needs_none(tmp_path: Path) -> None:
    async with running(SharedStore(), tmp_path, "client") as worker:
        assert worker.output(BlockDeviceView)


def test_the_key_of_the_secrets_is_in_the_data_folder(tmp_path: Path) -> None:
    assert key_path(tmp_path / "plugins" / "model") == tmp_path / "secrets.key"
    assert key_path(tmp_path) == tmp_path / "secrets.key"


async def test_a_host_is_shown_its_own_units_alone_and_those_of_two_hosts_talk_to_one_another(
    world: World, tmp_path: Path
) -> None:
    await world.deploy(WORDPRESS)
    for host in (HERE, THERE):
        await world.change(lambda tx, host=host: register_host(tx, host))  # type: ignore[misc]
    await world.run(deploy, Deployment(name="mysql", charm=MYSQL), here=THERE, now=world.clock.now())
    relation = await world.integrate("wordpress:db", "mysql:server")
    await world.start("wordpress/0", "mysql/0")
    async with (
        running(world.store, tmp_path / "here") as here,
        running(world.store, tmp_path / "there", host=HostId.parse(THERE.id)) as there,
    ):
        assert await _placed(here, world) == ["wordpress/0"]
        assert await _placed(there, world) == ["mysql/0"]
        wordpress = here.for_unit(world.model, UnitName.parse("wordpress/0"))(RelationFacade)
        mysql, hooks = (there.for_unit(world.model, UNIT)(kind) for kind in (RelationFacade, HookFacade))
        assert isinstance(wordpress, RelationFacade)
        assert isinstance(mysql, RelationFacade)
        assert isinstance(hooks, HookFacade)

        async with wordpress.watch_members(relation.id) as members, asyncio.timeout(20):
            assert (await anext(members)).units == {}
            await mysql.enter_scope(relation.id)
            await anext(members)
            await hooks.commit(HookChanges(unit_settings={relation.id: {"database": "blog"}}))
            assert list((await anext(members)).units) == ["mysql/0"]

        assert (await wordpress.read_settings(relation.id, "mysql/0"))["database"] == "blog"


async def _placed(worker: ModelWorker, world: World) -> list[str]:
    placed = worker.output(PlacementFacade)
    assert isinstance(placed, PlacementFacade)
    async with placed.watch_units(world.model) as units:
        return list(await anext(units))
