"""Every provider of ours is judged by the kit that third parties have, and so is a filesystem on a volume."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from plugins.storageprovisioner.tests.conftest import needs

from undercroft.process import SystemProcess
from undercroft.testing import FakeAgent
from undercroft_conformance import StorageProviderConformance
from undercroft_conformance.checks.storage import Maker
from undercroft_hookspecs import FilesystemId, StorageProvider, VolumeId
from undercroft_hookspecs.identity import ModelId
from undercroft_hookspecs.storage import (
    AttachInfo,
    AttachParams,
    FilesystemInfo,
    FilesystemParams,
    FilesystemSource,
    VolumeParams,
    VolumeSource,
)
from undercroft_storageprovisioner.linux.loops import loops_of
from undercroft_storageprovisioner.managed import ManagedFilesystems
from undercroft_storageprovisioner.plugin import undercroft_storage_providers
from undercroft_storageprovisioner.providers.loop import LoopVolumes

MIB = 1024 * 1024
MODEL = ModelId.parse("0b2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f")
root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root: run the tests as root")


@pytest.fixture
def ours() -> Mapping[str, StorageProvider[Any]]:  # Any: each provider has a struct of attributes of its own.
    """The providers of this plugin."""
    return undercroft_storage_providers(FakeAgent(process=SystemProcess()))


def test_every_provider_is_judged_here(ours: Mapping[str, StorageProvider[Any]]) -> None:
    judged = {test.name for test in (TestLoop, TestTmpfs, TestRootfs, TestDirectory, TestBtrfs)}

    assert judged == set(ours)


class Ours(StorageProviderConformance):
    """One of them, by its name."""

    name = ""

    @pytest.fixture
    def provider(self, ours: Mapping[str, StorageProvider[Any]]) -> StorageProvider[Any]:
        """It."""
        return ours[self.name]


@root
@pytest.mark.root
class TestLoop(Ours):
    name, kind = "loop", "volume"


@root
@pytest.mark.root
class TestTmpfs(Ours):
    name, keeps_data = "tmpfs", False


@root
@pytest.mark.root
class TestRootfs(Ours):
    name = "rootfs"


class TestDirectory(Ours):
    name = "directory"


@pytest.mark.root
@needs("mkfs.btrfs")
class TestBtrfs(Ours):
    """On a btrfs of the test's own."""

    name = "btrfs"

    @pytest.fixture
    def source(self, provider: StorageProvider[Any], tmp_path: Path) -> Iterator[FilesystemSource | VolumeSource]:
        """The storage folder is on it."""
        image, folder = tmp_path / "image", tmp_path / "storage"
        folder.mkdir()
        with image.open("wb") as file:
            file.truncate(256 * MIB)
        for argv in (["mkfs.btrfs", "-q", str(image)], ["mount", "-o", "loop", str(image), str(folder)]):
            subprocess.run(argv, check=True)
        yield Maker(provider).source(self.kind, folder)
        subprocess.run(["umount", folder], check=True)
        while loops_of(image):  # The kernel lets go of it a moment later.
            time.sleep(0.01)


class Attributes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which filesystem is made."""

    fs: str = "ext4"


class OnLoops:
    """Filesystems on loop devices, made and mounted as the provisioner does it, seen as a source."""

    def __init__(self, kind: str, folder: Path) -> None:
        agent = FakeAgent(process=SystemProcess())
        self._kind = kind
        self._volumes = LoopVolumes(folder, agent.clock)
        self._filesystems = ManagedFilesystems(MODEL, folder, agent.process)

    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        """Volume and filesystem; it is left attached, as it is on its way to be mounted."""
        volume = VolumeParams(volume=VolumeId.parse(str(params.filesystem)), size_mib=params.size_mib)
        await self._volumes.create(volume)
        device = await self._device(params.filesystem)
        return await self._filesystems.create(params.filesystem, device, kind=self._kind, label="data/0")

    async def attach(self, params: AttachParams) -> AttachInfo:
        """Loop device and mount."""
        assert isinstance(params.entity, FilesystemId)
        assert params.path is not None
        device = await self._device(params.entity)
        info, _ = await self._filesystems.attach(
            params.entity, device, params.path, kind=self._kind, policy="repair", read_only=params.read_only
        )
        return info

    async def detach(self, params: AttachParams) -> None:
        """In reverse."""
        assert params.path is not None
        try:
            device = await self._device(params.entity)
        except LookupError:
            return
        await self._filesystems.detach(device, params.path)
        await self._volumes.detach(_held(params.entity))

    async def destroy(self, filesystem: FilesystemId) -> None:
        """The volume goes, and the filesystem with it."""
        await self._volumes.detach(_held(filesystem))
        await self._volumes.destroy(VolumeId.parse(str(filesystem)))

    async def _device(self, entity: object) -> Path:
        held = await self._volumes.attach(_held(entity))
        return Path("/dev", held.device_name)


def _held(entity: object) -> AttachParams:
    from undercroft_hookspecs import MachineId

    return AttachParams(entity=VolumeId.parse(str(entity)), provider_id="", machine=MachineId.parse("0"))


@root
@pytest.mark.root
class TestManaged(StorageProviderConformance):
    """The filesystems on volumes."""

    @pytest.fixture
    def provider(self) -> StorageProvider[Attributes]:
        """Loop devices with a filesystem on each."""
        return StorageProvider(
            attributes=Attributes, filesystems=lambda attributes, folder: OnLoops(attributes.fs, folder)
        )
