from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

import msgspec
import pytest
from plugins.model.tests.conftest import HERE, LOGGING
from plugins.model.tests.unitside.conftest import SHOP, Units

from undercroft_hookspecs import CharmFacade, NotFoundError, NotLeaderError, NotValidError, UnitHasSubordinates
from undercroft_hookspecs.charm import OptionSpec
from undercroft_hookspecs.relation_facades import LeadershipFacade, RelationFacade
from undercroft_hookspecs.state import Life, MeterStatus
from undercroft_hookspecs.unit_facades import (
    ApplicationFacade,
    ConfigFacade,
    MeterFacade,
    MeterStatusFacade,
    ModelFacade,
    NetworkFacade,
    ResourceFacade,
    StatusFacade,
    UnitFacade,
)
from undercroft_model.applications import attach_resource, refresh, remove_application, set_config, set_trust
from undercroft_model.hosts import register_host
from undercroft_model.modelconfig import set_model_config
from undercroft_model.rows import Resource
from undercroft_model.statuses import get_status, status_log
from undercroft_model.tables import METER
from undercroft_model.transaction import Transaction
from undercroft_model.units import remove_unit

T = TypeVar("T")


async def following(states: AsyncIterator[T]) -> T:
    async with asyncio.timeout(10):
        return await anext(states)


async def test_a_unit_follows_itself_until_it_is_gone(units: Units) -> None:
    await units.related()
    facade = units.of("shop/0", UnitFacade)
    async with facade.watch_unit() as states:
        assert (await following(states)).life is Life.ALIVE

        await facade.destroy()
        assert (await following(states)).life is Life.DYING
        await facade.ensure_dead()
        assert (await following(states)).life is Life.DEAD


async def test_the_watch_of_a_unit_ends_when_its_record_goes(units: Units) -> None:
    await units.related()
    async with units.of("shop/0", UnitFacade).watch_unit() as states:
        await following(states)
        await units.world.run(remove_application, "shop", force=True)
        await units.world.reap()

        with pytest.raises(NotFoundError):
            while True:
                await following(states)


async def test_a_leader_that_is_dead_leaves_the_way_free_at_once(units: Units) -> None:
    await units.related()
    leadership = units.of("shop/0", LeadershipFacade)
    await leadership.claim()
    await units.of("shop/0", UnitFacade).destroy()

    await units.of("shop/0", UnitFacade).ensure_dead()

    assert leadership.certain_seconds() == 0
    assert await units.of("shop/1", LeadershipFacade).claim()


async def test_a_leader_that_is_removed_by_force_keeps_others_from_leading_while_it_may_believe_in_it(
    units: Units,
) -> None:
    await units.related()
    leadership = units.of("shop/0", LeadershipFacade)
    await leadership.claim()

    await units.world.run(remove_unit, "shop/0", force=True)
    await units.world.reap()

    assert leadership.certain_seconds() > 0
    assert not await units.of("shop/1", LeadershipFacade).claim()


async def test_a_unit_is_not_dead_before_its_subordinates(units: Units) -> None:
    await units.related()
    await units.world.deploy(LOGGING, units=0)
    relation = await units.world.integrate("logging:info", "shop")
    await units.of("shop/0", RelationFacade).enter_scope(relation.id)
    await units.world.start("logging/0")
    facade = units.of("shop/0", UnitFacade)
    await facade.destroy()

    with pytest.raises(UnitHasSubordinates):
        await facade.ensure_dead()
    await facade.remove_subordinates()

    assert (await units.of("logging/0", UnitFacade).unit()).life is Life.DYING


async def test_a_unit_says_what_it_runs(units: Units) -> None:
    await units.related()
    facade = units.of("shop/0", UnitFacade)

    await facade.take_up_charm(url="local:shop-7", sha256=SHOP.sha256)
    await facade.set_workload_version("1.2")

    unit = await facade.unit()
    assert (unit.charm_url, unit.workload_version) == ("local:shop-7", "1.2")


async def test_a_unit_s_statuses_are_kept_apart_from_its_agent_s(units: Units) -> None:
    await units.related()
    facade = units.of("shop/0", StatusFacade)
    assert (await facade.workload_status()).current == "unknown"

    await facade.set_workload_status("active", "ready")
    await facade.set_agent_status("idle")

    assert (await facade.workload_status()).message == "ready"
    agent = await units.world.run(get_status, "agent", "shop/0")
    assert agent is not None
    assert agent.current == "idle"


async def test_a_status_that_is_said_again_keeps_its_time(units: Units) -> None:
    await units.related()
    facade = units.of("shop/0", StatusFacade)
    await facade.set_workload_status("active", "ready")
    first = await facade.workload_status()

    await facade.set_workload_status("active", "ready")

    assert await facade.workload_status() == first
    assert len(await units.world.run(status_log, "unit", "shop/0")) == 1


async def test_only_the_leader_speaks_for_its_application(units: Units) -> None:
    await units.related()
    facade = units.of("shop/0", StatusFacade)
    with pytest.raises(NotLeaderError):
        await facade.set_application_status("active")
    with pytest.raises(NotLeaderError):
        await facade.application_statuses()
    await units.of("shop/0", LeadershipFacade).claim()

    await facade.set_application_status("active", "all fine")
    await units.of("shop/1", StatusFacade).set_workload_status("waiting")

    statuses = await facade.application_statuses()
    assert statuses.application.message == "all fine"
    assert {name: status.current for name, status in statuses.units.items()} == {"shop/1": "waiting"}


async def test_config_has_every_option_with_what_was_set_or_its_default(units: Units) -> None:
    await units.related()
    facade = units.of("shop/0", ConfigFacade)
    assert await facade.settings() == {"colour": "red", "size": None}

    await units.world.run(set_config, "shop", {"size": "3"})

    assert await facade.settings() == {"colour": "red", "size": 3}


async def test_a_unit_reads_the_options_of_the_charm_that_it_runs(units: Units) -> None:
    await units.related()
    newer = msgspec.structs.replace(SHOP, sha256="sha-newer", options={"taste": OptionSpec(default="sweet")})

    await units.world.run(refresh, "shop", newer)
    facade = units.of("shop/0", ConfigFacade)
    assert "taste" not in await facade.settings()
    await units.world.start("shop/0")

    assert await facade.settings() == {"taste": "sweet"}


async def test_each_hash_changes_with_its_own_matter_alone(units: Units) -> None:
    await units.related()
    async with units.of("shop/0", ConfigFacade).watch_hashes() as states:
        first = await following(states)

        await units.world.run(set_config, "shop", {"colour": "blue"})
        second = await following(states)
        await units.world.run(set_trust, "shop", True)
        third = await following(states)
        moved = msgspec.structs.replace(HERE, addresses=("10.9.9.9",))
        await units.world.change(lambda tx: register_host(tx, moved))
        fourth = await following(states)

    assert (second.trust, second.addresses) == (first.trust, first.addresses)
    assert second.config != first.config
    assert (third.config, third.addresses) == (second.config, second.addresses)
    assert third.trust != second.trust
    assert (fourth.config, fourth.trust) == (third.config, third.trust)
    assert fourth.addresses != third.addresses


async def test_an_application_is_followed(units: Units) -> None:
    await units.related()
    facade = units.of("shop/0", ApplicationFacade)
    async with facade.watch_application() as states:
        assert not (await following(states)).trust

        await units.world.run(set_trust, "shop", True)

        assert (await following(states)).trust
    assert (await facade.application()).name == "shop"


async def test_the_goal_state_has_the_units_and_those_related(units: Units) -> None:
    await units.related()
    await units.of("mysql/1", StatusFacade).set_workload_status("active")

    goals = await units.of("shop/0", ApplicationFacade).goal_state()

    listed = goals["units"]
    assert isinstance(listed, dict)
    assert sorted(listed) == ["shop/0", "shop/1"]
    related = goals["relations"]
    assert isinstance(related, dict)
    assert sorted(related["db"]) == ["mysql", "mysql/0", "mysql/1"]
    assert related["db"]["mysql/1"]["status"] == "active"
    assert related["db"]["mysql"]["status"] == "joining"


async def test_the_charm_is_the_record_of_its_archive(units: Units) -> None:
    await units.related()

    assert (await units.of("shop/0", CharmFacade).charm(SHOP.sha256)).name == "shop"
    with pytest.raises(NotFoundError):
        await units.of("shop/0", CharmFacade).charm("absent")


async def test_the_model_s_settings_and_the_interval_of_update_status(units: Units) -> None:
    await units.related()
    facade = units.of("shop/0", ModelFacade)
    async with facade.watch_update_status_seconds() as states:
        assert await following(states) == 300.0

        await units.world.run(set_model_config, {"update-status-hook-interval": "30s"})

        assert await following(states) == 30.0
    assert (await facade.model_settings())["update-status-hook-interval"] == "30s"
    assert (await facade.model()).name == "test"


async def test_a_binding_has_the_addresses_of_the_host(units: Units) -> None:
    await units.related()
    network = units.of("shop/0", NetworkFacade)

    info = await network.network_info("db")

    assert info.bind_addresses == ("10.0.0.1",)
    assert info.egress_subnets == ("10.0.0.1/32",)
    assert await network.network_info("public") == info
    with pytest.raises(NotFoundError, match='"absent"'):
        await network.network_info("absent")


async def test_the_meter_status_is_the_unit_s_own_before_its_application_s(units: Units) -> None:
    await units.related()
    facade, table = units.of("shop/0", MeterFacade), METER.of(units.world.model)

    async def put(code: str, *parts: str) -> None:
        async def decide(tx: Transaction) -> None:
            tx.put(table, *parts, record=MeterStatus(code=code))  # type: ignore[arg-type]

        await units.world.change(decide)

    async with facade.watch_meter_status() as states:
        assert (await following(states)).code == "NOT SET"
        await put("AMBER", "shop")
        assert (await following(states)).code == "AMBER"
        await put("RED", "shop", "0")
        assert (await following(states)).code == "RED"
    assert (await facade.meter_status()).code == "RED"


async def test_a_meter_status_that_is_set_is_the_unit_s_own_and_its_watchers_see_it(units: Units) -> None:
    await units.related()
    setting = units.of("shop/0", MeterStatusFacade)

    async with units.of("shop/0", MeterFacade).watch_meter_status() as states:
        assert await following(states) == MeterStatus()
        await setting.set_meter_status(MeterStatus(code="AMBER", info="late"))
        assert await following(states) == MeterStatus(code="AMBER", info="late")

    assert await units.of("shop/1", MeterFacade).meter_status() == MeterStatus()


async def test_a_meter_status_that_stands_already_is_not_written_again(units: Units) -> None:
    await units.related()
    setting, store = units.of("shop/0", MeterStatusFacade), units.world.store
    await setting.set_meter_status(MeterStatus(code="RED", info="x"))
    before = (await store.list("/models/")).revision

    await setting.set_meter_status(MeterStatus(code="RED", info="x"))

    assert (await store.list("/models/")).revision == before


async def test_the_meter_status_of_a_dying_unit_stays_and_that_of_a_removed_one_is_not_found(units: Units) -> None:
    await units.related()
    setting = units.of("shop/0", MeterStatusFacade)
    await units.of("shop/0", UnitFacade).destroy()

    await setting.set_meter_status(MeterStatus(code="RED"))
    assert await units.of("shop/0", MeterFacade).meter_status() == MeterStatus()
    await units.world.run(remove_application, "shop", force=True)
    await units.world.reap()
    with pytest.raises(NotFoundError):
        await setting.set_meter_status(MeterStatus(code="RED"))


@pytest.mark.parametrize("code", ["NOT SET", "NOT AVAILABLE", "PURPLE"])
async def test_only_green_amber_and_red_can_be_set(units: Units, code: str) -> None:
    await units.related()

    with pytest.raises(NotValidError, match="GREEN, AMBER, RED"):
        await units.of("shop/0", MeterStatusFacade).set_meter_status(MeterStatus(code=code))  # type: ignore[arg-type]


async def test_a_resource_that_nobody_attached_is_not_found(units: Units) -> None:
    await units.related()

    with pytest.raises(NotFoundError, match='resource "data"'):
        await units.of("shop/0", ResourceFacade).resource("data")


async def test_a_resource_says_which_blob_it_is(units: Units) -> None:
    from plugins.model.tests.conftest import charm

    from undercroft_hookspecs.charm import ResourceSpec

    await units.world.deploy(charm("box", resources={"data": ResourceSpec(filename="data.bin")}))
    await units.world.run(attach_resource, "box", "data", Resource(sha256="abc", size_bytes=3, filename="data.bin"))

    found = await units.of("box/0", ResourceFacade).resource("data")

    assert (found.sha256, found.filename, found.size_bytes) == ("abc", "data.bin", 3)
