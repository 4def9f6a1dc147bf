"""A model in memory, and a host that provisions what is wanted in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from plugins.model.tests.conftest import HERE, World, charm

from undercroft.process import SystemProcess
from undercroft.testing.agent import FakeAgent
from undercroft_hookspecs import HostId
from undercroft_hookspecs.charm import Charm, StorageSpec
from undercroft_hookspecs.storage_facades import UnitStorage, WantedStorage
from undercroft_model.devices import HostDevices
from undercroft_model.placement import Placement
from undercroft_model.storage.provisioning import HostStorage
from undercroft_model.units import add_units, remove_unit
from undercroft_model.unitside.standpoint import Standpoint
from undercroft_model.unitside.storage import OwnStorage
from undercroft_storageprovisioner.plugin import Config, undercroft_storage_providers
from undercroft_storageprovisioner.threads import Hangs
from undercroft_storageprovisioner.worker import StorageProvisioner

KEEPER = charm("keeper", storage={"data": StorageSpec(maximum=None)})


class Ground:
    """A model, and a host that provisions what is wanted in it."""

    def __init__(self, world: World, folder: Path, data_dir: Path | None = None) -> None:
        self.world, self.folder = world, folder
        self.agent = FakeAgent(config=Config(), process=SystemProcess(), data_dir=data_dir or folder / "agent")
        self.providers = undercroft_storage_providers(self.agent)
        self.devices = HostDevices(world.store, HostId.parse(HERE.id), clock=world.clock, rng=world.rng)
        self.hangs = Hangs()
        self.facade = HostStorage(world.store, HostId.parse(HERE.id), clock=world.clock, rng=world.rng)

    @asynccontextmanager
    async def provisioning(self) -> AsyncIterator[StorageProvisioner]:
        """The provisioner, running."""
        placement = Placement(self.world.store, HostId.parse(HERE.id), clock=self.world.clock, rng=self.world.rng)
        worker = StorageProvisioner(
            self.agent,
            Config(),
            placement=placement,
            facade=self.facade,
            providers=self.providers,
            devices=self.devices,
            hangs=self.hangs,
        )
        try:
            yield worker
        finally:
            worker.kill()
            await worker.wait()

    async def deploy(self, directive: str, charm: Charm = KEEPER) -> UnitStorage:
        """A unit's one piece of storage, made as a directive says, while a provisioner runs."""
        await self.world.deploy(charm, storage={"data": directive})
        await self.world.start(f"{charm.name}/0")
        return await self.attached(f"{charm.name}/0")

    async def wanted(self) -> WantedStorage:
        """What is wanted now."""
        async with self.facade.watch_storage(self.world.model) as states:
            return await anext(aiter(states))

    async def until(self, condition: Callable[[WantedStorage], object], seconds: float = 30) -> WantedStorage:
        """What is wanted, once it is as the condition says."""
        async with asyncio.timeout(seconds), self.facade.watch_storage(self.world.model) as states:
            async for wanted in states:
                if condition(wanted):
                    return wanted
        raise AssertionError("the watch ended")

    async def end(self, unit: str = "keeper/0") -> None:
        """Remove a unit by force, and return when its storage is gone."""
        await self.world.run(remove_unit, unit, force=True)
        await self.world.reap()
        await self.gone()

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

    async def another(self) -> UnitStorage:
        """Have another unit, keeper/1, and its storage attached: what was due before has been looked at by then."""
        await self.world.run(add_units, "keeper", here=HERE, now=self.world.clock.now())
        await self.world.start("keeper/1")
        await self.of("keeper/1").attachments()
        return await self.attached("keeper/1")

    async def attached(self, unit: str) -> UnitStorage:
        """A unit's one piece of storage, once it is there."""
        async with asyncio.timeout(20), self.of(unit).watch_attachments() as states:
            async for state in states:
                if state and state[0].location:
                    return state[0]
        raise AssertionError("the watch ended")

    async def gone(self) -> None:
        """Return when the model has no storage any more; a device that is looked at may need a second try."""
        async with asyncio.timeout(60), self.facade.watch_storage(self.world.model) as states:
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


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that nobody tells of."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)
