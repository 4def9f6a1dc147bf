"""The units of this machine: run, stopped and removed, over a real model with engines by hand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import pytest

from undercroft import SimpleWorker, Stop
from undercroft.clock import SystemClock
from undercroft.testing import FakeAgent, MemoryStore
from undercroft_hookspecs import HostId, ModelId, RebootMachine, Store, StoreUnavailable, UnitName, Worker
from undercroft_hookspecs.charm import Charm
from undercroft_hookspecs.state import Host, RemovedUnit
from undercroft_model.applications import Deployment, deploy, remove_application
from undercroft_model.lifecycle import reap
from undercroft_model.models import create_model, destroy_model, model_id
from undercroft_model.placement import Placement, RemovedUnits
from undercroft_model.sqlite_store import open_sqlite
from undercroft_model.transaction import Transaction, change
from undercroft_model.units import add_units, remove_unit, take_up_charm, unit_dead
from undercroft_uniter.deployer.worker import UnitDeployer

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 30.0
HERE = Host(id="0b2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f", hostname="here", base="debian@12", addresses=("10.0.0.1",))
SHOP = Charm(name="shop", sha256="a" * 64)


class Engines:
    """Engines that only make their unit's folder; `journal` has what became of them."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.journal: list[str] = []
        self.running: dict[str, Worker] = {}
        self._keys: set[str] = set()
        self.gate: asyncio.Event | None = None
        self.failure: Exception | None = None

    def folder(self, model: ModelId, unit: UnitName) -> Path:
        """A unit's folder."""
        return self._data / "models" / str(model) / "agents" / f"unit-{unit.application}-{unit.number}"

    def engine(self, model: ModelId, unit: UnitName) -> Worker:
        """A new engine."""
        folder = self.folder(model, unit)
        is_fresh = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "state").write_text("1")
        (folder.parents[1] / "debug.log").write_text("{}\n")
        name, key = str(unit), f"{model}/{unit}"

        async def work(stop: Stop) -> None:
            assert key not in self._keys, "two engines of one unit"
            self._keys.add(key)
            self.running[name] = worker
            self.journal.append(f"start {name}" + ("" if is_fresh else " again"))
            if self.failure is not None:
                failure, self.failure = self.failure, None
                del self.running[name]
                self._keys.discard(key)
                raise failure
            await stop.wait()
            if self.gate is not None:
                await self.gate.wait()
            self.running.pop(name, None)
            self._keys.discard(key)
            self.journal.append(f"stop {name}")

        worker = SimpleWorker(work)
        return worker


class Outage(Placement):
    """A placement that cannot be told anything for a while."""

    failures = 0

    async def unit_gone(self, model: ModelId, unit: str) -> None:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("away")
        await super().unit_gone(model, unit)


class World:
    """A model on SQLite, with a reaper that is called by hand."""

    def __init__(self, store: Store, data: Path) -> None:
        self.store, self.data = store, data
        self.clock, self.rng = SystemClock(), random.Random(7)
        self.host = HostId.parse(HERE.id)
        self.placement = Outage(store, self.host, clock=self.clock, rng=self.rng)
        self.removals = RemovedUnits(store, self.host, clock=self.clock, rng=self.rng)
        self.engines = Engines(data)
        self.model: ModelId

    async def change(self, decide: Callable[[Transaction], Awaitable[T]]) -> T:
        return await change(self.store, decide, clock=self.clock, rng=self.rng)

    async def run(
        self, operation: Callable[Concatenate[Transaction, ModelId, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self.change(lambda tx: operation(tx, self.model, *args, **kwargs))

    async def make_model(self, name: str = "test") -> ModelId:
        made = await self.change(lambda tx: create_model(tx, name, now=self.clock.now(), rng=self.rng))
        return model_id(made)

    async def deploy(self, *, units: int = 1) -> None:
        deployment = Deployment(name="shop", charm=SHOP, units=units)
        await self.run(deploy, deployment, here=HERE, now=self.clock.now())

    async def add_unit(self) -> None:
        await self.run(add_units, "shop", here=HERE, now=self.clock.now())

    async def take_up(self, *units: str) -> None:
        """Have units take up their charm, as their agents do."""
        for unit in units:
            await self.run(take_up_charm, unit, url="local:shop-0", sha256=SHOP.sha256)

    async def reap(self) -> None:
        await reap(self.store, self.model, clock=self.clock, rng=self.rng)

    @asynccontextmanager
    async def deployer(self) -> AsyncIterator[UnitDeployer]:
        """A deployer that runs."""
        agent = FakeAgent(data_dir=self.data / "plugins" / "uniter", clock=self.clock)
        worker = UnitDeployer(agent, placement=self.placement, removals=self.removals, engines=self.engines)
        try:
            yield worker
        finally:
            worker.kill()
            await worker.wait()

    def folders(self) -> set[str]:
        """What there is of units on the disk."""
        return {path.name for path in (self.data / "models").glob("*/agents/*")}

    async def notes(self) -> list[RemovedUnit]:
        """What the host is yet to see to."""
        async with self.removals.watch_removed() as states:
            return list(await anext(states))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = SystemClock()
    async with open_sqlite("sqlite:", data_dir=tmp_path, clock=clock) as store:
        world = World(store, tmp_path)
        world.model = await world.make_model()
        yield world


async def test_a_placed_unit_runs(world: World) -> None:
    async with world.deployer() as deployer:
        await world.deploy(units=2)
        await until(lambda: set(world.engines.running) == {"shop/0", "shop/1"})

        assert deployer.report()["removing"] == []

    assert sorted(world.engines.journal) == ["start shop/0", "start shop/1", "stop shop/0", "stop shop/1"]
    assert world.folders() == {"unit-shop-0", "unit-shop-1"}


async def test_units_of_all_models_run_and_those_of_new_ones(world: World) -> None:
    await world.deploy()
    async with world.deployer():
        await until(lambda: world.engines.journal == ["start shop/0"])
        world.model = await world.make_model("other")
        await world.deploy()

        await until(lambda: len(world.engines.journal) == 2)

    assert len(list((world.data / "models").glob("*/agents/unit-shop-0"))) == 2


async def placed(world: World) -> list[str]:
    """The units of this machine, as the model has them."""
    async with world.placement.watch_units(world.model) as states:
        return list(await anext(states))


async def test_a_dead_unit_is_stopped_removed_and_reported(world: World) -> None:
    async with world.deployer():
        await world.deploy(units=2)
        await until(lambda: len(world.engines.running) == 2)
        await world.take_up("shop/0")
        await world.run(remove_unit, "shop/0")
        await world.run(unit_dead, "shop/0")
        await until(lambda: world.folders() == {"unit-shop-1"})

        async with asyncio.timeout(PATIENCE):
            while await placed(world) != ["shop/1"]:
                await world.reap()

        assert list(world.engines.running) == ["shop/1"]


async def test_a_dying_unit_goes_on(world: World) -> None:
    async with world.deployer():
        await world.deploy()
        await until(lambda: bool(world.engines.running))
        await world.take_up("shop/0")
        await world.run(remove_unit, "shop/0")
        await world.add_unit()

        await until(lambda: "shop/1" in world.engines.running)

        assert "shop/0" in world.engines.running


async def test_a_folder_is_removed_after_the_units_workers_have_ended(world: World) -> None:
    world.engines.gate = asyncio.Event()
    async with world.deployer() as deployer:
        await world.deploy()
        await until(lambda: bool(world.engines.running))
        await world.take_up("shop/0")
        await world.run(unit_dead, "shop/0")
        await until(lambda: deployer.report()["removing"] == [f"{world.model}/shop/0"])
        between = world.folders()

        world.engines.gate.set()
        await until(lambda: world.folders() == set())

    assert between == {"unit-shop-0"}


async def test_a_unit_removed_by_force_is_cleared_away_and_the_note_forgotten(world: World) -> None:
    async with world.deployer():
        await world.deploy()
        await until(lambda: bool(world.engines.running))
        await world.take_up("shop/0")
        await world.run(remove_unit, "shop/0", force=True)
        await world.reap()
        await until(lambda: world.folders() == set())
        async with asyncio.timeout(PATIENCE):
            while await world.notes():
                await asyncio.sleep(0.005)

    assert world.engines.journal == ["start shop/0", "stop shop/0"]


async def test_a_unit_removed_by_force_while_no_agent_ran_is_cleared_away_later(world: World) -> None:
    async with world.deployer():
        await world.deploy()
        await until(lambda: bool(world.engines.running))
        await world.take_up("shop/0")
    await world.run(remove_application, "shop", force=True)
    await world.reap()
    between = world.folders()

    async with world.deployer():
        await until(lambda: world.folders() == set())

    assert between == {"unit-shop-0"}


async def test_a_model_destroyed_by_force_leaves_nothing_behind(world: World) -> None:
    async with world.deployer():
        await world.deploy(units=2)
        await until(lambda: len(world.engines.running) == 2)
        await world.take_up("shop/0", "shop/1")
        await world.run(destroy_model, force=True)
        await world.reap()

        await until(lambda: list((world.data / "models").iterdir()) == [])


async def test_a_model_destroyed_while_no_agent_ran_leaves_nothing_behind(world: World) -> None:
    async with world.deployer():
        await world.deploy(units=2)
        await until(lambda: len(world.engines.running) == 2)
        await world.take_up("shop/0", "shop/1")
    await world.run(destroy_model, force=True)
    await world.reap()

    async with world.deployer():
        await until(lambda: list((world.data / "models").iterdir()) == [])


async def test_a_unit_whose_record_is_merely_absent_is_stopped_and_its_folder_stays(world: World) -> None:
    async with world.deployer():
        await world.deploy()
        await until(lambda: bool(world.engines.running))
        await world.take_up("shop/0")
        entries = (await world.store.list(f"/models/{world.model}/units/")).entries
        for entry in entries:
            await world.change(lambda tx, key=entry.key: _delete(tx, key))  # type: ignore[misc]

        await until(lambda: world.engines.journal == ["start shop/0", "stop shop/0"])

    assert world.folders() == {"unit-shop-0"}


async def test_an_empty_store_removes_nothing(world: World, tmp_path: Path) -> None:
    async with world.deployer():
        await world.deploy()
        await until(lambda: bool(world.engines.running))
    empty = World(MemoryStore(), tmp_path)

    async with empty.deployer():
        empty.model = await empty.make_model("fresh")
        await empty.deploy()
        await until(lambda: bool(empty.engines.running))

    assert (world.engines.folder(world.model, UnitName.parse("shop/0")) / "state").exists()


async def test_a_new_unit_does_not_go_on_with_what_an_older_one_of_its_name_was_at(world: World) -> None:
    async with world.deployer():
        await world.deploy()
        await until(lambda: bool(world.engines.running))
        await world.take_up("shop/0")
    await world.run(remove_application, "shop", force=True)
    await world.reap()
    await world.deploy()

    async with world.deployer():
        await until(lambda: len(world.engines.journal) == 3)
        async with asyncio.timeout(PATIENCE):
            while await world.notes():
                await asyncio.sleep(0.005)

    # In an empty folder, which the note about the older one did not take from it.
    assert world.engines.journal[2] == "start shop/0"
    assert world.folders() == {"unit-shop-0"}


async def test_a_unit_that_has_run_goes_on_in_its_folder(world: World) -> None:
    async with world.deployer():
        await world.deploy()
        await until(lambda: bool(world.engines.running))
        await world.take_up("shop/0")

    async with world.deployer():
        await until(lambda: len(world.engines.journal) == 3)

    assert world.engines.journal == ["start shop/0", "stop shop/0", "start shop/0 again", "stop shop/0"]


async def test_a_removal_that_was_cut_off_is_finished_at_the_next_start(world: World) -> None:
    doomed = world.data / "models" / str(world.model) / "agents" / ".removed-unit-shop-0"
    doomed.mkdir(parents=True)
    (doomed / "rest").write_text("x")

    async with world.deployer():
        await until(lambda: not doomed.exists())


async def test_a_failed_engine_is_started_again_and_the_others_go_on(world: World) -> None:
    world.engines.failure = RuntimeError("broken")
    async with world.deployer():
        await world.deploy(units=2)

        await until(lambda: len(world.engines.running) == 2)

    assert len([line for line in world.engines.journal if line.startswith("start")]) == 3


async def test_what_a_unit_wishes_of_the_agent_is_the_deployers_own(world: World) -> None:
    world.engines.failure = RebootMachine("a hook has asked for it")
    await world.deploy()

    with pytest.raises(RebootMachine):
        async with world.deployer() as deployer, asyncio.timeout(PATIENCE):
            await deployer.wait()


async def test_the_model_is_told_again_after_an_outage(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undercroft_uniter.deployer.units.TELL_AGAIN_SECONDS", 0.01)
    world.placement.failures = 3
    async with world.deployer() as deployer:
        await world.deploy()
        await until(lambda: bool(world.engines.running))
        await world.take_up("shop/0")
        await world.run(unit_dead, "shop/0")

        await until(lambda: world.placement.failures == 0 and deployer.report()["removing"] == [])

    assert world.folders() == set()


async def _delete(tx: Transaction, key: str) -> None:
    from undercroft_model.tables import UNITS

    table = UNITS.of(ModelId.parse(key.split("/")[2]))
    tx.delete(table, *table.parts(key))
