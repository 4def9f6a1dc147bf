"""What is wanted in a real model is made with real loop devices and mounts, and taken down again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from plugins.model.tests.conftest import HERE, World, charm

from undercroft.linux import mountinfo
from undercroft.process import SystemProcess
from undercroft.testing.agent import FakeAgent
from undercroft.testing.store import MemoryStore
from undercroft_hookspecs import HostId
from undercroft_hookspecs.charm import StorageSpec
from undercroft_hookspecs.storage_facades import UnitStorage
from undercroft_model.hosts import register_host
from undercroft_model.placement import Placement
from undercroft_model.storage.pools import create_pool
from undercroft_model.storage.provisioning import HostStorage
from undercroft_model.units import remove_unit
from undercroft_model.unitside.standpoint import Standpoint
from undercroft_model.unitside.storage import OwnStorage
from undercroft_storageprovisioner.linux.loops import loops_of
from undercroft_storageprovisioner.plugin import Config, undercroft_storage_providers
from undercroft_storageprovisioner.worker import StorageProvisioner

root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root: run the tests as root")
KEEPER = charm("keeper", storage={"data": StorageSpec()})


class Ground:
    """A model, and a host that provisions what is wanted in it."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.agent = FakeAgent(config=Config(), process=SystemProcess(), data_dir=folder / "agent")
        self.providers = undercroft_storage_providers(self.agent)
        self.facade = HostStorage(world.store, HostId.parse(HERE.id), clock=world.clock, rng=world.rng)

    @asynccontextmanager
    async def provisioning(self) -> AsyncIterator[StorageProvisioner]:
        """The provisioner, running."""
        placement = Placement(self.world.store, HostId.parse(HERE.id), clock=self.world.clock, rng=self.world.rng)
        worker = StorageProvisioner(
            self.agent, Config(), placement=placement, facade=self.facade, providers=self.providers
        )
        try:
            yield worker
        finally:
            worker.kill()
            await worker.wait()

    def of(self, unit: str) -> OwnStorage:
        """A unit's view of its storage."""
        here = Standpoint(
            store=self.world.store,
            model=self.world.model,
            unit=unit,
            host=HostId.parse(HERE.id),
            clock=self.world.clock,
            rng=self.world.rng,
        )
        return OwnStorage(here, lambda: self.providers)

    async def attached(self, unit: str) -> UnitStorage:
        """A unit's one piece of storage, once it is there."""
        async with asyncio.timeout(20), self.of(unit).watch_attachments() as states:
            async for state in states:
                if state and state[0].location:
                    return state[0]
        raise AssertionError("the watch ended")

    async def gone(self) -> None:
        """Return when the model has no storage any more."""
        async with asyncio.timeout(20), self.facade.watch_storage(self.world.model) as states:
            async for wanted in states:
                if not wanted.volumes and not wanted.filesystems:
                    return

    async def refusal(self) -> str:
        """What is said of a filesystem once it is in error."""
        async with asyncio.timeout(20), self.facade.watch_storage(self.world.model) as states:
            async for wanted in states:
                for filesystem in (each for each in wanted.filesystems.values() if each.status.current == "error"):
                    return filesystem.status.message
        raise AssertionError("the watch ended")


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    """A model in memory."""
    world = await World(MemoryStore()).begin()
    await world.change(lambda tx: register_host(tx, HERE))
    yield Ground(world, tmp_path)
    assert not [file for file in tmp_path.rglob("volume-*") if loops_of(file)], "a loop device was left behind"
    assert not [mount.target for mount in mountinfo.read() if str(tmp_path) in mount.target]


@root
@pytest.mark.root
@pytest.mark.parametrize(("directive", "kind"), [("loop,64M", "ext4"), ("tmpfs,16M", "tmpfs"), ("rootfs,16M", "")])
async def test_unit_has_a_filesystem_and_it_goes_with_the_unit(ground: Ground, directive: str, kind: str) -> None:
    await ground.world.deploy(KEEPER, storage={"data": directive})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        storage = await ground.attached("keeper/0")
        place = Path(storage.location)
        (found,) = [mount for mount in mountinfo.read() if mount.target == str(place)]
        assert kind in ("", found.filesystem_type)
        (place / "kept").write_text("by the charm")

        await ground.world.run(remove_unit, "keeper/0")
        await ground.of("keeper/0").destroy_attachments()
        await ground.of("keeper/0").remove_attachment("data/0")
        await ground.gone()
        assert not place.exists()


@root
@pytest.mark.root
@pytest.mark.parametrize(("kind", "size"), [("xfs", "310M"), ("btrfs", "128M")])
async def test_pool_says_which_filesystem_is_made(ground: Ground, kind: str, size: str) -> None:
    await ground.world.run(create_pool, "mine", "loop", {"fs": kind}, providers=ground.providers)
    await ground.world.deploy(KEEPER, storage={"data": f"mine,{size}"})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        storage = await ground.attached("keeper/0")
        (found,) = [mount for mount in mountinfo.read() if mount.target == storage.location]
        assert found.filesystem_type == kind
        await ground.world.run(remove_unit, "keeper/0", force=True)
        await ground.world.reap()
        await ground.gone()


@root
@pytest.mark.root
async def test_what_is_on_it_outlives_the_agent_and_a_mount_that_vanished(ground: Ground) -> None:
    await ground.world.deploy(KEEPER, storage={"data": "loop,64M"})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        storage = await ground.attached("keeper/0")
        (Path(storage.location) / "kept").write_text("by the charm")
    async with ground.provisioning():
        assert (Path(storage.location) / "kept").read_text() == "by the charm"
        await ground.agent.process.run(["umount", storage.location], timeout=10)
        await until(lambda: Path(storage.location, "kept").exists())
        await ground.world.run(remove_unit, "keeper/0", force=True)
        await ground.world.reap()
        await ground.gone()


async def test_who_is_not_root_has_directories(ground: Ground) -> None:
    await ground.world.deploy(KEEPER, storage={"data": "directory,1M"})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        storage = await ground.attached("keeper/0")
        (Path(storage.location) / "kept").write_text("by the charm")
        await ground.world.run(remove_unit, "keeper/0", force=True)
        await ground.world.reap()
        await ground.gone()
        assert not Path(storage.location).exists()


async def test_provider_that_refuses_for_good_is_heard_and_not_asked_again(ground: Ground) -> None:
    await ground.world.deploy(KEEPER, storage={"data": "directory,900T"})
    await ground.world.start("keeper/0")
    async with ground.provisioning() as provisioner:
        await ground.of("keeper/0").attachments()
        message = await ground.refusal()
        assert "has room for" in message
        (report,) = provisioner.report().values()
        assert "when something else is wanted" in str(report)
        await ground.world.run(remove_unit, "keeper/0", force=True)
        await ground.world.reap()
        await ground.gone()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nobody tells of."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)
