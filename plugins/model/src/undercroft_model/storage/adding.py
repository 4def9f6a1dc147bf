"""Storage for a unit, made by the unit's own agent: which providers there are is known where it runs.

So much of each store as the application's directives (or else the charm) and later requests ask for, less what was made
before: what has gone since is not made again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.errors import NotFoundError, NotValidError
from undercroft_hookspecs.state import Life, Status
from undercroft_hookspecs.storage_state import (
    Filesystem,
    FilesystemAttachment,
    StorageInstance,
    Volume,
    VolumeAttachment,
)
from undercroft_model.charmrecords import charm_of, need_application
from undercroft_model.rows import StorageRequests
from undercroft_model.storage.directives import (
    Directive,
    check_count,
    parse_directive,
    settled,
)
from undercroft_model.storage.ending import storage_of
from undercroft_model.storage.mountpoints import check_mount_point, mount_point
from undercroft_model.storage.pools import find_pool
from undercroft_model.tables import (
    FILESYSTEM_ATTACHMENTS,
    FILESYSTEMS,
    STORAGE,
    STORAGE_REQUESTS,
    VOLUME_ATTACHMENTS,
    VOLUMES,
    next_number,
    parts_of,
)
from undercroft_model.units import need_unit

if TYPE_CHECKING:
    from datetime import datetime

    from undercroft_hookspecs.charm import Charm, StorageSpec
    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Application, Unit
    from undercroft_model.storage.pools import Providers, Source
    from undercroft_model.transaction import Transaction


async def make_next(tx: Transaction, model: ModelId, unit: str, *, providers: Providers, now: datetime) -> str:
    """Make one piece of the storage that a unit lacks, and give its id; empty if it lacks none, or is dying.

    Raises:
        NotFoundError: there is no such unit, pool or provider.
        NotValidError: the provider cannot make what the charm asks for, or its mount point is taken.
    """
    record = await need_unit(tx, model, unit)
    if record.life is not Life.ALIVE:
        return ""
    application = await need_application(tx, model, parts_of(unit)[0])
    charm = await charm_of(tx, model, application)
    if not charm.storage:
        return ""
    requests = await tx.get(STORAGE_REQUESTS.of(model), *parts_of(unit)) or StorageRequests()
    for store, spec in sorted(charm.storage.items()):
        directive = _directive(application, requests, store, spec)
        if requests.made.get(store, 0) < wanted_count(application, charm, requests, store):
            made = {**requests.made, store: requests.made.get(store, 0) + 1}
            replaced = msgspec.structs.replace(requests, made=made)
            tx.put(STORAGE_REQUESTS.of(model), *parts_of(unit), record=replaced)
            source = await find_pool(tx, model, directive.pool, providers)
            return await _make(tx, model, record, store, spec, directive, source, now=now)
    return ""


def wanted_count(application: Application, charm: Charm, requests: StorageRequests, store: str) -> int:
    """How much of a store a unit is to be given in all."""
    directive = parse_directive(application.storage.get(store, ""), store=store)
    count = settled(directive, charm.storage[store]).count
    assert count is not None, "a settled directive has a count"
    return count + requests.counts.get(store, 0)


async def request_storage(tx: Transaction, model: ModelId, unit: str, store: str, directive: str) -> None:
    """Give a unit more of a store, as an operator asks for it; its agent makes it.

    Raises:
        NotFoundError: there is no such unit, or its charm has no such store.
        NotValidError: the directive cannot be read, or the charm takes no more.
    """
    record = await need_unit(tx, model, unit)
    if record.life is not Life.ALIVE:
        raise NotValidError(f"unit {unit} is being removed", field="unit")
    application = await need_application(tx, model, parts_of(unit)[0])
    charm = await charm_of(tx, model, application)
    if store not in charm.storage:
        raise NotFoundError(store, f'charm storage "{store}" not found')
    asked = parse_directive(directive, store=store)
    requests = await tx.get(STORAGE_REQUESTS.of(model), *parts_of(unit)) or StorageRequests()
    counts = {**requests.counts, store: requests.counts.get(store, 0) + (asked.count or 1)}
    grown = msgspec.structs.replace(requests, counts=counts, directives={**requests.directives, store: directive})
    still_to_be_made = wanted_count(application, charm, grown, store) - requests.made.get(store, 0)
    present = sum(parts_of(each.id)[0] == store for each in await storage_of(tx, model, unit))
    check_count(present + still_to_be_made, charm.storage[store], store=store)
    tx.put(STORAGE_REQUESTS.of(model), *parts_of(unit), record=grown)


def _directive(application: Application, requests: StorageRequests, store: str, spec: StorageSpec) -> Directive:
    """How the next piece of a store is to be made: what comes after the application's share is as was asked for."""
    base = settled(parse_directive(application.storage.get(store, ""), store=store), spec)
    if requests.made.get(store, 0) < (base.count or 0) or store not in requests.directives:
        return base
    asked = parse_directive(requests.directives[store], store=store)
    return Directive(pool=asked.pool or base.pool, count=1, size_mib=asked.size_mib or base.size_mib)


async def _make(
    tx: Transaction,
    model: ModelId,
    unit: Unit,
    store: str,
    spec: StorageSpec,
    directive: Directive,
    source: Source,
    *,
    now: datetime,
) -> str:
    storage = f"{store}/{await next_number(tx, model, 'storage')}"
    size = directive.size_mib or 0
    pool, provider = source.pool, source.provider
    if provider.volumes is None and (spec.type == "block" or provider.filesystems is None):
        message = f'storage pool "{pool.name}" cannot make {spec.type} storage, which "{store}" is'
        raise NotValidError(message, field=store)
    status = Status(current="pending", since=now)
    scope = f"{unit.machine}/" if provider.scope == "machine" else ""
    volume = filesystem = ""
    common = {"storage": storage, "pool": pool.name, "provider": pool.provider, "attributes": pool.attributes}
    if spec.type == "block" or provider.filesystems is None:
        volume = f"{scope}{await next_number(tx, model, 'volume')}"
        wanted = msgspec.convert({"id": volume, "size_mib": size, "status": status, **common}, Volume)
        tx.put(VOLUMES.of(model), *parts_of(volume), record=wanted)
        # What a filesystem is on is written to, however that is mounted: it has to be made first.
        read_only = spec.read_only and spec.type == "block"
        held = VolumeAttachment(volume=volume, machine=unit.machine, read_only=read_only)
        tx.put(VOLUME_ATTACHMENTS.of(model), *parts_of(volume), record=held)
    if spec.type == "filesystem":
        filesystem = f"{scope}{await next_number(tx, model, 'filesystem')}"
        made = {"id": filesystem, "size_mib": size, "status": status, "volume": volume, **common}
        tx.put(FILESYSTEMS.of(model), *parts_of(filesystem), record=msgspec.convert(made, Filesystem))
        path = mount_point(storage, spec)
        if path:
            await check_mount_point(tx, model, unit.machine, path, storage=storage)
        mounted = FilesystemAttachment(filesystem=filesystem, machine=unit.machine, read_only=spec.read_only, path=path)
        tx.put(FILESYSTEM_ATTACHMENTS.of(model), *parts_of(filesystem), record=mounted)
    instance = StorageInstance(
        id=storage,
        kind=spec.type,
        pool=pool.name,
        size_mib=size,
        volume=volume,
        filesystem=filesystem,
        unit=unit.name,
    )
    tx.put(STORAGE.of(model), *parts_of(storage), record=instance)
    return storage
