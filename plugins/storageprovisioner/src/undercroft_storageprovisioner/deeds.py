"""Takes steps: asks the provider, and tells the model what has come of it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from undercroft_hookspecs import (
    AttachParams,
    FilesystemId,
    FilesystemInfo,
    FilesystemParams,
    PermanentError,
    VolumeId,
    VolumeInfo,
    VolumeParams,
)
from undercroft_storageprovisioner.care import Care
from undercroft_storageprovisioner.identified import is_identified, located
from undercroft_storageprovisioner.managed import ManagedFilesystems
from undercroft_storageprovisioner.names import file_name
from undercroft_storageprovisioner.plan import Deed, Kind, Step
from undercroft_storageprovisioner.room import tidy
from undercroft_storageprovisioner.sources import Sources
from undercroft_storageprovisioner.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs import AttachInfo, BlockDeviceView, MachineId, ModelId, Process, StorageProvider
    from undercroft_hookspecs.storage import Imports, Releases
    from undercroft_hookspecs.storage_facades import ProvisionerFacade, WantedStorage
    from undercroft_hookspecs.storage_state import Filesystem, FilesystemAttachment, Volume, VolumeAttachment

_log = logging.getLogger(__name__)


class Deeds:
    """Takes the steps of one model; `folder` is the model's storage folder, `named` the same as it was configured, by
    which it stands in records that were written before a symbolic link was on the way to it.

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
        named: Path | None = None,
        devices: BlockDeviceView | None = None,
    ) -> None:
        self._devices = devices
        self._model, self._folder, self._named = model, folder, named or folder
        self._facade, self._sources = facade, Sources(folder, providers)
        self._managed = ManagedFilesystems(model, folder, process)
        self._care = Care(model, facade=facade, sources=self._sources, managed=self._managed)

    @property
    def sources(self) -> Sources:
        """Who provides this model's storage."""
        return self._sources

    async def take(self, step: Step, wanted: WantedStorage) -> AttachInfo | None:
        """Take a step; gives where the entity is, for one that attaches."""
        _log.info("%s of model %s", step, self._model)
        assert wanted.machine is not None, "there is nothing to do on a host that is no machine of the model"
        if step.kind is Kind.VOLUME:
            return await self._volume(step, wanted, wanted.machine)
        return await self._filesystem(step, wanted, wanted.machine)

    async def tidy(self) -> None:
        """All storage of the model is gone from here: what is empty of its folder goes, too."""
        await in_thread(tidy, self._folder)

    def place(self, attachment: FilesystemAttachment) -> Path:
        """Where a filesystem is mounted: where its charm wants it, else in the storage folder."""
        if attachment.info is not None and attachment.info.path:
            recorded = Path(attachment.info.path)
            inside = recorded.is_relative_to(self._named)
            return self._folder / recorded.relative_to(self._named) if inside else recorded
        if attachment.path:
            return Path(attachment.path)
        return self._folder / "mounts" / file_name(FilesystemId.parse(attachment.filesystem))

    async def _volume(self, step: Step, wanted: WantedStorage, machine: MachineId) -> AttachInfo | None:
        entity, volume = VolumeId.parse(step.entity), wanted.volumes.get(step.entity)
        if volume is None:  # It went while its attachment was left: there is nothing to take away any more.
            await self._facade.set_detached(self._model, entity)
            return None
        source = self._sources.of_volume(volume, is_leaving=step.deed in (Deed.DETACH, Deed.DESTROY))
        held = wanted.volume_attachments.get(step.entity)
        match step.deed:
            case Deed.CREATE:
                params = VolumeParams(volume=entity, size_mib=volume.size_mib, tags=self._tags(volume))
                await self._facade.set_volume(self._model, entity, await source.create(params))
                await self._facade.set_status(self._model, entity, "attaching")
            case Deed.IMPORT:
                taking: Imports = self._sources.able(volume, "import", source)
                taken = await taking.import_existing(entity, volume.imported)
                assert isinstance(taken, VolumeInfo), f"{volume.provider} makes {taken} of a volume"
                await self._facade.set_volume(self._model, entity, taken)
                await self._facade.set_status(self._model, entity, "attaching" if held is not None else "detached")
            case Deed.GROW:
                await self._care.grow_volume(entity, volume, is_attached=held is not None)
            case Deed.SNAPSHOT:
                await self._care.keep(entity, volume, self._sources.able(volume, "snapshot", source))
            case Deed.ATTACH:
                assert held is not None, "what is to be attached has an attachment"
                info = await source.attach(_held(entity, volume, held, machine))
                if is_identified(volume, info):
                    info = await located(self._devices, volume, info)
                await self._facade.set_attached(self._model, entity, info)
                await self._facade.set_status(self._model, entity, "attached")
                return info
            case Deed.DETACH:
                assert held is not None, "what is to be detached has an attachment"
                await self._facade.set_status(self._model, entity, "detaching")
                await source.detach(_held(entity, volume, held, machine))
                await self._facade.set_status(self._model, entity, "detached")
                await self._facade.set_detached(self._model, entity)
            case Deed.DESTROY:
                await self._facade.set_status(self._model, entity, "destroying")
                if not volume.releasing:
                    await source.destroy(entity)
                elif self._sources.can(volume, "release"):
                    releasing: Releases = self._sources.able(volume, "release", source)
                    await releasing.release(entity)
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
            case Deed.IMPORT:
                await self._import(entity, filesystem, wanted)
            case Deed.GROW:
                await self._grow(entity, filesystem, wanted)
            case Deed.SNAPSHOT:
                source = self._sources.of_filesystem(filesystem)
                await self._care.keep(entity, filesystem, self._sources.able(filesystem, "snapshot", source))
            case Deed.TRIM:
                await self._trim(entity, filesystem, wanted, machine)
            case Deed.ATTACH:
                return await self._mount(entity, filesystem, wanted, machine)
            case Deed.DETACH:
                await self._unmount(entity, filesystem, wanted, machine)
            case Deed.DESTROY:
                await self._destroy(entity, filesystem)
        return None

    async def _destroy(self, entity: FilesystemId, filesystem: Filesystem) -> None:
        await self._facade.set_status(self._model, entity, "destroying")
        source = self._sources.of_filesystem(filesystem, is_leaving=True)
        if not filesystem.releasing:
            await source.destroy(entity)
        elif self._sources.can(filesystem, "release"):
            releasing: Releases = self._sources.able(filesystem, "release", source)
            await releasing.release(entity)
        await self._facade.remove(self._model, entity)

    async def _create(self, entity: FilesystemId, filesystem: Filesystem, wanted: WantedStorage) -> None:
        if filesystem.volume:
            device = _device(wanted, filesystem.volume)
            kind, label = filesystem.attributes.get("fs", ""), filesystem.storage
            info = await self._managed.create(entity, device, kind=kind, label=label)
        else:
            params = FilesystemParams(filesystem=entity, size_mib=filesystem.size_mib, tags=self._tags(filesystem))
            info = await self._sources.of_filesystem(filesystem).create(params)
        await self._facade.set_filesystem(self._model, entity, info)
        await self._facade.set_status(self._model, entity, "attaching")

    async def _import(self, entity: FilesystemId, filesystem: Filesystem, wanted: WantedStorage) -> None:
        if filesystem.volume:
            info = await self._managed.adopt(entity, _device(wanted, filesystem.volume))
        else:
            source = self._sources.of_filesystem(filesystem)
            taking: Imports = self._sources.able(filesystem, "import", source)
            taken = await taking.import_existing(entity, filesystem.imported)
            assert isinstance(taken, FilesystemInfo), f"{filesystem.provider} makes {taken} of a filesystem"
            info = taken
        is_wanted = str(entity) in wanted.filesystem_attachments
        await self._facade.set_filesystem(self._model, entity, info)
        await self._facade.set_status(self._model, entity, "attaching" if is_wanted else "detached")

    async def _grow(self, entity: FilesystemId, filesystem: Filesystem, wanted: WantedStorage) -> None:
        mounted = wanted.filesystem_attachments.get(str(entity))
        if not filesystem.volume:
            await self._care.grow_filesystem(entity, filesystem, is_attached=mounted is not None)
        elif mounted is not None:
            device, path = _device(wanted, filesystem.volume), self.place(mounted)
            await self._care.grow_on_volume(entity, filesystem, device, path, read_only=mounted.read_only)

    async def _trim(
        self, entity: FilesystemId, filesystem: Filesystem, wanted: WantedStorage, machine: MachineId
    ) -> None:
        volume, held = wanted.volumes[filesystem.volume], wanted.volume_attachments[filesystem.volume]
        params = _held(VolumeId.parse(volume.id), volume, held, machine)
        await self._care.trim(entity, volume, self.place(wanted.filesystem_attachments[str(entity)]), params)

    async def _mount(
        self, entity: FilesystemId, filesystem: Filesystem, wanted: WantedStorage, machine: MachineId
    ) -> AttachInfo:
        mounted = wanted.filesystem_attachments[str(entity)]
        path, said = self.place(mounted), ""
        if filesystem.volume:
            device, known = _device(wanted, filesystem.volume), filesystem.info
            kind = (known.kind if known is not None else "") or filesystem.attributes.get("fs", "")
            uuid = known.uuid if known is not None else ""
            policy = "never" if mounted.read_only else filesystem.attributes.get("fsck", "repair")
            info, said = await self._managed.attach(
                entity, device, path, kind=kind, policy=policy, read_only=mounted.read_only, uuid=uuid
            )
        else:
            info = await self._sources.of_filesystem(filesystem).attach(
                _mounted(entity, filesystem, mounted, machine, path)
            )
        await self._facade.set_attached(self._model, entity, info)
        await self._facade.set_status(self._model, entity, "attached", said)
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
            source = self._sources.of_filesystem(filesystem, is_leaving=True)
            await source.detach(_mounted(entity, filesystem, mounted, machine, path))
        await self._facade.set_status(self._model, entity, "detached")
        await self._facade.set_detached(self._model, entity)

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
