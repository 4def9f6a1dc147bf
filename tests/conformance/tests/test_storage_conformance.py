"""The kit on a source of filesystems (folders) that keeps the contract, and on one bad source for each rule."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from undercroft_conformance import StorageProviderConformance
from undercroft_conformance.checks.storage import Maker, StorageCase
from undercroft_conformance.drive import judge
from undercroft_conformance.storage_conformance import CHECKS
from undercroft_conformance.verdict import RuleBroken
from undercroft_hookspecs import (
    AttachInfo,
    AttachParams,
    FilesystemId,
    FilesystemInfo,
    FilesystemParams,
    FilesystemSource,
    NotFoundError,
    NotValidError,
    PermanentError,
    StorageProvider,
    VolumeId,
    VolumeInfo,
    VolumeParams,
    VolumeSource,
)


class Attributes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pool of folders has no attributes."""


class Folders:
    """Filesystems that are folders; a symbolic link is what attaches one. They can do all that can be asked for."""

    def __init__(self, root: Path) -> None:
        self.root = root / "folders"

    def place(self, entity: FilesystemId | VolumeId) -> Path:
        return self.root / str(entity).replace("/", "-")

    def size(self, entity: FilesystemId | VolumeId, least: int) -> int:
        kept = self.root / f"{self.place(entity).name}.size"
        size = max(least, int(kept.read_text()) if kept.exists() else 0)
        kept.write_text(str(size))
        return size

    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        self.place(params.filesystem).mkdir(parents=True, exist_ok=True)
        size = self.size(params.filesystem, params.size_mib)
        return FilesystemInfo(provider_id=self.place(params.filesystem).name, size_mib=size)

    async def attach(self, params: AttachParams) -> AttachInfo:
        assert params.path is not None
        if params.read_only:
            raise PermanentError("a link keeps nobody from writing")
        if not self.place(params.entity).is_dir():
            raise NotFoundError(str(params.entity))
        if not params.path.is_symlink():
            params.path.symlink_to(self.place(params.entity))
        return AttachInfo(path=str(params.path))

    async def detach(self, params: AttachParams) -> None:
        assert params.path is not None
        if params.path.is_symlink():
            params.path.unlink()

    async def destroy(self, filesystem: FilesystemId) -> None:
        shutil.rmtree(self.place(filesystem), ignore_errors=True)
        (self.root / f"{self.place(filesystem).name}.size").unlink(missing_ok=True)

    async def grow(self, entity: FilesystemId, size_mib: int) -> FilesystemInfo:
        return FilesystemInfo(provider_id=self.place(entity).name, size_mib=self.size(entity, size_mib))

    async def snapshot(self, entity: FilesystemId, name: str) -> str:
        kept = self.root / f"{self.place(entity).name}@{name}"
        kept.mkdir(exist_ok=True)
        return kept.name

    async def remove_snapshot(self, entity: FilesystemId, name: str) -> None:
        shutil.rmtree(self.root / f"{self.place(entity).name}@{name}", ignore_errors=True)

    async def release(self, entity: FilesystemId) -> None:
        pass

    async def import_existing(self, entity: FilesystemId, provider_id: str) -> FilesystemInfo:
        if not (self.root / provider_id).is_dir():
            raise NotFoundError(provider_id)
        return FilesystemInfo(provider_id=provider_id, size_mib=1)


class Devices:
    """Volumes that are only written down."""

    def __init__(self) -> None:
        self.made: dict[VolumeId | FilesystemId, int] = {}

    async def create(self, params: VolumeParams) -> VolumeInfo:
        size = self.made[params.volume] = max(params.size_mib, self.made.get(params.volume, 0))
        return VolumeInfo(provider_id=f"volume-{params.volume}", size_mib=size)

    async def attach(self, params: AttachParams) -> AttachInfo:
        if params.entity not in self.made:
            raise NotFoundError(str(params.entity))
        return AttachInfo(device_name="vdb", read_only=params.read_only)

    async def detach(self, params: AttachParams) -> None:
        pass

    async def destroy(self, volume: VolumeId) -> None:
        self.made.pop(volume, None)


# Any: as the provider's own struct of attributes.
def provider(kind: type[Folders] = Folders) -> StorageProvider[Any]:
    """A provider of folders."""
    return StorageProvider(
        attributes=Attributes,
        filesystems=lambda _, folder: kind(folder),
        can=frozenset({"grow", "snapshot", "release", "import"}),
        default_pools={"plain": Attributes()},
    )


class TestFolders(StorageProviderConformance):
    @pytest.fixture
    def provider(self) -> StorageProvider[Any]:  # as above
        return provider()


class TestDevices(StorageProviderConformance):
    kind = "volume"

    @pytest.fixture
    def source(self) -> VolumeSource:
        return Devices()


class TestFoldersWithoutAProvider(StorageProviderConformance):
    @pytest.fixture
    def source(self, tmp_path: Path) -> FilesystemSource:
        return Folders(tmp_path)


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
        if params.read_only:
            raise PermanentError("a link keeps nobody from writing")
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
        if not self.place(filesystem).exists():
            raise NotFoundError(str(filesystem))
        await super().destroy(filesystem)


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


class ForgetsSizes(Folders):
    """It says nothing of a size that it does not give."""

    def size(self, entity: FilesystemId | VolumeId, least: int) -> int:
        kept = self.root / f"{self.place(entity).name}.size"
        if not kept.exists():
            kept.write_text(str(least))
        return int(kept.read_text())


class OverflowsForEver(Folders):
    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        if params.size_mib > 1 << 40:
            raise OverflowError("too large")
        return await super().create(params)


class ForgetsTheMachine(Folders):
    def place(self, entity: FilesystemId | VolumeId) -> Path:
        return self.root / str(entity).rpartition("/")[2]


class AttachesNothing(Folders):
    async def attach(self, params: AttachParams) -> AttachInfo:
        self.place(params.entity).mkdir(parents=True, exist_ok=True)
        return await super().attach(params)


class WritesAllTheSame(Folders):
    async def attach(self, params: AttachParams) -> AttachInfo:
        return await super().attach(replace(params, read_only=False))


class HidesContent(Folders):
    async def attach(self, params: AttachParams) -> AttachInfo:
        assert params.path is not None
        if params.path.is_dir() and not params.path.is_symlink():
            shutil.rmtree(params.path)
        return await super().attach(params)


class DoesOneThingAtATime(Folders):
    busy = False

    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        if self.busy:
            raise NotValidError("busy", field="filesystem")
        self.busy = True
        await asyncio.sleep(0.001)
        self.busy = False
        return await super().create(params)


class IsLeftBusy(DoesOneThingAtATime):
    pass


class RemembersInMemory(Folders):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.made: list[str] = []

    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        name = str(params.filesystem)
        if name not in self.made:
            self.made.append(name)
        info = await super().create(params)
        return FilesystemInfo(provider_id=f"{info.provider_id}-of-{id(self.made)}", size_mib=info.size_mib)


class DetachesItsOwn(Folders):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.attached: set[Path | None] = set()

    async def attach(self, params: AttachParams) -> AttachInfo:
        assert params.path is not None
        if params.path.is_symlink() and params.path not in self.attached:
            raise PermanentError("somebody else's")
        self.attached.add(params.path)
        return await super().attach(params)

    async def detach(self, params: AttachParams) -> None:
        if params.path in self.attached:
            self.attached.discard(params.path)
            await super().detach(params)


class GrowsOnce(Folders):
    async def grow(self, entity: FilesystemId, size_mib: int) -> FilesystemInfo:
        if self.size(entity, 0) >= size_mib:
            raise NotValidError("it is that large", field="size_mib")
        return await super().grow(entity, size_mib)


class SnapshotsTwice(Folders):
    taken = 0

    async def snapshot(self, entity: FilesystemId, name: str) -> str:
        self.taken += 1
        return await super().snapshot(entity, f"{name}-{self.taken}")


class ReleasesOnce(Folders):
    released = False

    async def release(self, entity: FilesystemId) -> None:
        if self.released:
            raise NotFoundError(str(entity))
        self.released = True


class TakesAnything(Folders):
    async def import_existing(self, entity: FilesystemId, provider_id: str) -> FilesystemInfo:
        return FilesystemInfo(provider_id=provider_id, size_mib=1)


class MakesItsFolder(Folders):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.root.mkdir(parents=True, exist_ok=True)


class Loose(msgspec.Struct):
    """Attributes that can be changed, and are not looked at."""


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
    "size-larger": ForgetsSizes,
    "size-absurd": OverflowsForEver,
    "ids-apart": ForgetsTheMachine,
    "attach-missing": AttachesNothing,
    "attach-read-only": WritesAllTheSame,
    "attach-content": HidesContent,
    "at-once": DoesOneThingAtATime,
    "call-cancelled": IsLeftBusy,
    "restart-same": RemembersInMemory,
    "restart-clean": DetachesItsOwn,
    "provider-source": MakesItsFolder,
    "grow": GrowsOnce,
    "snapshot": SnapshotsTwice,
    "release": ReleasesOnce,
    "import-missing": TakesAnything,
}
# Any: as the provider's own struct of attributes.
BAD_PROVIDERS: Mapping[str, StorageProvider[Any]] = {
    "provider-attributes": replace(provider(), attributes=Loose),
    "provider-pools": replace(provider(), default_pools={"7 of them": Attributes()}),
    "provider-can": replace(provider(), can=frozenset({"trim", "import", "fly"})),  # type: ignore[arg-type]
}


@pytest.mark.allow_leaks("fd")
@pytest.mark.slow_callbacks
@pytest.mark.parametrize("rule", [check.rule.id for check in CHECKS])
def test_a_source_that_breaks_a_rule_is_caught_by_its_name(rule: str, tmp_path: Path) -> None:
    (check,) = (check for check in CHECKS if check.rule.id == rule)
    made = BAD_PROVIDERS[rule] if rule in BAD_PROVIDERS else provider(BAD_SOURCES[rule])
    maker = Maker(made)
    source = maker.source("filesystem", tmp_path / "storage")

    with pytest.raises(RuleBroken) as caught:
        judge(check, lambda bench: StorageCase(source, "filesystem", 16, tmp_path, bench, maker=maker), loop="uvloop")

    assert caught.value.rule.id == rule
    assert check.rule.sentence in str(caught.value)
