"""Charms with stores, providers by hand, and a host that provisions what is wanted of it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import pytest
from plugins.model.tests.conftest import HERE, World, charm

from undercroft_hookspecs import FilesystemId, HostId, NotFoundError, StorageProvider, VolumeId
from undercroft_hookspecs.charm import StorageSpec
from undercroft_hookspecs.state import Life
from undercroft_hookspecs.storage import AttachInfo, FilesystemInfo, FilesystemSource, VolumeInfo, VolumeSource
from undercroft_hookspecs.storage_facades import WantedStorage
from undercroft_model.hosts import register_host
from undercroft_model.storage.pools import Providers
from undercroft_model.storage.provisioning import HostStorage
from undercroft_model.unitside.standpoint import Standpoint
from undercroft_model.unitside.storage import OwnStorage


class Attributes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the providers of the tests take."""

    fs: str = "ext4"


def _volumes(_: Attributes, __: Path) -> VolumeSource:
    raise NotImplementedError("the model makes no sources")


def _filesystems(_: Attributes, __: Path) -> FilesystemSource:
    raise NotImplementedError("the model makes no sources")


PROVIDERS: Providers = {
    "loop": StorageProvider(
        attributes=Attributes,
        volumes=_volumes,
        can=frozenset({"grow", "trim", "import"}),
        default_pools={"fast": Attributes(fs="xfs")},
    ),
    "rootfs": StorageProvider(
        attributes=Attributes, filesystems=_filesystems, can=frozenset({"release", "snapshot", "import"})
    ),
    "cloud": StorageProvider(attributes=Attributes, volumes=_volumes, scope="model"),
}

KEEPER = charm(
    "keeper",
    storage={"data": StorageSpec(maximum=None, location="/srv/keeper"), "disk": StorageSpec(type="block", minimum=0)},
)


class Host:
    """A host that makes whatever is wanted, at once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.facade = HostStorage(world.store, HostId.parse(HERE.id), clock=world.clock, rng=world.rng)

    def of(self, unit: str) -> OwnStorage:
        """A unit's view of its storage."""
        world = self.world
        here = Standpoint(
            store=world.store,
            model=world.model,
            unit=unit,
            host=HostId.parse(HERE.id),
            clock=world.clock,
            rng=world.rng,
        )
        return OwnStorage(here, lambda: PROVIDERS)

    async def wanted(self) -> WantedStorage:
        """What is wanted now."""
        async with self.facade.watch_storage(self.world.model) as states:
            return await anext(aiter(states))

    async def provision(self) -> None:
        """Do one round of what is wanted: make and attach, or detach and destroy."""
        wanted, model, facade = await self.wanted(), self.world.model, self.facade
        for name, volume in wanted.volumes.items():
            entity = VolumeId.parse(name)
            if volume.life is Life.DEAD:
                await facade.remove(model, entity)
            elif volume.info is None:
                await facade.set_volume(
                    model, entity, VolumeInfo(provider_id=f"volume-{name}", size_mib=volume.size_mib)
                )
        for name, held in wanted.volume_attachments.items():
            if held.life is Life.ALIVE:
                await facade.set_attached(model, VolumeId.parse(name), AttachInfo(device_name="loop7"))
            elif wanted.filesystem_attachments.get(_on(wanted, name)) is None:
                await facade.set_detached(model, VolumeId.parse(name))
        for name, filesystem in wanted.filesystems.items():
            known = FilesystemId.parse(name)
            if filesystem.life is Life.DEAD:
                await facade.remove(model, known)
            elif filesystem.info is None:
                info = FilesystemInfo(provider_id=f"filesystem-{name}", size_mib=filesystem.size_mib)
                await facade.set_filesystem(model, known, info)
        for name, mounted in wanted.filesystem_attachments.items():
            if mounted.life is Life.ALIVE:
                path = mounted.path or f"/somewhere/{name}"
                await facade.set_attached(model, FilesystemId.parse(name), AttachInfo(path=path))
            else:
                await facade.set_detached(model, FilesystemId.parse(name))

    async def settle_until_gone(self) -> None:
        """Go on until the model is gone."""
        with contextlib.suppress(NotFoundError):
            while True:
                await self.provision()
                await self.world.reap()

    async def settle(self) -> None:
        """Go on until nothing changes any more."""
        before = None
        while before != (before := await self.wanted()):
            await self.provision()


def _on(wanted: WantedStorage, volume: str) -> str:
    return next((name for name, filesystem in wanted.filesystems.items() if filesystem.volume == volume), "")


@pytest.fixture
async def host(world: World) -> Host:
    """This host, registered."""
    await world.change(lambda tx: register_host(tx, HERE))
    return Host(world)
