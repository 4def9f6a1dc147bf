"""The storage of a model as one document, in the JSON shape of juju's `storage --format json`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec

from undercroft_hookspecs.state import Life
from undercroft_hookspecs.storage_state import Filesystem
from undercroft_model.reckoning import status_entry, timestamp
from undercroft_model.tables import (
    FILESYSTEM_ATTACHMENTS,
    FILESYSTEMS,
    STORAGE,
    STORAGE_USAGE,
    UNITS,
    VOLUME_ATTACHMENTS,
    VOLUMES,
    parts_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.storage import Usage
    from undercroft_hookspecs.storage_state import (
        FilesystemAttachment,
        Snapshot,
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
    usage: Mapping[str, Usage] = field(default_factory=dict)
    """By filesystem."""


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
        usage=await read(STORAGE_USAGE),
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
        "size": _size(entity) if entity is not None else instance.size_mib,
    }
    units = _units(view, instance.id)
    return entry | _care(view, entity) | ({"attachments": {"units": units}} if units else {})


def _size(entity: Filesystem | Volume) -> int:
    return entity.info.size_mib if entity.info is not None else entity.size_mib


def _care(view: StorageView, entity: Filesystem | Volume | None) -> dict[str, object]:
    """How full it is, how large it is to become, and what is kept of it: what juju does not tell."""
    told: dict[str, object] = {}
    if entity is None:
        return told
    if entity.info is not None and entity.size_mib > entity.info.size_mib:
        told["wanted-size"] = entity.size_mib
    if isinstance(entity, Filesystem) and (usage := view.usage.get(entity.id)) is not None:
        told["usage"] = {
            "size": usage.size_bytes,
            "used": usage.used_bytes,
            "inodes": usage.inodes,
            "inodes-used": usage.inodes_used,
        }
    if entity.snapshots:
        told["snapshots"] = {each.name: _snapshot(each) for each in entity.snapshots}
    return told


def _snapshot(snapshot: Snapshot) -> dict[str, object]:
    if snapshot.life is not Life.ALIVE:
        status = "removing"
    elif snapshot.refused:
        status = "refused"
    else:
        status = "pending" if snapshot.made is None else "made"
    entry: dict[str, object] = {"status": status, "provider-id": snapshot.provider_id}
    if snapshot.made is not None:
        entry["made"] = timestamp(snapshot.made)
    if snapshot.refused:
        entry["message"] = snapshot.refused
    return entry


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
        "size": _size(filesystem),
        "life": str(filesystem.life),
        "status": status_entry(filesystem.status),
    }
    if filesystem.volume:
        entry["volume"] = filesystem.volume
    entry |= _care(view, filesystem)
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
        "size": _size(volume),
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
