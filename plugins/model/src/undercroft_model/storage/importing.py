"""Takes storage that is there already into the model, detached; `attach-storage` gives it to a unit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import AlreadyExistsError, NotFoundError, NotValidError
from undercroft_hookspecs.identity import StorageId
from undercroft_hookspecs.state import Status
from undercroft_hookspecs.storage_state import Filesystem, StorageInstance, Volume
from undercroft_model.storage.care import refuse_unless_it_can
from undercroft_model.storage.pools import find_pool
from undercroft_model.tables import FILESYSTEMS, MACHINES, STORAGE, VOLUMES, next_number, parts_of

if TYPE_CHECKING:
    from datetime import datetime

    from undercroft_hookspecs.identity import ModelId
    from undercroft_model.storage.pools import Providers, Source
    from undercroft_model.transaction import Transaction

LONGEST_ID_BYTES = 4096


async def import_filesystem(
    tx: Transaction,
    model: ModelId,
    pool: str,
    provider_id: str,
    store: str,
    *,
    host: str,
    machine: str = "",
    providers: Providers,
    now: datetime,
) -> str:
    """Have a filesystem, or a volume with one on it, be taken over as storage for a store; gives the storage's id.

    What is bound to a machine is looked for on `machine`, else on what `host` is in the model.

    Raises:
        AlreadyExistsError: it has been imported before.
        NotFoundError: there is no such pool, provider or machine.
        NotValidError: its provider imports nothing, or a name is not usable.
    """
    StorageId.parse(f"{store}/0")
    is_plain = provider_id and all(ord(letter) >= 32 for letter in provider_id)
    if not is_plain or len(provider_id.encode("utf-8", "surrogateescape")) > LONGEST_ID_BYTES:
        raise NotValidError(f"{provider_id!r} cannot be a provider's id", field="provider-id")
    source = await find_pool(tx, model, pool, providers)
    refuse_unless_it_can("import", source.pool.provider, providers)
    scope = ""
    if source.provider.scope == "machine":
        scope = f"{await _machine(tx, model, machine, host)}/"
    await _refuse_known(tx, model, source, scope, provider_id)
    return await _make(tx, model, source, scope, provider_id, store, now=now)


async def _make(
    tx: Transaction, model: ModelId, source: Source, scope: str, provider_id: str, store: str, *, now: datetime
) -> str:
    pool, status = source.pool, Status(current="pending", since=now)
    storage = f"{store}/{await next_number(tx, model, 'storage')}"
    filesystem, volume = f"{scope}{await next_number(tx, model, 'filesystem')}", ""
    if source.provider.filesystems is None:
        volume = f"{scope}{await next_number(tx, model, 'volume')}"
        holder = Volume(
            id=volume,
            storage=storage,
            pool=pool.name,
            provider=pool.provider,
            attributes=pool.attributes,
            size_mib=0,
            status=status,
            imported=provider_id,
        )
        tx.put(VOLUMES.of(model), *parts_of(volume), record=holder)
    taken = Filesystem(
        id=filesystem,
        storage=storage,
        volume=volume,
        pool=pool.name,
        provider=pool.provider,
        attributes=pool.attributes,
        size_mib=0,
        status=status,
        imported=provider_id,
    )
    tx.put(FILESYSTEMS.of(model), *parts_of(filesystem), record=taken)
    instance = StorageInstance(
        id=storage,
        kind="filesystem",
        pool=pool.name,
        size_mib=0,
        volume=volume,
        filesystem=filesystem,
        imported=True,
    )
    tx.put(STORAGE.of(model), *parts_of(storage), record=instance)
    return storage


async def _machine(tx: Transaction, model: ModelId, machine: str, host: str) -> str:
    if machine:
        return (await tx.need(MACHINES.of(model), machine, what="machine")).id
    for found in (await tx.look(MACHINES.of(model))).values():
        if found.host == host:
            return (await tx.need(MACHINES.of(model), found.id, what="machine")).id
    raise NotFoundError("", "this host is no machine of the model yet: say which one has it, with --machine")


async def _refuse_known(tx: Transaction, model: ModelId, source: Source, scope: str, provider_id: str) -> None:
    entities: list[Volume | Filesystem] = [
        *(await tx.look(VOLUMES.of(model))).values(),
        *(await tx.look(FILESYSTEMS.of(model))).values(),
    ]
    for entity in entities:
        is_near = entity.provider == source.pool.provider and entity.id.startswith(scope)
        names = {entity.imported, entity.info.provider_id if entity.info is not None else ""}
        if is_near and provider_id in names:
            raise AlreadyExistsError(provider_id, f'"{provider_id}" is storage {entity.storage} already')
