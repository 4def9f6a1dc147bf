from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
from plugins.model.tests.conftest import HERE, MYSQL, World
from plugins.model.tests.fakes import FlakyStore
from plugins.model.tests.unitside.conftest import SHOP, Units
from plugins.uniter.tests.remotestate.fakes import FakeCommands
from plugins.uniter.tests.sight import open_units

from undercroft import SystemClock, outcome, stop
from undercroft_hookspecs.hook_facades import (
    HookChanges,
    HookFacade,
    SecretCreate,
    SecretFacade,
    SecretGrantChange,
    SecretUpdate,
)
from undercroft_hookspecs.relation_facades import LeadershipFacade, RelationFacade
from undercroft_hookspecs.state import Life, Relation
from undercroft_hookspecs.storage_facades import UnitStorageFacade
from undercroft_hookspecs.unit_facades import (
    ActionFacade,
    ApplicationFacade,
    ConfigFacade,
    ModelFacade,
    StatusFacade,
    UnitFacade,
)
from undercroft_model.actions import Task, enqueue
from undercroft_model.applications import refresh, set_config
from undercroft_model.hosts import register_host
from undercroft_model.modelconfig import set_model_config
from undercroft_model.relations import remove_relation
from undercroft_model.units import remove_unit, resolve, unit_gone
from undercroft_uniter.errors import UnitGone
from undercroft_uniter.hook.info import HookKind
from undercroft_uniter.leadership.worker import LeadershipWorker, start_leadership
from undercroft_uniter.remotestate.facades import Facades
from undercroft_uniter.remotestate.secrets import SecretsDue
from undercroft_uniter.remotestate.snapshot import Snapshot
from undercroft_uniter.remotestate.watcher import RemoteStateWatcher

# What storage is made of is no matter here.
PLAIN_SHOP = msgspec.structs.replace(SHOP, storage={})


class Sight:
    """What the agent of one unit sees."""

    def __init__(self, units: Units, watcher: RemoteStateWatcher, leadership: LeadershipWorker) -> None:
        self.units, self.world = units, units.world
        self.watcher, self.leadership = watcher, leadership

    async def until(self, condition: Callable[[Snapshot], object]) -> Snapshot:
        """The first snapshot of which something is true."""
        async with asyncio.timeout(10):
            while True:
                await self.watcher.changed()
                snapshot = self.watcher.snapshot()
                if condition(snapshot):
                    return snapshot


async def watch(units: Units, unit: str, folder: Path) -> Sight:
    """The parts of a unit's agent that look at the model."""
    clock, rng = SystemClock(), random.Random(7)
    facades = Facades(
        units=units.of(unit, UnitFacade),
        applications=units.of(unit, ApplicationFacade),
        config=units.of(unit, ConfigFacade),
        model=units.of(unit, ModelFacade),
        relations=units.of(unit, RelationFacade),
        leadership=units.of(unit, LeadershipFacade),
        actions=units.of(unit, ActionFacade),
        secrets=units.of(unit, SecretFacade),
        storage=units.of(unit, UnitStorageFacade),
    )
    leadership = await start_leadership(unit, leadership=facades.leadership, units=facades.units, clock=clock, rng=rng)
    secrets = await SecretsDue.open(folder / "secrets.json", facade=facades.secrets, clock=clock)
    watcher = RemoteStateWatcher(
        unit, facades, leadership=leadership, commands=FakeCommands(), secrets=secrets, clock=clock, rng=rng
    )
    return Sight(units, watcher, leadership)


async def populate(units: Units) -> Relation:
    """A shop with a mysql, all started."""
    world = units.world
    await world.change(lambda tx: register_host(tx, HERE))
    await world.deploy(PLAIN_SHOP, units=1)
    await world.deploy(MYSQL, units=1)
    await world.start("shop/0", "mysql/0")
    return await world.integrate("shop:db", "mysql:server")


async def end(sight: Sight) -> None:
    sight.watcher.kill()
    await outcome(sight.watcher)
    await stop(sight.leadership)


@pytest.fixture
async def sight(tmp_path: Path) -> AsyncIterator[Sight]:
    """The sight of shop/0, related to mysql."""
    async with open_units(tmp_path) as units:
        await populate(units)
        sight = await watch(units, "shop/0", tmp_path)
        yield sight
        await end(sight)


def db_of(snapshot: Snapshot) -> int:
    """The id of the relation to mysql."""
    found = snapshot.relations.values()
    return next(each.relation.relation.id for each in found if each.relation.endpoint.name == "db")


async def test_all_is_known_at_first(sight: Sight) -> None:
    snapshot = await sight.until(lambda _: True)

    assert (snapshot.life, snapshot.is_leader, snapshot.charm.sha256) == (Life.ALIVE, True, "sha-of-shop")
    assert [each.relation.endpoint.name for each in snapshot.relations.values()] == ["cluster", "db"]
    assert snapshot.storage == {}


async def test_members_are_followed_from_entering_to_leaving(sight: Sight) -> None:
    db = db_of(await sight.until(lambda _: True))
    mysql = sight.units.of("mysql/0", RelationFacade)

    await mysql.enter_scope(db)
    first = await sight.until(lambda seen: seen.relations[db].members.units)
    version = first.relations[db].members.units["mysql/0"]
    changes = HookChanges(unit_settings={db: {"password": "x"}})
    await sight.units.of("mysql/0", HookFacade).commit(changes)
    await sight.until(lambda seen: seen.relations[db].members.units["mysql/0"] != version)
    await mysql.leave_scope(db)
    await sight.until(lambda seen: not seen.relations[db].members.units)


async def test_relations_come_and_end(sight: Sight) -> None:
    db = db_of(await sight.until(lambda _: True))
    await sight.units.of("shop/0", RelationFacade).enter_scope(db)

    await sight.world.run(remove_relation, db)
    await sight.until(lambda seen: seen.relations[db].life is Life.DYING)
    await sight.units.of("shop/0", RelationFacade).leave_scope(db)
    await sight.world.reap()
    await sight.until(lambda seen: db not in seen.relations)

    again = await sight.world.integrate("shop:db", "mysql:server")
    await sight.until(lambda seen: again.id in seen.relations)


async def test_what_operators_do_is_seen(sight: Sight) -> None:
    first = await sight.until(lambda _: True)
    world = sight.world

    await world.run(set_config, "shop", {"colour": "blue"})
    await sight.until(lambda seen: seen.hashes.config != first.hashes.config)
    await world.run(set_config, "shop", {"trust": True})
    await sight.until(lambda seen: seen.hashes.trust != first.hashes.trust)
    await enqueue(world.store, world.model, ["shop/0"], Task(name="backup"), clock=world.clock, rng=world.rng)
    await sight.until(lambda seen: [each.name for each in seen.actions] == ["backup"])
    newer = msgspec.structs.replace(PLAIN_SHOP, sha256="sha-of-newer")
    await world.run(refresh, "shop", newer)
    await sight.until(lambda seen: seen.charm.sha256 == "sha-of-newer")
    await world.run(remove_unit, "shop/0")
    await sight.until(lambda seen: seen.life is Life.DYING)


async def test_leader_settings_are_seen(sight: Sight) -> None:
    first = await sight.until(lambda _: True)

    await sight.units.of("shop/0", LeadershipFacade).merge_leader_settings({"password": "x"})

    await sight.until(lambda seen: seen.leader_settings_version != first.leader_settings_version)


async def test_resolved_is_seen_once(sight: Sight) -> None:
    await sight.until(lambda _: True)
    for _ in range(3):
        await sight.units.of("shop/0", StatusFacade).set_agent_status("error", "hook failed")
        await sight.world.run(resolve, "shop/0")
        await sight.until(lambda seen: seen.resolved == "retry-hooks")

        await sight.watcher.clear_resolved()

        assert sight.watcher.snapshot().resolved == ""
        await sight.units.of("shop/0", UnitFacade).set_workload_version("9")


async def test_a_secret_that_another_renews_is_changed_once(sight: Sight) -> None:
    db = db_of(await sight.until(lambda _: True))
    mysql, hooks = sight.units.of("mysql/0", SecretFacade), sight.units.of("mysql/0", HookFacade)
    await sight.units.of("mysql/0", LeadershipFacade).claim()
    number = mysql.new_secret_id()
    create = SecretCreate(id=number, content={"password": "first"})
    await hooks.commit(HookChanges(secrets=[create, SecretGrantChange(id=number, consumer="shop", relation=db)]))
    await sight.units.of("shop/0", SecretFacade).read_secret(number, label="database")

    await hooks.commit(HookChanges(secrets=[SecretUpdate(id=number, content={"password": "second"})]))

    (hook,) = (await sight.until(lambda seen: seen.secrets)).secrets
    assert (hook.kind, hook.secret, hook.secret_label) == (HookKind.SECRET_CHANGED, number, "database")
    await sight.watcher.secret_done(hook)
    assert sight.watcher.snapshot().secrets == ()


async def test_a_secret_is_rotated_and_the_next_time_is_later(sight: Sight) -> None:
    await sight.until(lambda _: True)
    number = sight.units.of("shop/0", SecretFacade).new_secret_id()
    long_ago = sight.world.clock.now()
    create = SecretCreate(id=number, content={"password": "x"}, rotation="hourly", expires=long_ago, owner="unit")
    await sight.units.of("shop/0", HookFacade).commit(HookChanges(secrets=[create]))

    (hook,) = (await sight.until(lambda seen: seen.secrets)).secrets

    assert (hook.kind, hook.secret_revision) == (HookKind.SECRET_EXPIRED, 1)
    await sight.watcher.secret_done(hook)
    assert sight.watcher.snapshot().secrets == ()


async def test_the_interval_of_update_status_is_no_news(sight: Sight) -> None:
    first = await sight.until(lambda _: True)

    await sight.world.run(set_model_config, {"update-status-hook-interval": "1m"})

    assert sight.watcher.snapshot().update_status_version == first.update_status_version


async def test_a_unit_that_is_removed_ends_the_watcher(sight: Sight) -> None:
    await sight.until(lambda _: True)
    await sight.world.run(remove_unit, "shop/0", force=True)
    await sight.world.reap()
    await sight.world.run(unit_gone, "shop/0")
    await sight.world.reap()

    with pytest.raises(UnitGone):
        await sight.until(lambda _: False)


async def test_an_outage_of_the_store_is_waited_for(tmp_path: Path) -> None:
    store = FlakyStore()
    async with AsyncExitStack() as stack:
        units = Units(await World(store).begin(), tmp_path)
        await populate(units)
        sight = await watch(units, "shop/0", tmp_path)
        stack.push_async_callback(end, sight)
        await sight.until(lambda _: True)

        store.go_away()
        await asyncio.sleep(0)
        store.come_back()
        await units.world.run(set_config, "shop", {"colour": "blue"})

        before = sight.watcher.snapshot().hashes.config
        await units.world.run(set_config, "shop", {"colour": "green"})
        await sight.until(lambda seen: seen.hashes.config != before)
