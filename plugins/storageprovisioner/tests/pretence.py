"""Providers by hand, of what is only said to be there."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from plugins.storageprovisioner.tests.ground import Ground

from undercroft_hookspecs import StorageProvider
from undercroft_hookspecs.storage import (
    AttachInfo,
    AttachParams,
    FilesystemInfo,
    FilesystemParams,
    VolumeInfo,
    VolumeParams,
)


class Attributes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One, so that it can be given and be wrong."""

    speed: int = 0


class Pretence:
    """Filesystems that are only said to be there; each call is counted, and those of one entity may not overlap."""

    def __init__(self) -> None:
        self.calls: Counter[tuple[str, str]] = Counter()
        self.busy: set[str] = set()
        self.at_once = 0
        self.hanging: dict[str, asyncio.Event] = {}
        self.failing: dict[str, Exception] = {}
        self.made: list[FilesystemParams | VolumeParams] = []
        self.attached: list[AttachParams] = []
        self.attributes: list[Attributes] = []

    @property
    def provider(self) -> StorageProvider[Attributes]:
        """As a plugin would declare it."""
        return StorageProvider(attributes=Attributes, filesystems=self.source)

    # Any: the source of volumes is of another kind.
    def source(self, attributes: Attributes, _: Path) -> Any:
        """As the provisioner asks for it."""
        self.attributes.append(attributes)
        return self

    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        self.made.append(params)
        await self._do("create", str(params.filesystem))
        return FilesystemInfo(provider_id=str(params.filesystem), size_mib=params.size_mib)

    async def attach(self, params: AttachParams) -> AttachInfo:
        self.attached.append(params)
        await self._do("attach", str(params.entity))
        return AttachInfo(path=str(params.path))

    async def detach(self, params: AttachParams) -> None:
        await self._do("detach", str(params.entity))

    async def destroy(self, entity: object) -> None:
        await self._do("destroy", str(entity))

    async def _do(self, what: str, entity: str) -> None:
        assert entity not in self.busy, f"two calls about {entity} at once"
        self.calls[what, entity] += 1
        self.busy.add(entity)
        self.at_once = max(self.at_once, len(self.busy))
        try:
            await asyncio.sleep(0)
            if what in self.failing:
                raise self.failing[what]
            if entity in self.hanging:
                await self.hanging[entity].wait()
        finally:
            self.busy.discard(entity)


class PretenceOfVolumes(Pretence):
    """Volumes that are only said to be there."""

    @property
    def provider(self) -> StorageProvider[Attributes]:
        """As a plugin would declare it."""
        return StorageProvider(attributes=Attributes, volumes=self.source)

    async def create(self, params: VolumeParams) -> VolumeInfo:  # type: ignore[override]
        self.made.append(params)
        await self._do("create", str(params.volume))
        return VolumeInfo(provider_id=str(params.volume), size_mib=params.size_mib)

    async def attach(self, params: AttachParams) -> AttachInfo:
        self.attached.append(params)
        await self._do("attach", str(params.entity))
        return AttachInfo(device_name="null")


def pretending(ground: Ground) -> Pretence:
    """Have the ground's provider be a pretence."""
    pretence = Pretence()
    ground.providers = {"pretence": pretence.provider}
    return pretence
