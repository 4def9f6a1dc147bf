"""The kit on a source of filesystems (folders) that keeps the contract, and on one bad source for each rule."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from undercroft_conformance import StorageProviderConformance
from undercroft_conformance.checks.storage import CHECKS, StorageCase
from undercroft_conformance.drive import judge
from undercroft_conformance.verdict import RuleBroken
from undercroft_hookspecs import (
    AttachInfo,
    AttachParams,
    FilesystemId,
    FilesystemInfo,
    FilesystemParams,
    FilesystemSource,
    NotFoundError,
    VolumeId,
    VolumeInfo,
    VolumeParams,
    VolumeSource,
)


class Folders:
    """Filesystems that are folders; a symbolic link is what attaches one."""

    def __init__(self, root: Path) -> None:
        self.root = root / "folders"

    def place(self, entity: FilesystemId | VolumeId) -> Path:
        return self.root / str(entity).replace("/", "-")

    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        self.place(params.filesystem).mkdir(parents=True, exist_ok=True)
        return FilesystemInfo(provider_id=self.place(params.filesystem).name, size_mib=params.size_mib)

    async def attach(self, params: AttachParams) -> AttachInfo:
        assert params.path is not None
        if not params.path.is_symlink():
            params.path.symlink_to(self.place(params.entity))
        return AttachInfo(path=str(params.path))

    async def detach(self, params: AttachParams) -> None:
        assert params.path is not None
        params.path.unlink(missing_ok=True)

    async def destroy(self, filesystem: FilesystemId) -> None:
        shutil.rmtree(self.place(filesystem), ignore_errors=True)


class Devices:
    """Volumes that are only written down."""

    async def create(self, params: VolumeParams) -> VolumeInfo:
        return VolumeInfo(provider_id=f"volume-{params.volume}", size_mib=params.size_mib)

    async def attach(self, params: AttachParams) -> AttachInfo:
        return AttachInfo(device_name="vdb")

    async def detach(self, params: AttachParams) -> None:
        pass

    async def destroy(self, volume: VolumeId) -> None:
        pass


class TestFolders(StorageProviderConformance):
    @pytest.fixture
    def source(self, tmp_path: Path) -> FilesystemSource:
        return Folders(tmp_path)


class TestDevices(StorageProviderConformance):
    kind = "volume"

    @pytest.fixture
    def source(self) -> VolumeSource:
        return Devices()


class HasNoName(Folders):
    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        return FilesystemInfo(provider_id="", size_mib=params.size_mib)


class MakesAnother(Folders):
    made = 0

    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        self.made += 1
        info = await super().create(params)
        return FilesystemInfo(provider_id=f"{info.provider_id}-{self.made}", size_mib=params.size_mib)


class MakesItSmaller(Folders):
    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        return FilesystemInfo(provider_id="small", size_mib=params.size_mib - 1)


class MakesOneForAll(Folders):
    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        await super().create(params)
        return FilesystemInfo(provider_id="the-one", size_mib=params.size_mib)


class IsSomewhereElse(Folders):
    async def attach(self, params: AttachParams) -> AttachInfo:
        return AttachInfo(path="/nowhere/at/all")


class AttachesOnce(Folders):
    async def attach(self, params: AttachParams) -> AttachInfo:
        assert params.path is not None
        params.path.symlink_to(self.place(params.entity))
        return AttachInfo(path=str(params.path))


class AttachesOnceAndForAll(Folders):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.detached: set[FilesystemId | VolumeId] = set()

    async def attach(self, params: AttachParams) -> AttachInfo:
        if params.entity in self.detached:
            raise NotFoundError(str(params.entity))
        return await super().attach(params)

    async def detach(self, params: AttachParams) -> None:
        self.detached.add(params.entity)
        await super().detach(params)


class DetachesWhatIsThere(Folders):
    async def detach(self, params: AttachParams) -> None:
        assert params.path is not None
        params.path.unlink()


class DestroysWhatIsThere(Folders):
    async def destroy(self, filesystem: FilesystemId) -> None:
        shutil.rmtree(self.place(filesystem))


class KeepsWhatIsDestroyed(Folders):
    async def destroy(self, filesystem: FilesystemId) -> None:
        pass


class ClearsOnDetach(Folders):
    async def detach(self, params: AttachParams) -> None:
        await super().detach(params)
        for path in self.place(params.entity).glob("*"):
            path.unlink()


class LeaksDescriptors(Folders):
    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        os.open("/dev/null", os.O_RDONLY)
        return await super().create(params)


class Blocks(Folders):
    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        time.sleep(0.3)
        return await super().create(params)


BAD_SOURCES: Mapping[str, type[Folders]] = {
    "create-info": HasNoName,
    "create-twice": MakesAnother,
    "create-size": MakesItSmaller,
    "create-apart": MakesOneForAll,
    "attach-info": IsSomewhereElse,
    "attach-twice": AttachesOnce,
    "attach-again": AttachesOnceAndForAll,
    "detach-absent": DetachesWhatIsThere,
    "detach-twice": DetachesWhatIsThere,
    "destroy-missing": DestroysWhatIsThere,
    "destroy-twice": DestroysWhatIsThere,
    "create-after-destroy": KeepsWhatIsDestroyed,
    "keeps-data": ClearsOnDetach,
    "source-clean": LeaksDescriptors,
    "source-loop-free": Blocks,
}


@pytest.mark.allow_leaks("fd")
@pytest.mark.slow_callbacks
@pytest.mark.parametrize("rule", [check.rule.id for check in CHECKS])
def test_a_source_that_breaks_a_rule_is_caught_by_its_name(rule: str, tmp_path: Path) -> None:
    (check,) = (check for check in CHECKS if check.rule.id == rule)
    source = BAD_SOURCES[rule](tmp_path)

    with pytest.raises(RuleBroken) as caught:
        judge(check, lambda bench: StorageCase(source, "filesystem", 16, tmp_path, bench), loop="uvloop")

    assert caught.value.rule.id == rule
    assert check.rule.sentence in str(caught.value)
