"""Steps about storage that is there: it is made larger, a snapshot of it is made or removed, it is trimmed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs import FilesystemId, FilesystemInfo, PermanentError, VolumeId, VolumeInfo
from undercroft_hookspecs.state import Life
from undercroft_storageprovisioner.plan import is_pending

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_hookspecs import AttachParams, ModelId
    from undercroft_hookspecs.storage import Grows, Snapshots, Trims
    from undercroft_hookspecs.storage_facades import ProvisionerFacade
    from undercroft_hookspecs.storage_state import Filesystem, Volume
    from undercroft_storageprovisioner.managed import ManagedFilesystems
    from undercroft_storageprovisioner.sources import Sources


class Care:
    """Takes care of the storage of one model."""

    def __init__(
        self, model: ModelId, *, facade: ProvisionerFacade, sources: Sources, managed: ManagedFilesystems
    ) -> None:
        self._model, self._facade = model, facade
        self._sources, self._managed = sources, managed

    async def grow_volume(self, entity: VolumeId, volume: Volume, *, is_attached: bool) -> None:
        """Have a volume be as large as is wanted."""
        grows: Grows = self._sources.able(volume, "grow", self._sources.of_volume(volume))
        info = await grows.grow(entity, volume.size_mib)
        if not isinstance(info, VolumeInfo) or info.size_mib < volume.size_mib:
            raise PermanentError(f'the provider "{volume.provider}" has not made the volume larger: {info}')
        await self._facade.set_volume(self._model, entity, info)
        await self._facade.set_status(self._model, entity, "attached" if is_attached else "detached")

    async def grow_filesystem(self, entity: FilesystemId, filesystem: Filesystem, *, is_attached: bool) -> None:
        """Have a filesystem of its own provider be as large as is wanted."""
        grows: Grows = self._sources.able(filesystem, "grow", self._sources.of_filesystem(filesystem))
        info = await grows.grow(entity, filesystem.size_mib)
        if not isinstance(info, FilesystemInfo) or info.size_mib < filesystem.size_mib:
            raise PermanentError(f'the provider "{filesystem.provider}" has not made it larger: {info}')
        await self._facade.set_filesystem(self._model, entity, info)
        await self._facade.set_status(self._model, entity, "attached" if is_attached else "detached")

    async def grow_on_volume(
        self, entity: FilesystemId, filesystem: Filesystem, device: Path, path: Path, *, read_only: bool
    ) -> None:
        """Have a filesystem fill the volume that it is on, which is larger by now."""
        assert filesystem.info is not None, "what is not there does not grow"
        await self._facade.set_status(self._model, entity, "attached", f"growing to {filesystem.size_mib} MiB")
        kind = filesystem.info.kind or filesystem.attributes.get("fs", "")
        size_mib = await self._managed.grow(device, path, kind=kind, read_only=read_only)
        info = msgspec.structs.replace(filesystem.info, size_mib=size_mib)
        await self._facade.set_filesystem(self._model, entity, info)
        await self._facade.set_status(self._model, entity, "attached")

    async def keep(self, entity: VolumeId | FilesystemId, record: Volume | Filesystem, keeps: Snapshots) -> None:
        """Make the next snapshot that was asked for, or remove the next one that is to go.

        That one is refused for good is its own trouble, and not its storage's.
        """
        snapshot = next((each for each in record.snapshots if is_pending(each)), None)
        if snapshot is None:
            return
        if snapshot.life is not Life.ALIVE:
            if snapshot.provider_id:
                await keeps.remove_snapshot(entity, snapshot.name)
            changed = msgspec.structs.replace(snapshot, life=Life.DEAD)
        else:
            try:
                provider_id = await keeps.snapshot(entity, snapshot.name)
            except PermanentError as error:
                changed = msgspec.structs.replace(snapshot, refused=str(error))
            else:
                changed = msgspec.structs.replace(snapshot, provider_id=provider_id)
        await self._facade.set_snapshot(self._model, entity, changed)

    async def trim(self, entity: FilesystemId, volume: Volume, path: Path, params: AttachParams) -> None:
        """Have a filesystem tell its volume what it does not use, and that give it back."""
        trims: Trims = self._sources.able(volume, "trim", self._sources.of_volume(volume))
        await self._managed.trim(path)
        await trims.trim(params)
        await self._facade.set_trimmed(self._model, entity)
        await self._facade.set_status(self._model, entity, "attached")
