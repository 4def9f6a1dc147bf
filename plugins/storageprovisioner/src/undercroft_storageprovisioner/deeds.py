"""Takes steps: asks the provider, and tells the model what has come of it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from undercroft_hookspecs import (
    AttachParams,
    FilesystemId,
    FilesystemParams,
    PermanentError,
    VolumeId,
    VolumeParams,
)
from undercroft_storageprovisioner.managed import ManagedFilesystems
from undercroft_storageprovisioner.names import file_name
from undercroft_storageprovisioner.plan import Deed, Kind, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs import AttachInfo, MachineId, ModelId, Process, StorageProvider
    from undercroft_hookspecs.storage import FilesystemSource, VolumeSource
    from undercroft_hookspecs.storage_facades import ProvisionerFacade, WantedStorage
    from undercroft_hookspecs.storage_state import Filesystem, FilesystemAttachment, Volume, VolumeAttachment

_log = logging.getLogger(__name__)


class Deeds:
    """Takes the steps of one model; `folder` is the model's storage folder.

    A step that fails raises: PermanentError and NotValidError for good, anything else for now. Each can be taken again.
    """

    def __init__(
        self,
        model: ModelId,
        folder: Path,
        *,
        facade: ProvisionerFacade,
        # Any: each provider has a struct of attributes of its own.
        providers: Mapping[str, StorageProvider[Any]],
        process: Process,
    ) -> None:
        self._model, self._folder = model, folder
        self._facade, self._providers = facade, providers
        self._managed = ManagedFilesystems(model, folder, process)

    async def take(self, step: Step, wanted: WantedStorage) -> AttachInfo | None:
        """Take a step; gives where the entity is, for one that attaches."""
        _log.info("%s of model %s", step, self._model)
        assert wanted.machine is not None, "there is nothing to do on a host that is no machine of the model"
        if step.kind is Kind.VOLUME:
            return await self._volume(step, wanted, wanted.machine)
        return await self._filesystem(step, wanted, wanted.machine)

    def place(self, attachment: FilesystemAttachment) -> Path:
        """Where a filesystem is mounted: where its charm wants it, else in the storage folder."""
        if attachment.info is not None and attachment.info.path:
            return Path(attachment.info.path)
        if attachment.path:
            return Path(attachment.path)
        return self._folder / "mounts" / file_name(FilesystemId.parse(attachment.filesystem))

    async def _volume(self, step: Step, wanted: WantedStorage, machine: MachineId) -> AttachInfo | None:
        entity, volume = VolumeId.parse(step.entity), wanted.volumes.get(step.entity)
        if volume is None:  # It went while its attachment was left: there is nothing to take away any more.
            await self._facade.set_detached(self._model, entity)
            return None
        source = self._volumes(volume)
        match step.deed:
            case Deed.CREATE:
                params = VolumeParams(volume=entity, size_mib=volume.size_mib, tags=self._tags(volume))
                await self._facade.set_volume(self._model, entity, await source.create(params))
                await self._facade.set_status(self._model, entity, "attaching")
            case Deed.ATTACH:
                held = wanted.volume_attachments[step.entity]
                info = await source.attach(_held(entity, volume, held, machine))
                await self._facade.set_attached(self._model, entity, info)
                await self._facade.set_status(self._model, entity, "attached")
                return info
            case Deed.DETACH:
                await self._facade.set_status(self._model, entity, "detaching")
                await source.detach(_held(entity, volume, wanted.volume_attachments[step.entity], machine))
                await self._facade.set_status(self._model, entity, "detached")
                await self._facade.set_detached(self._model, entity)
            case Deed.DESTROY:
                await self._facade.set_status(self._model, entity, "destroying")
                if not volume.releasing:
                    await source.destroy(entity)
                await self._facade.remove(self._model, entity)
        return None

    async def _filesystem(self, step: Step, wanted: WantedStorage, machine: MachineId) -> AttachInfo | None:
        entity, filesystem = FilesystemId.parse(step.entity), wanted.filesystems.get(step.entity)
        if filesystem is None:
            await self._facade.set_detached(self._model, entity)
            return None
        match step.deed:
            case Deed.CREATE:
                await self._create(entity, filesystem, wanted)
            case Deed.ATTACH:
                return await self._mount(entity, filesystem, wanted, machine)
            case Deed.DETACH:
                await self._unmount(entity, filesystem, wanted, machine)
            case Deed.DESTROY:
                await self._facade.set_status(self._model, entity, "destroying")
                if not filesystem.releasing:
                    await self._filesystems(filesystem).destroy(entity)
                await self._facade.remove(self._model, entity)
        return None

    async def _create(self, entity: FilesystemId, filesystem: Filesystem, wanted: WantedStorage) -> None:
        if filesystem.volume:
            device = _device(wanted, filesystem.volume)
            kind, label = filesystem.attributes.get("fs", ""), filesystem.storage
            info = await self._managed.create(entity, device, kind=kind, label=label)
        else:
            params = FilesystemParams(filesystem=entity, size_mib=filesystem.size_mib, tags=self._tags(filesystem))
            info = await self._filesystems(filesystem).create(params)
        await self._facade.set_filesystem(self._model, entity, info)
        await self._facade.set_status(self._model, entity, "attaching")

    async def _mount(
        self, entity: FilesystemId, filesystem: Filesystem, wanted: WantedStorage, machine: MachineId
    ) -> AttachInfo:
        mounted = wanted.filesystem_attachments[str(entity)]
        path = self.place(mounted)
        if filesystem.volume:
            device, kind = _device(wanted, filesystem.volume), filesystem.attributes.get("fs", "")
            info = await self._managed.attach(entity, device, path, kind=kind, read_only=mounted.read_only)
        else:
            info = await self._filesystems(filesystem).attach(_mounted(entity, filesystem, mounted, machine, path))
        await self._facade.set_attached(self._model, entity, info)
        await self._facade.set_status(self._model, entity, "attached")
        return info

    async def _unmount(
        self, entity: FilesystemId, filesystem: Filesystem, wanted: WantedStorage, machine: MachineId
    ) -> None:
        mounted = wanted.filesystem_attachments[str(entity)]
        path = self.place(mounted)
        await self._facade.set_status(self._model, entity, "detaching")
        if filesystem.volume:
            held = wanted.volume_attachments.get(filesystem.volume)
            is_there = held is not None and held.info is not None
            await self._managed.detach(_device(wanted, filesystem.volume) if is_there else None, path)
        else:
            await self._filesystems(filesystem).detach(_mounted(entity, filesystem, mounted, machine, path))
        await self._facade.set_status(self._model, entity, "detached")
        await self._facade.set_detached(self._model, entity)

    def _volumes(self, volume: Volume) -> VolumeSource:
        provider = self._provider(volume)
        if provider.volumes is None:
            raise PermanentError(f'the provider "{volume.provider}" makes no volumes')
        return provider.volumes(self._attributes(provider, volume), self._folder)

    def _filesystems(self, filesystem: Filesystem) -> FilesystemSource:
        provider = self._provider(filesystem)
        if provider.filesystems is None:
            raise PermanentError(f'the provider "{filesystem.provider}" makes no filesystems')
        return provider.filesystems(self._attributes(provider, filesystem), self._folder)

    def _provider(self, entity: Volume | Filesystem) -> StorageProvider[Any]:  # as above
        provider = self._providers.get(entity.provider)
        if provider is None:
            raise PermanentError(f'there is no storage provider "{entity.provider}" on this host: install its plugin')
        return provider

    def _attributes(self, provider: StorageProvider[Any], entity: Volume | Filesystem) -> Any:  # as above
        try:
            return msgspec.convert(dict(entity.attributes), provider.attributes, strict=False)
        except msgspec.ValidationError as error:
            message = f'the pool "{entity.pool}" has attributes that "{entity.provider}" does not take: {error}'
            raise PermanentError(message) from error

    def _tags(self, entity: Volume | Filesystem) -> dict[str, str]:
        return {"model": str(self._model), "storage": entity.storage}


def _held(entity: VolumeId, volume: Volume, held: VolumeAttachment, machine: MachineId) -> AttachParams:
    provider_id = volume.info.provider_id if volume.info is not None else ""
    return AttachParams(entity=entity, provider_id=provider_id, machine=machine, read_only=held.read_only)


def _mounted(
    entity: FilesystemId, filesystem: Filesystem, mounted: FilesystemAttachment, machine: MachineId, path: Path
) -> AttachParams:
    provider_id = filesystem.info.provider_id if filesystem.info is not None else ""
    return AttachParams(entity=entity, provider_id=provider_id, machine=machine, read_only=mounted.read_only, path=path)


def _device(wanted: WantedStorage, volume: str) -> Path:
    """The device of an attached volume. Raises PermanentError: its provider has not said which it is."""
    held = wanted.volume_attachments.get(volume)
    info = held.info if held is not None else None
    if info is not None and info.device_link:
        return Path(info.device_link)
    if info is not None and info.device_name:
        return Path("/dev", info.device_name)
    raise PermanentError(f"it is not known which device volume {volume} is")
