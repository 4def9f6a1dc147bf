"""The storage of a model as one document, in the JSON shape of juju's `storage --format json`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from undercroft_hookspecs.state import Life
from undercroft_model.reckoning import status_entry
from undercroft_model.tables import (
    FILESYSTEM_ATTACHMENTS,
    FILESYSTEMS,
    STORAGE,
    UNITS,
    VOLUME_ATTACHMENTS,
    VOLUMES,
    parts_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.storage_state import (
        Filesystem,
        FilesystemAttachment,
        StorageInstance,
        Volume,
        VolumeAttachment,
    )
    from undercroft_model.table import ModelTable
    from undercroft_model.transaction import Transaction

R = TypeVar("R", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageView:
    """All storage of a model, each by its id, attachments by that of their entity."""

    instances: Mapping[str, StorageInstance]
    volumes: Mapping[str, Volume]
    held: Mapping[str, VolumeAttachment]
    filesystems: Mapping[str, Filesystem]
    mounted: Mapping[str, FilesystemAttachment]
    machines: Mapping[str, str]
    """By unit."""


async def read_storage(tx: Transaction, model: ModelId) -> StorageView:
    """Read it as it is now."""

    async def read(table: ModelTable[R]) -> dict[str, R]:
        return {"/".join(parts): found for parts, found in (await tx.look(table.of(model))).items()}

    instances = await read(STORAGE)
    machines = {}
    for name in {instance.unit for instance in instances.values() if instance.unit}:
        unit = await tx.get(UNITS.of(model), *parts_of(name))
        machines[name] = unit.machine if unit is not None else ""
    return StorageView(
        instances=instances,
        volumes=await read(VOLUMES),
        held=await read(VOLUME_ATTACHMENTS),
        filesystems=await read(FILESYSTEMS),
        mounted=await read(FILESYSTEM_ATTACHMENTS),
        machines=machines,
    )


def storage_document(view: StorageView) -> dict[str, object]:
    """The document: `storage`, `filesystems` and `volumes`, each only where there are any."""
    sections: dict[str, dict[str, object]] = {
        "storage": {name: _instance(view, instance) for name, instance in sorted(view.instances.items())},
        "filesystems": {name: _filesystem(view, each) for name, each in sorted(view.filesystems.items())},
        "volumes": {name: _volume(view, each) for name, each in sorted(view.volumes.items())},
    }
    return {name: section for name, section in sections.items() if section}


def location_of(view: StorageView, instance: StorageInstance) -> str:
    """Where a charm finds a piece of storage; empty while it is not there."""
    if instance.filesystem:
        mounted = view.mounted.get(instance.filesystem)
        return mounted.info.path if mounted is not None and mounted.info is not None else ""
    held = view.held.get(instance.volume)
    if held is None or held.info is None:
        return ""
    return held.info.device_link or (f"/dev/{held.info.device_name}" if held.info.device_name else "")


def _instance(view: StorageView, instance: StorageInstance) -> dict[str, object]:
    entity = view.filesystems.get(instance.filesystem) or view.volumes.get(instance.volume)
    entry: dict[str, object] = {
        "kind": instance.kind,
        "life": str(instance.life),
        "status": status_entry(entity.status) if entity is not None else {"current": "detached", "since": ""},
        "persistent": "/" not in (instance.volume or instance.filesystem),
        "pool": instance.pool,
        "size": instance.size_mib,
    }
    units = _units(view, instance.id)
    return entry | ({"attachments": {"units": units}} if units else {})


def _units(view: StorageView, storage: str) -> dict[str, object]:
    instance = view.instances.get(storage)
    if instance is None or not instance.unit:
        return {}
    life = instance.attachment if instance.life is Life.ALIVE else Life.DYING
    attachment = {
        "machine": view.machines.get(instance.unit, ""),
        "location": location_of(view, instance),
        "life": str(life),
    }
    return {instance.unit: attachment}


def _filesystem(view: StorageView, filesystem: Filesystem) -> dict[str, object]:
    entry: dict[str, object] = {
        "provider-id": filesystem.info.provider_id if filesystem.info is not None else "",
        "storage": filesystem.storage,
        "attachments": {},
        "pool": filesystem.pool,
        "size": filesystem.info.size_mib if filesystem.info is not None else filesystem.size_mib,
        "life": str(filesystem.life),
        "status": status_entry(filesystem.status),
    }
    if filesystem.volume:
        entry["volume"] = filesystem.volume
    mounted = view.mounted.get(filesystem.id)
    if mounted is not None:
        machine = {
            "mount-point": mounted.info.path if mounted.info is not None else "",
            "read-only": mounted.read_only,
            "life": str(mounted.life),
        }
        entry["attachments"] = {"machines": {mounted.machine: machine}, "units": _units(view, filesystem.storage)}
    return entry


def _volume(view: StorageView, volume: Volume) -> dict[str, object]:
    entry: dict[str, object] = {
        "provider-id": volume.info.provider_id if volume.info is not None else "",
        "storage": volume.storage,
        "attachments": {},
        "pool": volume.pool,
        "size": volume.info.size_mib if volume.info is not None else volume.size_mib,
        "persistent": volume.info.persistent if volume.info is not None else False,
        "life": str(volume.life),
        "status": status_entry(volume.status),
    }
    held = view.held.get(volume.id)
    if held is not None:
        machine: dict[str, object] = {"read-only": held.read_only, "life": str(held.life)}
        if held.info is not None:
            machine |= {"device": held.info.device_name, "device-link": held.info.device_link}
        entry["attachments"] = {"machines": {held.machine: machine}, "units": _units(view, volume.storage)}
    return entry
