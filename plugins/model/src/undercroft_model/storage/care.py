"""What can be asked of storage that is there: that it be larger, kept as it is now, or trimmed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import msgspec

from undercroft_hookspecs.errors import AlreadyExistsError, NotFoundError, NotValidError
from undercroft_hookspecs.state import Life
from undercroft_hookspecs.storage_state import Filesystem, Snapshot, StorageInstance, Volume
from undercroft_model.storage.directives import LARGEST_SIZE_MIB
from undercroft_model.storage.ending import need_storage
from undercroft_model.tables import FILESYSTEMS, STORAGE, VOLUMES, parts_of

if TYPE_CHECKING:
    from datetime import datetime

    from undercroft_hookspecs.identity import ModelId
    from undercroft_model.storage.pools import Providers
    from undercroft_model.table import ModelTable
    from undercroft_model.transaction import Transaction

E = TypeVar("E", Filesystem, Volume)

SNAPSHOT_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
LARGEST_SNAPSHOTS = 100
"""Of one piece of storage: they are all in its record."""

_REFUSALS = {
    "grow": "cannot make storage larger",
    "release": "cannot let go of storage: what it makes goes when it is removed",
    "snapshot": "cannot make snapshots",
    "trim": "has nothing to trim",
    "import": "cannot import storage",
}


def refuse_unless_it_can(word: str, provider: str, providers: Providers) -> None:
    """Refuse what a provider does not do.

    Raises:
        NotFoundError: no installed plugin has the provider.
        NotValidError: it does not do that; the message says who does.
    """
    known = providers.get(provider)
    if known is None:
        raise NotFoundError(provider, f'storage provider "{provider}" not found: no installed plugin has it')
    if word not in known.can:
        who = ", ".join(sorted(name for name, each in providers.items() if word in each.can)) or "none here"
        message = f'storage provider "{provider}" {_REFUSALS[word]} (those that can: {who})'
        raise NotValidError(message, field="storage")


async def resize_storage(tx: Transaction, model: ModelId, storage: str, size_mib: int, *, providers: Providers) -> None:
    """Have a piece of storage be at least that large.

    A wish that was not granted yet can be taken back, down to what there is.

    Raises:
        NotFoundError: there is no such storage.
        NotValidError: it is larger than that, its provider cannot make it larger, or it is being removed.
    """
    instance = await _need_living(tx, model, storage)
    behind = await _main(tx, model, instance)
    there = behind.info.size_mib if behind.info is not None else behind.size_mib
    if not 0 < size_mib <= LARGEST_SIZE_MIB:
        raise NotValidError(f"{size_mib} MiB is no size that anything could have", field="size")
    if size_mib < there:
        message = f"storage {storage} has {there} MiB, and cannot be made smaller: add other storage instead"
        raise NotValidError(message, field="size")
    refuse_unless_it_can("grow", behind.provider, providers)
    if instance.volume:
        await _resize(tx, model, VOLUMES, instance.volume, size_mib)
    if instance.filesystem:
        await _resize(tx, model, FILESYSTEMS, instance.filesystem, size_mib)
    tx.put(STORAGE.of(model), *parts_of(storage), record=msgspec.structs.replace(instance, size_mib=size_mib))


async def ask_snapshot(
    tx: Transaction, model: ModelId, storage: str, name: str, *, providers: Providers, now: datetime
) -> str:
    """Ask for a snapshot of a piece of storage, and give its name; without one it is called by the time.

    Raises:
        AlreadyExistsError: there is one of that name.
        NotFoundError: there is no such storage.
        NotValidError: its provider makes none, there are too many, or the name is not usable.
    """
    instance = await _need_living(tx, model, storage)
    behind = await _main(tx, model, instance)
    chosen = name or f"{now:%Y%m%d-%H%M%S}"
    if SNAPSHOT_NAME.fullmatch(chosen) is None:
        message = f'snapshot name "{chosen}" not valid: lower case letters, digits, hyphens and periods, up to 63'
        raise NotValidError(message, field="name")
    refuse_unless_it_can("snapshot", behind.provider, providers)
    if any(each.name == chosen for each in behind.snapshots):
        raise AlreadyExistsError(chosen, f'snapshot "{chosen}" of storage {storage} already exists')
    if len(behind.snapshots) >= LARGEST_SNAPSHOTS:
        raise NotValidError(f"storage {storage} has {LARGEST_SNAPSHOTS} snapshots: remove one first", field="storage")
    _put(tx, model, behind, (*behind.snapshots, Snapshot(name=chosen, asked=now)))
    return chosen


async def remove_snapshot(tx: Transaction, model: ModelId, storage: str, name: str) -> None:
    """Have a snapshot be destroyed.

    Raises:
        NotFoundError: there is no such storage, or snapshot.
    """
    instance = await _need_living(tx, model, storage)
    behind = await _main(tx, model, instance)
    if not any(each.name == name for each in behind.snapshots):
        raise NotFoundError(name, f'snapshot "{name}" of storage {storage} not found')
    doomed = [
        msgspec.structs.replace(each, life=Life.DYING) if each.name == name else each for each in behind.snapshots
    ]
    _put(tx, model, behind, tuple(doomed))


async def ask_trim(tx: Transaction, model: ModelId, storage: str, *, providers: Providers, now: datetime) -> None:
    """Have the volume behind a piece of storage be told what the filesystem on it does not use.

    Raises:
        NotFoundError: there is no such storage.
        NotValidError: there is no filesystem on a volume behind it, or its provider has no use for that.
    """
    instance = await _need_living(tx, model, storage)
    behind = await _main(tx, model, instance)
    refuse_unless_it_can("trim", behind.provider, providers)
    filesystem = await tx.get(FILESYSTEMS.of(model), *parts_of(instance.filesystem)) if instance.filesystem else None
    if filesystem is None or not filesystem.volume:
        raise NotValidError(f"storage {storage} is no filesystem on a volume: nothing can be trimmed", field="storage")
    asked = msgspec.structs.replace(filesystem, trim_asked=now)
    tx.put(FILESYSTEMS.of(model), *parts_of(filesystem.id), record=asked)


async def check_release(tx: Transaction, model: ModelId, storage: str, *, providers: Providers) -> None:
    """Refuse to let go of what can only be destroyed.

    Raises:
        NotFoundError: there is no such storage.
        NotValidError: its provider keeps nothing.
    """
    behind = await _main(tx, model, await need_storage(tx, model, storage))
    refuse_unless_it_can("release", behind.provider, providers)


async def _need_living(tx: Transaction, model: ModelId, storage: str) -> StorageInstance:
    instance = await need_storage(tx, model, storage)
    if instance.life is not Life.ALIVE:
        raise NotValidError(f"storage {storage} is being removed", field="storage")
    return instance


async def _main(tx: Transaction, model: ModelId, instance: StorageInstance) -> Volume | Filesystem:
    """What the provider made for a piece of storage: its volume, where there is one."""
    if instance.volume:
        return await tx.need(VOLUMES.of(model), *parts_of(instance.volume), what="volume")
    return await tx.need(FILESYSTEMS.of(model), *parts_of(instance.filesystem), what="filesystem")


async def _resize(tx: Transaction, model: ModelId, table: ModelTable[E], entity: str, size_mib: int) -> None:
    known = await tx.need(table.of(model), *parts_of(entity), what="storage")
    status = known.status
    if status.current == "attached" and status.message:  # What was said of the wish before this one.
        status = msgspec.structs.replace(status, message="")
    changed = msgspec.structs.replace(known, size_mib=size_mib, status=status)
    tx.put(table.of(model), *parts_of(entity), record=changed)


def _put(tx: Transaction, model: ModelId, behind: Volume | Filesystem, snapshots: tuple[Snapshot, ...]) -> None:
    if isinstance(behind, Volume):
        kept = msgspec.structs.replace(behind, snapshots=snapshots)
        tx.put(VOLUMES.of(model), *parts_of(behind.id), record=kept)
    else:
        with_them = msgspec.structs.replace(behind, snapshots=snapshots)
        tx.put(FILESYSTEMS.of(model), *parts_of(behind.id), record=with_them)
