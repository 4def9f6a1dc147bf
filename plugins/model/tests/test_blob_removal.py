"""Blobs go with the last record that needs them, and never under somebody who is about to need them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from plugins.model.tests.conftest import HERE, MYSQL, World

from undercroft import stop
from undercroft.clock import SystemClock
from undercroft.testing import FakeAgent, FakeClock, MemoryStore
from undercroft_hookspecs import HostId, Store
from undercroft_hookspecs.charm import Charm, ResourceSpec
from undercroft_hookspecs.identity import ModelId
from undercroft_model.applications import Deployment, attach_resource, deploy, refresh, remove_application
from undercroft_model.blobholds import HOLD_SECONDS, REMOVAL_SECONDS, BlobHold, holding, note_blob
from undercroft_model.blobremoval import remove_unneeded
from undercroft_model.blobs import BlobError, Blobs
from undercroft_model.lifecycle import reap
from undercroft_model.models import destroy_model
from undercroft_model.plugin import Config
from undercroft_model.rows import Resource
from undercroft_model.tables import CHARMS
from undercroft_model.transaction import Transaction
from undercroft_model.worker import start_model


class SlowBlobs(Blobs):
    """Removals wait until they are let go on, if they are held up."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.removing = asyncio.Event()
        self.may_go_on = asyncio.Event()

    async def remove(self, sha256: str) -> None:
        self.removing.set()
        await self.may_go_on.wait()
        await super().remove(sha256)


class BrokenBlobs(Blobs):
    """Removals fail half-way."""

    async def remove(self, sha256: str) -> None:
        raise BlobError(f"{sha256} did not go away in time")


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    """A folder of blobs."""
    return Blobs(str(tmp_path / "blobs"))


class Shelf:
    """Charms and resources of a world, as the commands keep and name them."""

    def __init__(self, world: World, blobs: Blobs, folder: Path) -> None:
        self.world, self.blobs, self._folder = world, blobs, folder

    def file(self, content: str) -> Path:
        path = self._folder / f"file-{content}"
        if not path.exists():  # Others may be reading it.
            path.write_text(content)
        return path

    def charm(self, content: str) -> Charm:
        specs = {"data": ResourceSpec(type="file", filename="data.bin")}
        return msgspec.structs.replace(MYSQL, sha256=sha_of(content), resources=specs)

    async def keep(self, content: str, hold: BlobHold) -> str:
        return await self.blobs.put(self.file(content), claim=hold.add)

    async def deploy(self, content: str, name: str, *, model: ModelId | None = None, data: str = "") -> None:
        world = self.world
        async with holding(world.store, clock=world.clock, rng=world.rng) as hold:
            await self.keep(content, hold)
            resources = {"data": Resource(sha256=await self.keep(data, hold))} if data else {}
            deployment = Deployment(name=name, charm=self.charm(content), resources=resources)

            async def decide(tx: Transaction) -> None:
                await hold.check(tx)
                await deploy(tx, model or world.model, deployment, here=HERE, now=world.clock.now())

            await world.change(decide)

    async def remove(self, name: str, *, model: ModelId | None = None) -> None:
        world, model = self.world, model or self.world.model
        await world.change(lambda tx: remove_application(tx, model, name, force=True))
        await reap(world.store, model, clock=world.clock, rng=world.rng)

    async def tidy(self) -> None:
        await remove_unneeded(self.world.store, self.blobs, clock=self.world.clock)

    async def kept(self) -> set[str]:
        return set(await self.blobs.ids())

    async def marks(self) -> list[str]:
        return [entry.key for entry in (await self.world.store.list("/blobs/")).entries]


def sha_of(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


@pytest.fixture
def shelf(world: World, blobs: Blobs, tmp_path: Path) -> Shelf:
    """Blobs beside a world."""
    return Shelf(world, blobs, tmp_path)


async def test_a_charms_archive_goes_with_the_last_application_that_has_it(shelf: Shelf) -> None:
    await shelf.deploy("charm", "first")
    await shelf.deploy("charm", "second")

    await shelf.remove("first")
    await shelf.tidy()
    assert await shelf.kept() == {sha_of("charm")}

    await shelf.remove("second")
    await shelf.tidy()
    assert await shelf.kept() == set()
    assert await shelf.marks() == []


async def test_an_archive_that_another_model_needs_stays(shelf: Shelf) -> None:
    other = await shelf.world.new_model("other")
    await shelf.deploy("charm", "mysql")
    await shelf.deploy("charm", "mysql", model=other)

    await shelf.remove("mysql")
    await shelf.tidy()
    assert await shelf.kept() == {sha_of("charm")}

    await shelf.remove("mysql", model=other)
    await shelf.tidy()
    assert await shelf.kept() == set()


async def test_a_deployment_leaves_nothing_to_look_at(shelf: Shelf) -> None:
    await shelf.deploy("charm", "mysql", data="data")

    assert await shelf.marks() == []


async def test_a_resource_that_was_replaced_goes(shelf: Shelf) -> None:
    await shelf.deploy("charm", "mysql", data="old")
    world = shelf.world

    async with holding(world.store, clock=world.clock, rng=world.rng) as hold:
        new = Resource(sha256=await shelf.keep("new", hold))
        await world.run(attach_resource, "mysql", "data", new)
    await shelf.tidy()

    assert await shelf.kept() == {sha_of("charm"), sha_of("new")}


async def test_what_a_refresh_replaces_goes_once_no_unit_has_it(shelf: Shelf) -> None:
    await shelf.deploy("old charm", "mysql", data="old")
    world = shelf.world
    await world.start("mysql/0")
    async with holding(world.store, clock=world.clock, rng=world.rng) as hold:
        new = {"data": Resource(sha256=await shelf.keep("new", hold))}
        await shelf.keep("new charm", hold)
        await world.run(refresh, "mysql", shelf.charm("new charm"), resources=new)
    await world.reap()
    await shelf.tidy()
    assert await shelf.kept() == {sha_of("old charm"), sha_of("new charm"), sha_of("new")}

    await world.start("mysql/0")
    await world.reap()
    await shelf.tidy()

    assert await shelf.kept() == {sha_of("new charm"), sha_of("new")}


async def test_resources_go_with_their_application(shelf: Shelf) -> None:
    await shelf.deploy("charm", "mysql", data="data")

    await shelf.remove("mysql")
    await shelf.tidy()

    assert await shelf.kept() == set()
    assert await shelf.marks() == []


async def test_all_goes_with_its_model(shelf: Shelf) -> None:
    await shelf.deploy("charm", "mysql", data="data")

    await shelf.world.run(destroy_model, force=True)
    await shelf.world.reap()
    await shelf.tidy()

    assert await shelf.kept() == set()
    assert await shelf.marks() == []


async def test_what_is_held_stays_and_goes_if_nothing_came_of_it(shelf: Shelf) -> None:
    world = shelf.world
    with pytest.raises(RuntimeError, match="changed my mind"):
        async with holding(world.store, clock=world.clock, rng=world.rng) as hold:
            await shelf.keep("charm", hold)
            await shelf.tidy()
            assert await shelf.kept() == {sha_of("charm")}
            raise RuntimeError("changed my mind")

    await shelf.tidy()

    assert await shelf.kept() == set()
    assert await shelf.marks() == []


async def test_who_wants_a_blob_that_is_being_removed_waits_and_keeps_it_anew(world: World, tmp_path: Path) -> None:
    blobs = SlowBlobs(str(tmp_path / "blobs"))
    shelf = Shelf(world, blobs, tmp_path)
    await shelf.deploy("charm", "mysql")
    await shelf.remove("mysql")
    async with asyncio.timeout(20):
        removal = asyncio.create_task(shelf.tidy())
        await blobs.removing.wait()
        deployment = asyncio.create_task(shelf.deploy("charm", "again"))
        await asyncio.sleep(0.05)
        assert await world.applications() == []

        blobs.may_go_on.set()
        await asyncio.gather(removal, deployment)

    assert await world.applications() == ["again"]
    await shelf.tidy()
    assert await shelf.kept() == {sha_of("charm")}


async def test_a_removal_that_was_cut_short_is_finished_by_another(tmp_path: Path) -> None:
    clock = FakeClock()
    world = await World(MemoryStore(clock=clock)).begin()
    shelf = Shelf(world, BrokenBlobs(str(tmp_path / "blobs")), tmp_path)
    await shelf.deploy("charm", "mysql")
    await shelf.remove("mysql")
    with pytest.raises(BlobError, match="did not go away"):
        await shelf.tidy()
    shelf.blobs = Blobs(str(tmp_path / "blobs"))

    await shelf.tidy()
    assert await shelf.kept() == {sha_of("charm")}, "the first may still be about it"

    await clock.advance(REMOVAL_SECONDS)
    await shelf.tidy()
    assert await shelf.kept() == set()
    assert await shelf.marks() == []


async def test_nothing_is_named_once_its_hold_was_lost(tmp_path: Path) -> None:
    clock = FakeClock()
    world = await World(MemoryStore(clock=clock)).begin()
    async with holding(world.store, clock=SystemClock(), rng=world.rng) as hold:
        await hold.add(sha_of("charm"))
        await clock.advance(HOLD_SECONDS)

        with pytest.raises(BlobError, match="try again"):
            await world.change(hold.check)


async def test_a_long_upload_is_held_to_its_end(tmp_path: Path) -> None:
    clock = FakeClock()
    world = await World(MemoryStore(clock=clock)).begin()
    async with holding(world.store, clock=clock, rng=world.rng) as hold:
        await hold.add(sha_of("charm"))
        for _ in range(6):
            await clock.advance(HOLD_SECONDS / 2)

        await world.change(hold.check)


async def test_a_name_that_no_blob_can_have_is_let_go(shelf: Shelf) -> None:
    async def note(tx: Transaction) -> None:
        note_blob(tx, "nonsense")

    await shelf.world.change(note)

    await shelf.tidy()

    assert await shelf.marks() == []


async def test_whatever_comes_when_no_blob_is_missed_and_none_is_left(shelf: Shelf) -> None:
    """Deployments and removals of one charm all at once, and several who remove."""
    world = shelf.world
    models = [world.model, await world.new_model("other")]
    done = asyncio.Event()

    async def come_and_go(number: int) -> None:
        for turn in range(8):
            name, model = f"app{number}-turn{turn}x", models[number % 2]
            await shelf.deploy("charm", name, model=model)
            assert await shelf.blobs.has(sha_of("charm"))
            assert await Transaction(world.store).get(CHARMS.of(model), sha_of("charm")) is not None
            await shelf.remove(name, model=model)

    async def remove() -> None:
        while not done.is_set():
            await shelf.tidy()
            await asyncio.sleep(0)

    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        removers = [group.create_task(remove()) for _ in range(2)]
        await asyncio.gather(*(come_and_go(number) for number in range(3)))
        done.set()
        await asyncio.gather(*removers)
    await shelf.tidy()

    assert await shelf.kept() == set()
    assert await shelf.marks() == []


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_an_agent_removes_what_is_needed_no_more_and_what_a_killed_command_has_left(
    shelf: Shelf, tmp_path: Path, store: Store
) -> None:
    world = shelf.world
    await shelf.deploy("charm", "mysql")
    lease = await store.lease(600)
    abandoned = BlobHold(store, lease, "token", clock=world.clock, rng=world.rng)
    await shelf.keep("abandoned", abandoned)
    agent = FakeAgent(data_dir=tmp_path, host=HostId.parse(HERE.id))
    worker = await start_model(agent, Config(blobs=str(tmp_path / "blobs")), role=AgentRole(), store=store)
    try:
        await world.run(remove_application, "mysql", force=True)
        await until(lambda: _has(shelf, "abandoned"))

        await store.revoke(lease)
        await until(lambda: _has(shelf))
        await until(lambda: _is_tidy(shelf))
    finally:
        await stop(worker)


@dataclass(frozen=True)
class AgentRole:
    """That of an agent."""

    role: Literal["agent", "client"] = "agent"


async def _has(shelf: Shelf, *contents: str) -> bool:
    return await shelf.kept() == set(map(sha_of, contents))


async def _is_tidy(shelf: Shelf) -> bool:
    return await shelf.marks() == []
