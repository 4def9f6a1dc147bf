"""The storage of one host, as its provisioner is asked for it, and as it reports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.identity import MachineId, VolumeId
from undercroft_hookspecs.state import Life, Status
from undercroft_hookspecs.storage_facades import WantedStorage
from undercroft_hookspecs.storage_state import Filesystem, FilesystemAttachment, Volume, VolumeAttachment
from undercroft_model.storage.ending import advance
from undercroft_model.tables import (
    FILESYSTEM_ATTACHMENTS,
    FILESYSTEMS,
    MACHINES,
    MODEL,
    STORAGE_USAGE,
    VOLUME_ATTACHMENTS,
    VOLUMES,
    parts_of,
)
from undercroft_model.transaction import change
from undercroft_model.watching import folder, newest, record

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from undercroft_hookspecs.identity import FilesystemId, HostId, ModelId
    from undercroft_hookspecs.storage import AttachInfo, FilesystemInfo, Usage, VolumeInfo
    from undercroft_hookspecs.storage_state import Snapshot
    from undercroft_hookspecs.store import Store
    from undercroft_hookspecs.worker import Clock
    from undercroft_model.table import ModelTable
    from undercroft_model.transaction import Transaction
    from undercroft_model.watching import Sight

E = TypeVar("E", Filesystem, Volume)
A = TypeVar("A", FilesystemAttachment, VolumeAttachment)

WORTH_WRITING = 0.01
"""Of its size: a filesystem that is fuller or emptier by less is not written down again."""

STATUSES = frozenset({"pending", "attaching", "attached", "detaching", "detached", "destroying", "error"})


class HostStorage:
    """The facade `ProvisionerFacade`."""

    def __init__(self, store: Store, host: HostId, *, clock: Clock, rng: random.Random) -> None:
        self._store, self._host = store, str(host)
        self._clock, self._rng = clock, rng

    def watch_storage(self, model: ModelId) -> AbstractAsyncContextManager[AsyncIterator[WantedStorage]]:
        """What is wanted in a model, and again whenever it has changed."""
        itself = record(MODEL.of(model), "self")
        machines = folder(MACHINES.of(model))
        volumes, held = folder(VOLUMES.of(model)), folder(VOLUME_ATTACHMENTS.of(model))
        filesystems, mounted = folder(FILESYSTEMS.of(model)), folder(FILESYSTEM_ATTACHMENTS.of(model))

        def build() -> WantedStorage:
            itself.need()
            mine = next((each.id for each in machines.records() if each.host == self._host), None)
            if mine is None:
                return WantedStorage()
            holds = {each.volume: each for each in held.records()}
            mounts = {each.filesystem: each for each in mounted.records()}
            return WantedStorage(
                machine=MachineId.parse(mine),
                volumes=_here({each.id: each for each in volumes.records()}, holds, mine),
                volume_attachments=_on(holds, mine),
                filesystems=_here({each.id: each for each in filesystems.records()}, mounts, mine),
                filesystem_attachments=_on(mounts, mine),
            )

        # Any: sights of all kinds are watched together.
        sights: list[Sight[Any]] = [itself, machines, volumes, held, filesystems, mounted]
        return newest(sights, build, store=self._store, clock=self._clock, rng=self._rng)

    async def set_volume(self, model: ModelId, volume: VolumeId, info: VolumeInfo) -> None:
        """The volume is there."""

        async def decide(tx: Transaction) -> None:
            known = await tx.get(VOLUMES.of(model), *parts_of(str(volume)))
            if known is None:
                return
            _check_same(str(volume), known.info.provider_id if known.info is not None else "", info.provider_id)
            tx.put(VOLUMES.of(model), *parts_of(str(volume)), record=msgspec.structs.replace(known, info=info))

        await self._change(decide)

    async def set_filesystem(self, model: ModelId, filesystem: FilesystemId, info: FilesystemInfo) -> None:
        """The filesystem is there."""

        async def decide(tx: Transaction) -> None:
            known = await tx.get(FILESYSTEMS.of(model), *parts_of(str(filesystem)))
            if known is None:
                return
            _check_same(str(filesystem), known.info.provider_id if known.info is not None else "", info.provider_id)
            changed = msgspec.structs.replace(known, info=info)
            tx.put(FILESYSTEMS.of(model), *parts_of(str(filesystem)), record=changed)

        await self._change(decide)

    async def set_attached(self, model: ModelId, entity: VolumeId | FilesystemId, info: AttachInfo) -> None:
        """The entity is attached to this host's machine."""

        async def decide(tx: Transaction) -> None:
            if isinstance(entity, VolumeId):
                await _attached(tx, VOLUME_ATTACHMENTS, model, str(entity), info)
            else:
                await _attached(tx, FILESYSTEM_ATTACHMENTS, model, str(entity), info)

        await self._change(decide)

    async def set_detached(self, model: ModelId, entity: VolumeId | FilesystemId) -> None:
        """The entity is detached: its dying attachment goes."""

        async def decide(tx: Transaction) -> None:
            if isinstance(entity, VolumeId):
                await _detached(tx, VOLUME_ATTACHMENTS, model, str(entity))
                await self._advance(tx, model, await tx.get(VOLUMES.of(model), *parts_of(str(entity))))
            else:
                await _detached(tx, FILESYSTEM_ATTACHMENTS, model, str(entity))
                await self._advance(tx, model, await tx.get(FILESYSTEMS.of(model), *parts_of(str(entity))))

        await self._change(decide)

    async def set_snapshot(self, model: ModelId, entity: VolumeId | FilesystemId, snapshot: Snapshot) -> None:
        """What has become of a snapshot that was asked for; one that is dead goes."""
        now = self._clock.now()

        async def decide(tx: Transaction) -> None:
            if isinstance(entity, VolumeId):
                await _kept(tx, VOLUMES, model, str(entity), snapshot, now)
            else:
                await _kept(tx, FILESYSTEMS, model, str(entity), snapshot, now)

        await self._change(decide)

    async def set_trimmed(self, model: ModelId, filesystem: FilesystemId) -> None:
        """The volume has just been told what the filesystem does not use."""
        now = self._clock.now()

        async def decide(tx: Transaction) -> None:
            known = await tx.get(FILESYSTEMS.of(model), *parts_of(str(filesystem)))
            if known is not None:
                changed = msgspec.structs.replace(known, trimmed=now)
                tx.put(FILESYSTEMS.of(model), *parts_of(str(filesystem)), record=changed)

        await self._change(decide)

    async def set_usage(self, model: ModelId, usage: Mapping[FilesystemId, Usage]) -> None:
        """How full filesystems are; what has changed by less than a hundredth is not written."""

        async def decide(tx: Transaction) -> None:
            for filesystem, told in usage.items():
                parts = parts_of(str(filesystem))
                known = await tx.get(STORAGE_USAGE.of(model), *parts)
                if known is not None and not _is_news(known, told):
                    tx.unwatched(STORAGE_USAGE.of(model), *parts)
                elif await tx.get(FILESYSTEMS.of(model), *parts) is not None:
                    tx.put(STORAGE_USAGE.of(model), *parts, record=told)

        await self._change(decide)

    async def set_status(
        self, model: ModelId, entity: VolumeId | FilesystemId, current: str, message: str = ""
    ) -> None:
        """How the entity is."""
        if current not in STATUSES:
            raise NotValidError(f'storage cannot be "{current}"', field="status")
        if current == "error" and not message:
            raise NotValidError("an error needs a message", field="message")
        now = self._clock.now()

        async def decide(tx: Transaction) -> None:
            status = Status(current=current, message=message, since=now)
            if isinstance(entity, VolumeId):
                await _say(tx, VOLUMES, model, str(entity), status)
            else:
                await _say(tx, FILESYSTEMS, model, str(entity), status)

        await self._change(decide)

    async def remove(self, model: ModelId, entity: VolumeId | FilesystemId) -> None:
        """A dead entity is destroyed, or let go of: its record goes."""

        async def decide(tx: Transaction) -> None:
            if isinstance(entity, VolumeId):
                await self._advance(tx, model, await _bury(tx, VOLUMES, model, str(entity)))
            else:
                await self._advance(tx, model, await _bury(tx, FILESYSTEMS, model, str(entity)))
                tx.delete(STORAGE_USAGE.of(model), *parts_of(str(entity)))

        await self._change(decide)

    async def _advance(self, tx: Transaction, model: ModelId, entity: Filesystem | Volume | None) -> None:
        if entity is not None and entity.storage:
            await advance(tx, model, entity.storage)

    async def _change(self, decide: Callable[[Transaction], Awaitable[None]]) -> None:
        await change(self._store, decide, clock=self._clock, rng=self._rng)


def _on(attachments: Mapping[str, A], machine: str) -> dict[str, A]:
    return {entity: held for entity, held in sorted(attachments.items()) if held.machine == machine}


def _here(entities: Mapping[str, E], attachments: Mapping[str, A], machine: str) -> dict[str, E]:
    """Those of a machine, and of the model's those that are with it or with none."""
    found = {}
    for name, entity in sorted(entities.items()):
        bound, held = name.rpartition("/")[0], attachments.get(name)
        if bound == machine or (not bound and (held is None or held.machine == machine)):
            found[name] = entity
    return found


def _is_news(known: Usage, told: Usage) -> bool:
    if (known.size_bytes, known.inodes) != (told.size_bytes, told.inodes):
        return True
    return (
        abs(known.used_bytes - told.used_bytes) >= known.size_bytes * WORTH_WRITING
        or abs(known.inodes_used - told.inodes_used) > known.inodes * WORTH_WRITING
    )


def _check_same(entity: str, known: str, told: str) -> None:
    if not told:
        raise NotValidError(f"{entity} needs its provider's id", field="provider_id")
    if known and known != told:
        raise NotValidError(f'{entity} is "{known}" at its provider already, not "{told}"', field="provider_id")


async def _attached(tx: Transaction, table: ModelTable[A], model: ModelId, entity: str, info: AttachInfo) -> None:
    known = await tx.get(table.of(model), *parts_of(entity))
    if known is not None:
        tx.put(table.of(model), *parts_of(entity), record=msgspec.structs.replace(known, info=info))


async def _detached(tx: Transaction, table: ModelTable[A], model: ModelId, entity: str) -> None:
    known = await tx.get(table.of(model), *parts_of(entity))
    if known is None:
        return
    if known.life is Life.ALIVE:
        raise NotValidError(f"{entity} is to be attached", field="entity")
    tx.delete(table.of(model), *parts_of(entity))


async def _kept(
    tx: Transaction, table: ModelTable[E], model: ModelId, entity: str, snapshot: Snapshot, now: datetime
) -> None:
    known = await tx.get(table.of(model), *parts_of(entity))
    if known is None:
        return
    told = []
    for each in known.snapshots:
        if each.name != snapshot.name:
            told.append(each)
        elif snapshot.life is not Life.DEAD:
            # That it is to go may have been said while it was being made.
            moment = snapshot.made or (now if snapshot.provider_id else None)
            told.append(msgspec.structs.replace(snapshot, life=each.life, made=moment))
    tx.put(table.of(model), *parts_of(entity), record=msgspec.structs.replace(known, snapshots=tuple(told)))


async def _say(tx: Transaction, table: ModelTable[E], model: ModelId, entity: str, status: Status) -> None:
    known = await tx.get(table.of(model), *parts_of(entity))
    if known is not None and (known.status.current, known.status.message) != (status.current, status.message):
        tx.put(table.of(model), *parts_of(entity), record=msgspec.structs.replace(known, status=status))


async def _bury(tx: Transaction, table: ModelTable[E], model: ModelId, entity: str) -> E | None:
    known = await tx.get(table.of(model), *parts_of(entity))
    if known is None:
        return None
    if known.life is not Life.DEAD:
        raise NotValidError(f"{entity} is not dead but {known.life}", field="entity")
    tx.delete(table.of(model), *parts_of(entity))
    return known
