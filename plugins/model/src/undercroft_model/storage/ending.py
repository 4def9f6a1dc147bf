"""How storage is detached, attached elsewhere, and removed.

    with a unit ── its attachment dying, the charm lets go ──> detached ── removed, or its unit dies ──> dying ──> gone

What is behind a piece of storage is taken down in order: filesystem, then volume, each detached before it is destroyed.
Every step is its provisioner's to take and to report; `advance` says what is next, and can be called at any time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from undercroft_hookspecs.errors import NotFoundError, NotValidError
from undercroft_hookspecs.identity import StorageId
from undercroft_hookspecs.state import Life
from undercroft_hookspecs.storage_state import (
    Filesystem,
    FilesystemAttachment,
    StorageInstance,
    Volume,
    VolumeAttachment,
)
from undercroft_model.charmrecords import charm_of, need_application
from undercroft_model.cleanups import note_loss
from undercroft_model.storage.directives import check_count
from undercroft_model.storage.mountpoints import check_mount_point, mount_point
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
from undercroft_model.units import need_unit

if TYPE_CHECKING:
    from undercroft_hookspecs.identity import ModelId
    from undercroft_model.table import ModelTable
    from undercroft_model.transaction import Transaction

A = TypeVar("A", FilesystemAttachment, VolumeAttachment)
E = TypeVar("E", Filesystem, Volume)


async def need_storage(tx: Transaction, model: ModelId, storage: str) -> StorageInstance:
    """The storage instance.

    Raises:
        NotFoundError: there is none of that id.
        NotValidError: no storage has such an id.
    """
    StorageId.parse(storage)
    instance = await tx.get(STORAGE.of(model), *parts_of(storage))
    if instance is None:
        raise NotFoundError(storage, f'storage "{storage}" not found')
    return instance


async def storage_of(tx: Transaction, model: ModelId, unit: str) -> list[StorageInstance]:
    """What is with a unit, by id."""
    return [instance for instance in (await tx.look(STORAGE.of(model))).values() if instance.unit == unit]


async def detach_storage(tx: Transaction, model: ModelId, storage: str, *, force: bool = False) -> None:
    """Ask a unit's charm to let go of a piece of storage; with `force` it is not asked.

    Raises:
        NotFoundError: there is no such storage.
        NotValidError: it is with no unit.
    """
    instance = await need_storage(tx, model, storage)
    if not instance.unit:
        raise NotValidError(f"storage {storage} is not attached", field="storage")
    if force:
        await let_go(tx, model, storage, instance.unit)
    else:
        _put(tx, model, msgspec.structs.replace(instance, attachment=Life.DYING))


async def remove_storage(
    tx: Transaction, model: ModelId, storage: str, *, destroy: bool = True, force: bool = False
) -> None:
    """Remove a piece of storage and what is behind it; with `destroy` false let go of that; `force` detaches it, too.

    Raises:
        NotFoundError: there is no such storage.
        NotValidError: it is attached.
    """
    instance = await need_storage(tx, model, storage)
    if instance.unit and not force:
        raise NotValidError(f"storage {storage} is attached: detach it first, or use --force", field="storage")
    doomed = msgspec.structs.replace(instance, life=Life.DYING, releasing=not destroy)
    if doomed.unit:
        doomed = msgspec.structs.replace(doomed, attachment=Life.DYING)
    _put(tx, model, doomed)
    await advance(tx, model, storage)


async def attach_storage(tx: Transaction, model: ModelId, storage: str, unit: str) -> None:
    """Give a detached piece of storage to a unit.

    Raises:
        NotFoundError: there is no such storage or unit, or the unit's charm has no such store.
        NotValidError: it is attached, on its way out, still being detached, on another machine, or one too many.
    """
    instance = await need_storage(tx, model, storage)
    record = await need_unit(tx, model, unit)
    if instance.unit:
        raise NotValidError(f"storage {storage} is attached to {instance.unit}", field="storage")
    if instance.life is not Life.ALIVE or record.life is not Life.ALIVE:
        raise NotValidError(f"storage {storage} cannot be attached to {unit}: one is being removed", field="storage")
    charm = await charm_of(tx, model, await need_application(tx, model, parts_of(unit)[0]))
    store = parts_of(storage)[0]
    if store not in charm.storage:
        raise NotFoundError(store, f'charm storage "{store}" not found')
    for entity in filter(None, (instance.volume, instance.filesystem)):
        machine = entity.rpartition("/")[0]
        if machine and machine != record.machine:
            message = f"storage {storage} is on machine {machine}, and {unit} on {record.machine}"
            raise NotValidError(message, field="storage")
    spec = charm.storage[store]
    with_it = [each for each in await storage_of(tx, model, unit) if parts_of(each.id)[0] == store]
    check_count(len(with_it) + 1, spec, store=store)
    if instance.volume:
        read_only = spec.read_only and not instance.filesystem
        held = VolumeAttachment(volume=instance.volume, machine=record.machine, read_only=read_only)
        await _attach(tx, model, VOLUME_ATTACHMENTS, instance.volume, held)
    if instance.filesystem:
        path = mount_point(storage, spec)
        if path:
            await check_mount_point(tx, model, record.machine, path, storage=storage)
        mounted = FilesystemAttachment(
            filesystem=instance.filesystem, machine=record.machine, read_only=spec.read_only, path=path
        )
        await _attach(tx, model, FILESYSTEM_ATTACHMENTS, instance.filesystem, mounted)
    _put(tx, model, msgspec.structs.replace(instance, unit=unit, attachment=Life.ALIVE))


async def let_unit_go(tx: Transaction, model: ModelId, unit: str) -> None:
    """All that is with a unit is to be let go of, because the unit dies: its charm is asked to."""
    for instance in await storage_of(tx, model, unit):
        if instance.attachment is Life.ALIVE:
            _put(tx, model, msgspec.structs.replace(instance, attachment=Life.DYING))


async def let_go(tx: Transaction, model: ModelId, storage: str, unit: str) -> None:
    """A unit has let go of a piece of storage, or is gone; nothing if it is not with that unit.

    What is bound to a machine goes with the unit that it was made for, unless that lives on, or it was imported.
    """
    instance = await tx.get(STORAGE.of(model), *parts_of(storage))
    if instance is None or instance.unit != unit:
        return
    owner = await tx.get(UNITS.of(model), *parts_of(unit))
    is_bound = "/" in (instance.volume or instance.filesystem)
    goes = is_bound and not instance.imported and (owner is None or owner.life is not Life.ALIVE)
    life = Life.DYING if goes else instance.life
    _put(tx, model, msgspec.structs.replace(instance, unit="", attachment=Life.ALIVE, life=life))
    await advance(tx, model, storage)


async def advance(tx: Transaction, model: ModelId, storage: str) -> None:
    """Do what can be done next about a piece of storage that is with no unit."""
    instance = await tx.get(STORAGE.of(model), *parts_of(storage))
    if instance is None or instance.unit:
        return
    filesystem, volume, releasing = instance.filesystem, instance.volume, instance.releasing
    if filesystem and not await _is_detached(tx, model, FILESYSTEM_ATTACHMENTS, filesystem):
        return
    if volume and not await _is_detached(tx, model, VOLUME_ATTACHMENTS, volume):
        return
    if instance.life is Life.ALIVE:
        return
    if filesystem and volume:
        tx.delete(FILESYSTEMS.of(model), *parts_of(filesystem))
        tx.delete(STORAGE_USAGE.of(model), *parts_of(filesystem))
    elif filesystem and not await _is_gone(tx, model, FILESYSTEMS, filesystem, releasing=releasing):
        return
    if volume and not await _is_gone(tx, model, VOLUMES, volume, releasing=releasing):
        return
    tx.delete(STORAGE.of(model), *parts_of(storage))
    note_loss(tx, model, "model", "self")


async def doom_storage(tx: Transaction, model: ModelId, storage: str) -> None:
    """A piece of storage goes with its model; nothing if it does already, or is gone. What was imported is kept."""
    instance = await tx.get(STORAGE.of(model), *parts_of(storage))
    if instance is not None and instance.life is Life.ALIVE:
        _put(tx, model, msgspec.structs.replace(instance, life=Life.DYING, unit="", releasing=instance.imported))
        await advance(tx, model, storage)


async def _is_detached(tx: Transaction, model: ModelId, table: ModelTable[A], entity: str) -> bool:
    """Whether it is; if not, it is to be from now on."""
    attachment = await tx.get(table.of(model), *parts_of(entity))
    if attachment is None:
        return True
    if attachment.life is Life.ALIVE:
        tx.put(table.of(model), *parts_of(entity), record=msgspec.structs.replace(attachment, life=Life.DYING))
    return False


async def _is_gone(tx: Transaction, model: ModelId, table: ModelTable[E], entity: str, *, releasing: bool) -> bool:
    """Whether it is; if not, it is to be destroyed or let go of from now on."""
    record = await tx.get(table.of(model), *parts_of(entity))
    if record is None:
        return True
    if record.life is not Life.DEAD:
        dead = msgspec.structs.replace(record, life=Life.DEAD, releasing=releasing)
        tx.put(table.of(model), *parts_of(entity), record=dead)
    return False


async def _attach(tx: Transaction, model: ModelId, table: ModelTable[A], entity: str, attachment: A) -> None:
    if await tx.get(table.of(model), *parts_of(entity)) is not None:
        raise NotValidError(f"{entity} is still being detached: try again in a moment", field="storage")
    tx.put(table.of(model), *parts_of(entity), record=attachment)


def _put(tx: Transaction, model: ModelId, instance: StorageInstance) -> None:
    tx.put(STORAGE.of(model), *parts_of(instance.id), record=instance)
