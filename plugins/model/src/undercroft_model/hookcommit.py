"""What a hook has written, committed as one transaction, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.errors import NotFoundError, NotLeaderError, NotPermittedError, NotValidError
from undercroft_hookspecs.hook_facades import (
    HookChanges,
    SecretCreate,
    SecretGrantChange,
    SecretRemove,
    SecretTrack,
    SecretUpdate,
)
from undercroft_hookspecs.state import Life
from undercroft_hookspecs.store import MAX_BYTES, MAX_OPERATIONS, TooLarge
from undercroft_model.bags import check_keys, merged
from undercroft_model.ports import change_ports, check_range
from undercroft_model.relations import endpoint_in, need_relation
from undercroft_model.rows import StorageRequests, UnitState
from undercroft_model.secretreading import track_latest
from undercroft_model.secrets import (
    MODEL_OWNER,
    check_content,
    create_secret,
    grant_secret,
    need_secret,
    remove_secret,
    revoke_secret,
    update_secret,
)
from undercroft_model.tables import (
    RELATION_SCOPES,
    RELATION_SETTINGS,
    STORAGE_REQUESTS,
    UNIT_STATE,
    parts_of,
)
from undercroft_model.unitside.config import charm_of_unit

if TYPE_CHECKING:
    from undercroft_hookspecs.state import Secret, Settings
    from undercroft_model.encryption import Sealer
    from undercroft_model.transaction import Transaction
    from undercroft_model.unitside.standpoint import Standpoint

BAG_BYTES = 256 * 1024
STATE_KEY_BYTES = 256
STATE_VALUE_BYTES = 64 * 1024
RESERVED_BYTES = 64 * 1024
"""For the keys, and for what the records hold besides what a charm writes."""
RESERVED_OPERATIONS = 12
_PER_SECRET = 6


def check_changes(changes: HookChanges) -> None:
    """Refuse what could not be committed, without a look at what there is.

    Raises:
        TooLarge: it would not fit into one transaction.
        NotValidError: a key, a range of ports, a content... that is none.
    """
    bags = [*changes.unit_settings.values(), *changes.application_settings.values()]
    for bag in bags:
        check_keys(bag)
        _check_size("the settings of a relation", _size(bag), BAG_BYTES)
    for ports in (*changes.open_ports, *changes.close_ports):
        check_range(ports)
    for key, value in (changes.charm_state or {}).items():
        _check_size(f'the key "{key[:40]}" of the charm\'s state', len(key.encode()), STATE_KEY_BYTES)
        _check_size(f'the value of "{key[:40]}" in the charm\'s state', len(value.encode()), STATE_VALUE_BYTES)
    for change in changes.secrets:
        if isinstance(change, SecretCreate | SecretUpdate) and change.content is not None:
            check_content(change.content)
    size = sum(map(_size, bags)) + _size(changes.charm_state or {}) + sum(map(_secret_size, changes.secrets))
    _check_size("all that the hook has written", size, MAX_BYTES - RESERVED_BYTES)
    operations = 2 * len(bags) + _PER_SECRET * len(changes.secrets) + RESERVED_OPERATIONS
    if operations > MAX_OPERATIONS:
        written = f"{len(bags)} bags and {len(changes.secrets)} secrets"
        raise TooLarge(f"the hook has written to {written}: too many for one commit")


async def commit_changes(tx: Transaction, here: Standpoint, changes: HookChanges, sealer: Sealer | None) -> None:
    """Write all that a hook has written; `sealer` is needed where there are secrets among it.

    Raises:
        NotLeaderError, NotPermittedError, NotFoundError, NotValidError, AlreadyExistsError: as HookFacade has it.
    """
    unit = await here.need_unit(tx)
    if unit.life is Life.DEAD:
        raise NotPermittedError(f"unit {here.unit} is dead")
    for relation, bag in changes.unit_settings.items():
        await _write_unit_bag(tx, here, relation, bag)
    if changes.application_settings:
        await here.need_leadership(tx)
    for relation, bag in changes.application_settings.items():
        await _write_application_bag(tx, here, relation, bag)
    if changes.open_ports or changes.close_ports:
        await change_ports(tx, here.model, unit, opening=changes.open_ports, closing=changes.close_ports)
    if changes.add_storage:
        await _add_storage(tx, here, changes.add_storage)
    if changes.charm_state is not None:
        await _write_state(tx, here, changes.charm_state)
    if changes.secrets:
        if sealer is None:
            raise ValueError("secrets cannot be written without their key")
        writer = _SecretWriter(tx, here, sealer)
        for change in changes.secrets:
            await writer.apply(change)


def removed_secrets(changes: HookChanges) -> list[str]:
    """The secrets that were removed, and are to be swept."""
    return [change.id for change in changes.secrets if isinstance(change, SecretRemove)]


async def _write_unit_bag(tx: Transaction, here: Standpoint, relation: int, bag: Mapping[str, str]) -> None:
    scopes, parts = RELATION_SCOPES.of(here.model), (str(relation), *here.parts)
    if await tx.get(scopes, *parts) is None:
        known = await need_relation(tx, here.model, relation)
        raise NotPermittedError(f'unit {here.unit} is not in relation "{known.key}"')
    tx.unwatched(scopes, *parts)  # The bag itself is checked; it outlives the scope.
    await _merge(tx, here, parts, bag)


async def _write_application_bag(tx: Transaction, here: Standpoint, relation: int, bag: Mapping[str, str]) -> None:
    known = await need_relation(tx, here.model, relation)
    if endpoint_in(known, here.application) is None:
        raise NotPermittedError(f'{here.application} has no part in relation "{known.key}"')
    await _merge(tx, here, (str(relation), here.application), bag)


async def _merge(tx: Transaction, here: Standpoint, parts: tuple[str, ...], bag: Mapping[str, str]) -> None:
    table = RELATION_SETTINGS.of(here.model)
    before: Settings | None = await tx.get(table, *parts)
    after = merged(before, bag)
    _check_size("the settings of a relation", _size(after.values), BAG_BYTES)
    if after.values or before is not None:
        tx.put(table, *parts, record=after)


async def _add_storage(tx: Transaction, here: Standpoint, counts: Mapping[str, int]) -> None:
    charm = await charm_of_unit(tx, here)
    for name, count in counts.items():
        if name not in charm.storage:
            raise NotFoundError(name, f'charm storage "{name}" not found')
        if count < 1:
            raise NotValidError(f'cannot add {count} of storage "{name}"', field="storage")
    table = STORAGE_REQUESTS.of(here.model)
    before = await tx.get(table, *here.parts) or StorageRequests()
    after = {name: before.counts.get(name, 0) + counts.get(name, 0) for name in sorted({*before.counts, *counts})}
    tx.put(table, *here.parts, record=msgspec.structs.replace(before, counts=after))


async def _write_state(tx: Transaction, here: Standpoint, state: Mapping[str, str]) -> None:
    table = UNIT_STATE.of(here.model)
    before = await tx.get(table, *here.parts) or UnitState()
    if before.charm != state:
        tx.put(table, *here.parts, record=msgspec.structs.replace(before, charm=dict(state)))


class _SecretWriter:
    """Writes secrets for one unit, which may only do so to its own, and as leader to its application's."""

    def __init__(self, tx: Transaction, here: Standpoint, sealer: Sealer) -> None:
        self._tx, self._here, self._sealer = tx, here, sealer

    async def apply(self, change: SecretCreate | SecretUpdate | SecretRemove | SecretGrantChange | SecretTrack) -> None:
        tx, model = self._tx, self._here.model
        match change:
            case SecretCreate():
                await self._create(change)
            case SecretTrack():
                await track_latest(tx, model, self._here.unit, change.id)
            case SecretUpdate():
                await self._own(change.id)
                await self._update(change)
            case SecretRemove():
                await self._own(change.id)
                await remove_secret(tx, model, change.id, change.revision)
            case SecretGrantChange(is_revoked=True):
                await self._own(change.id)
                await revoke_secret(tx, model, change.id, change.consumer)
            case SecretGrantChange():
                await self._own(change.id)
                await self._grant(change)

    async def _create(self, change: SecretCreate) -> None:
        owner = self._here.unit
        if change.owner == "application":
            await self._here.need_leadership(self._tx)
            owner = self._here.application
            if owner == MODEL_OWNER:
                message = f'an application called "{owner}" cannot own secrets: those are the operators\''
                raise NotValidError(message, field="owner")
        await create_secret(
            self._tx,
            self._here.model,
            self._sealer,
            secret=change.id,
            owner=owner,
            content=change.content,
            label=change.label,
            description=change.description,
            rotation=change.rotation,
            expires=change.expires,
            now=self._here.clock.now(),
        )

    async def _update(self, change: SecretUpdate) -> None:
        await update_secret(
            self._tx,
            self._here.model,
            self._sealer,
            change.id,
            content=change.content,
            label=change.label,
            description=change.description,
            rotation=change.rotation,
            expires=change.expires,
            now=self._here.clock.now(),
        )

    async def _grant(self, change: SecretGrantChange) -> None:
        if change.relation is not None:
            relation = await need_relation(self._tx, self._here.model, change.relation)
            consumer = parts_of(change.consumer)[0]
            if endpoint_in(relation, self._here.application) is None or endpoint_in(relation, consumer) is None:
                raise NotPermittedError(f'"{change.consumer}" is not related to {self._here.unit} by "{relation.key}"')
        await grant_secret(self._tx, self._here.model, change.id, change.consumer, relation=change.relation)

    async def _own(self, secret: str) -> Secret:
        record = await need_secret(self._tx, self._here.model, secret)
        if record.owner == self._here.unit:
            return record
        if record.owner != self._here.application or record.owner == MODEL_OWNER:
            raise NotPermittedError(f'secret "{secret}" is not a secret of {self._here.unit}')
        if not await self._here.leads(self._tx):
            raise NotLeaderError(f'secret "{secret}" is written to by the leader of {self._here.application} only')
        return record


def _size(bag: Mapping[str, str]) -> int:
    return sum(len(key.encode()) + len(value.encode()) + 6 for key, value in bag.items())


def _secret_size(change: object) -> int:
    # In base64, as JSON has it.
    content = change.content if isinstance(change, SecretCreate | SecretUpdate) else None
    return _size(content) * 4 // 3 if content else 0


def _check_size(what: str, size: int, limit: int) -> None:
    if size > limit:
        raise TooLarge(f"{what} would have {size} bytes; at most {limit} can be kept")
