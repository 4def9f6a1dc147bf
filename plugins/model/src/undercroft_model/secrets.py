"""Secrets: what their owners write, encrypted, and who else may read it.

The owner is the model (its operators), an application (its leader) or a unit. Each content is a revision of its own;
equal content makes none. A consumer follows the revision that was the latest when it first read the secret, until it
asks for the latest. A revision that nobody follows, and is not the latest, is obsolete.

`secretreading` is what the readers do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from undercroft_hookspecs.errors import AlreadyExistsError, NotFoundError, NotValidError
from undercroft_hookspecs.state import Secret
from undercroft_model.rows import SecretGrant, SecretRevision
from undercroft_model.sweep import delete_all, keys_under
from undercroft_model.tables import (
    APPLICATIONS,
    SECRET_CONSUMERS,
    SECRET_GRANTS,
    SECRET_REVISIONS,
    SECRETS,
    UNITS,
    parts_of,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from undercroft_hookspecs.hook_facades import Rotation
    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.store import Store
    from undercroft_model.encryption import Sealer
    from undercroft_model.table import ModelTable
    from undercroft_model.transaction import Transaction

MODEL_OWNER = "model"
CONTENT_BYTES = 512 * 1024
REMOVED_AT_ONCE = 40
"""How many keys of a secret go in the transaction that removes it; what is left is swept behind it."""

INTERVALS: Mapping[str, timedelta] = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(weeks=1),
    "monthly": timedelta(days=30),
    "quarterly": timedelta(days=90),
    "yearly": timedelta(days=365),
}
_ID = re.compile(r"[0-9a-v]{20}")
_KEY = re.compile(r"[a-z](?:-?[a-z0-9]){2,}")
_LETTERS = "0123456789abcdefghijklmnopqrstuv"


def new_secret_id(rng: random.Random) -> str:
    """An id for a new secret."""
    return "".join(rng.choices(_LETTERS, k=20))


def secret_id_in(name: str) -> str | None:
    """The id that a name stands for, written alone, as `secret:ID` or as `secret://MODEL/ID`; None if it is a label."""
    text = name.removeprefix("secret:")
    if text.startswith("//"):
        text = text.rpartition("/")[2]
    return text if _ID.fullmatch(text) else None


async def need_secret(tx: Transaction, model: ModelId, secret: str) -> Secret:
    """The secret of that id. Raises NotFoundError."""
    found = await tx.get(SECRETS.of(model), secret)
    if found is None:
        raise NotFoundError(secret, f'secret "{secret}" not found')
    return found


async def find_owned(tx: Transaction, model: ModelId, name: str, owner: str) -> Secret:
    """A secret by its id, or by the label that its owner has given it.

    Raises:
        NotFoundError: the owner has no such secret.
    """
    secret = secret_id_in(name)
    if secret is not None:
        found = await tx.get(SECRETS.of(model), secret)
        if found is not None and found.owner == owner:
            return found
    for record in (await tx.look(SECRETS.of(model))).values():
        if record.owner == owner and record.label == name:
            return await need_secret(tx, model, record.id)
    raise NotFoundError(name, f'secret "{name}" not found')


async def create_secret(
    tx: Transaction,
    model: ModelId,
    sealer: Sealer,
    *,
    secret: str,
    owner: str,
    content: Mapping[str, str],
    label: str = "",
    description: str = "",
    rotation: Rotation = "never",
    expires: datetime | None = None,
    auto_prune: bool = False,
    now: datetime,
) -> Secret:
    """Make a secret of that id with its first revision.

    Raises:
        AlreadyExistsError: the owner has another of that label.
        NotValidError: the content is none, or too large.
    """
    check_content(content)
    if await tx.get(SECRETS.of(model), secret) is not None:
        raise AlreadyExistsError(secret, f'secret "{secret}" already exists')
    await _check_label(tx, model, secret, owner, label)
    record = Secret(
        id=secret,
        owner=owner,
        label=label,
        description=description,
        rotation=rotation,
        next_rotation=_next_rotation(rotation, now),
        auto_prune=auto_prune,
        created=now,
        updated=now,
        expires={1: expires} if expires is not None else {},
    )
    tx.put(SECRETS.of(model), secret, record=record)
    _put_revision(tx, model, sealer, record, content, expires, now)
    return record


async def update_secret(
    tx: Transaction,
    model: ModelId,
    sealer: Sealer,
    secret: str,
    *,
    content: Mapping[str, str] | None = None,
    label: str | None = None,
    description: str | None = None,
    rotation: Rotation | None = None,
    expires: datetime | None = None,
    auto_prune: bool | None = None,
    now: datetime,
) -> Secret:
    """Change what is given of a secret. Content that is new makes a revision.

    Raises:
        NotFoundError: there is no such secret.
        AlreadyExistsError: its owner has another of that label.
        NotValidError: the content is none, or too large.
    """
    record = await need_secret(tx, model, secret)
    if label is not None and label != record.label:
        await _check_label(tx, model, secret, record.owner, label)
    changed = msgspec.structs.replace(
        record,
        label=record.label if label is None else label,
        description=record.description if description is None else description,
        auto_prune=record.auto_prune if auto_prune is None else auto_prune,
    )
    if rotation is not None and rotation != record.rotation:
        changed = msgspec.structs.replace(changed, rotation=rotation, next_rotation=_next_rotation(rotation, now))
    if content is not None:
        changed = await _revised(tx, model, sealer, changed, content, expires, now)
    if expires is not None:
        changed = msgspec.structs.replace(changed, expires={**changed.expires, changed.latest: expires})
    if changed != record:
        changed = msgspec.structs.replace(changed, updated=now)
        tx.put(SECRETS.of(model), secret, record=changed)
        if changed.auto_prune:
            changed = await prune_secret(tx, model, secret)
    return changed


async def remove_secret(tx: Transaction, model: ModelId, secret: str, revision: int | None = None) -> None:
    """Remove a secret, or one revision of it; with its last revision the secret goes. Run `sweep_secret` afterwards.

    Raises:
        NotFoundError: there is no such secret, or no such revision.
    """
    record = await need_secret(tx, model, secret)
    if revision is not None and revision not in record.revisions:
        raise NotFoundError(f"{secret}/{revision}", f'secret revision "{secret}/{revision}" not found')
    if revision is not None and len(record.revisions) > 1:
        _drop_revisions(tx, model, record, [revision])
        return
    tx.delete(SECRETS.of(model), secret)
    for key in (await _keys_of(tx.store, model, secret))[:REMOVED_AT_ONCE]:
        table = next(table for table in _PARTS if key.startswith(table.of(model).prefix))
        tx.delete(table.of(model), *table.of(model).parts(key))


async def sweep_secret(store: Store, model: ModelId, secret: str) -> None:
    """Remove what is left of a secret that has been removed; nothing if it is there."""
    if await store.get(SECRETS.of(model).key(secret)) is None:
        await delete_all(store, await _keys_of(store, model, secret))


async def prune_secret(tx: Transaction, model: ModelId, secret: str) -> Secret:
    """Remove the revisions that are obsolete."""
    record = await need_secret(tx, model, secret)
    consumers = await tx.look(SECRET_CONSUMERS.of(model), secret)
    gone = obsolete(record, [consumer.tracked for consumer in consumers.values()])[:REMOVED_AT_ONCE]
    return _drop_revisions(tx, model, record, gone) if gone else record


async def grant_secret(
    tx: Transaction, model: ModelId, secret: str, consumer: str, *, relation: int | None = None
) -> None:
    """Let a unit or an application read a secret.

    Raises:
        NotFoundError: there is no such secret or consumer.
    """
    await need_secret(tx, model, secret)
    parts = parts_of(consumer)
    if len(parts) == 1:
        await tx.need(APPLICATIONS.of(model), *parts, what="application")
    else:
        await tx.need(UNITS.of(model), *parts, what="unit")
    await tx.get(SECRET_GRANTS.of(model), secret, *parts)
    tx.put(SECRET_GRANTS.of(model), secret, *parts, record=SecretGrant(relation=relation))


async def revoke_secret(tx: Transaction, model: ModelId, secret: str, consumer: str) -> None:
    """Let a unit or an application read a secret no longer.

    Raises:
        NotFoundError: there is no such secret.
    """
    await need_secret(tx, model, secret)
    tx.delete(SECRET_GRANTS.of(model), secret, *parts_of(consumer))


async def rotated(tx: Transaction, model: ModelId, secret: str, *, now: datetime) -> None:
    """A secret's owner has been told to rotate it: the next time is an interval later.

    Raises:
        NotFoundError: there is no such secret.
    """
    record = await need_secret(tx, model, secret)
    later = msgspec.structs.replace(record, next_rotation=_next_rotation(record.rotation, now))
    tx.put(SECRETS.of(model), secret, record=later)


async def content_of(tx: Transaction, model: ModelId, sealer: Sealer, secret: str, revision: int) -> Mapping[str, str]:
    """What a revision holds.

    Raises:
        NotFoundError: there is no such revision.
        SecretDamagedError: it cannot be decrypted.
    """
    found = await tx.get(SECRET_REVISIONS.of(model), secret, str(revision))
    if found is None:
        raise NotFoundError(f"{secret}/{revision}", f'secret revision "{secret}/{revision}" not found')
    return sealer.unseal(found.content, place=_place(model, secret, revision))


def obsolete(secret: Secret, tracked: Sequence[int]) -> list[int]:
    """The revisions of a secret that nobody follows, and that nobody new will."""
    return [revision for revision in secret.revisions if revision != secret.latest and revision not in tracked]


def check_content(content: Mapping[str, str]) -> None:
    """Refuse content that no charm could read back.

    Raises:
        NotValidError: it is empty, too large, or has a key that is none.
    """
    if not content:
        raise NotValidError("a secret needs at least one value", field="content")
    for key in content:
        if not _KEY.fullmatch(key):
            message = f'"{key[:80]}" is not a key of a secret: three or more of a-z, 0-9 and "-", a letter first'
            raise NotValidError(message, field="content")
    size = sum(len(key) + len(value.encode()) for key, value in content.items())
    if size > CONTENT_BYTES:
        raise NotValidError(f"a secret has at most {CONTENT_BYTES // 1024} KiB, not {size} bytes", field="content")


async def _revised(
    tx: Transaction,
    model: ModelId,
    sealer: Sealer,
    record: Secret,
    content: Mapping[str, str],
    expires: datetime | None,
    now: datetime,
) -> Secret:
    check_content(content)
    if record.latest in record.revisions:
        before = await content_of(tx, model, sealer, record.id, record.latest)
        if dict(before) == dict(content):
            return record
    latest = record.latest + 1
    changed = msgspec.structs.replace(
        record,
        latest=latest,
        revisions=(*record.revisions, latest),
        next_rotation=_next_rotation(record.rotation, now),
    )
    _put_revision(tx, model, sealer, changed, content, expires, now)
    return changed


def _put_revision(
    tx: Transaction,
    model: ModelId,
    sealer: Sealer,
    record: Secret,
    content: Mapping[str, str],
    expires: datetime | None,
    now: datetime,
) -> None:
    sealed = sealer.seal(content, place=_place(model, record.id, record.latest))
    revision = SecretRevision(content=sealed, created=now, expires=expires)
    tx.put(SECRET_REVISIONS.of(model), record.id, str(record.latest), record=revision)


def _drop_revisions(tx: Transaction, model: ModelId, record: Secret, gone: Sequence[int]) -> Secret:
    left = tuple(revision for revision in record.revisions if revision not in gone)
    expires = {revision: when for revision, when in record.expires.items() if revision in left}
    changed = msgspec.structs.replace(record, revisions=left, latest=max(left), expires=expires)
    tx.put(SECRETS.of(model), record.id, record=changed)
    for revision in gone:
        tx.delete(SECRET_REVISIONS.of(model), record.id, str(revision))
    return changed


async def _check_label(tx: Transaction, model: ModelId, secret: str, owner: str, label: str) -> None:
    if not label:
        return
    for other in (await tx.look(SECRETS.of(model))).values():
        if other.id != secret and (other.owner, other.label) == (owner, label):
            raise AlreadyExistsError(label, f'secret with label "{label}" already exists')


async def _keys_of(store: Store, model: ModelId, secret: str) -> list[str]:
    keys: list[str] = []
    for table in _PARTS:
        keys += await keys_under(store, table.of(model).under(secret))
    return keys


def _next_rotation(rotation: str, now: datetime) -> datetime | None:
    return now + INTERVALS[rotation] if rotation in INTERVALS else None


def _place(model: ModelId, secret: str, revision: int) -> str:
    return f"secret {secret}/{revision} of model {model}"


# Any: records of several kinds.
_PARTS: tuple[ModelTable[Any], ...] = (SECRET_REVISIONS, SECRET_GRANTS, SECRET_CONSUMERS)
