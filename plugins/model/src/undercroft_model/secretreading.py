"""Secrets as units read them: which they may, what they call them, and which revision they follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.errors import AlreadyExistsError, NotFoundError
from undercroft_hookspecs.hook_facades import SecretContent
from undercroft_model.rows import SecretConsumer
from undercroft_model.secrets import MODEL_OWNER, content_of, prune_secret, secret_id_in
from undercroft_model.tables import SECRET_CONSUMERS, SECRET_GRANTS, SECRETS, parts_of

if TYPE_CHECKING:
    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Secret
    from undercroft_model.encryption import Sealer
    from undercroft_model.transaction import Transaction


def is_owned(secret: Secret, unit: str) -> bool:
    """Whether a secret is a unit's, or its application's."""
    return secret.owner in (unit, parts_of(unit)[0]) and secret.owner != MODEL_OWNER


async def read_secret(
    tx: Transaction,
    model: ModelId,
    sealer: Sealer,
    unit: str,
    name: str,
    *,
    label: str = "",
    refresh: bool = False,
    peek: bool = False,
) -> SecretContent:
    """The revision that a unit follows; the latest, if it follows none: then it follows that from now on.

    Raises:
        NotFoundError: there is no such secret, or none that the unit may read.
        AlreadyExistsError: the unit calls another secret by that label.
    """
    secret = await find_readable(tx, model, unit, name)
    table, parts = SECRET_CONSUMERS.of(model), (secret.id, *parts_of(unit))
    before = await tx.get(table, *parts)
    if label and (before is None or before.label != label):
        await _check_label(tx, model, unit, secret.id, label)
    consumer = before or SecretConsumer()
    is_new = consumer.tracked not in secret.revisions
    if label:
        consumer = msgspec.structs.replace(consumer, label=label)
    if is_new and not peek:
        consumer = msgspec.structs.replace(consumer, tracked=secret.latest)
    if consumer != (before or SecretConsumer()):
        tx.put(table, *parts, record=consumer)
    revision = secret.latest if refresh or peek or is_new else consumer.tracked
    content = await content_of(tx, model, sealer, secret.id, revision)
    return SecretContent(id=secret.id, revision=revision, content=content)


async def track_latest(tx: Transaction, model: ModelId, unit: str, name: str) -> None:
    """A unit follows the latest revision of a secret from now on.

    Raises:
        NotFoundError: there is no such secret, or none that the unit may read.
    """
    secret = await find_readable(tx, model, unit, name)
    table, parts = SECRET_CONSUMERS.of(model), (secret.id, *parts_of(unit))
    before = await tx.get(table, *parts) or SecretConsumer()
    tx.put(table, *parts, record=msgspec.structs.replace(before, tracked=secret.latest))
    if secret.auto_prune:
        await prune_secret(tx, model, secret.id)


async def find_readable(tx: Transaction, model: ModelId, unit: str, name: str) -> Secret:
    """A secret that a unit may read, by its id or a label: the unit's own for it, or its owner's.

    Raises:
        NotFoundError: there is none.
    """
    number = secret_id_in(name)
    secret = await tx.get(SECRETS.of(model), number) if number is not None else None
    if secret is None:
        secret = await _labelled(tx, model, unit, name)
    if secret is None or not await _may_read(tx, model, unit, secret):
        # Whether there is one is not for everybody to know.
        raise NotFoundError(name, f'secret "{name}" not found')
    return secret


async def _labelled(tx: Transaction, model: ModelId, unit: str, label: str) -> Secret | None:
    for parts, consumer in (await tx.look(SECRET_CONSUMERS.of(model))).items():
        if parts[1:] == parts_of(unit) and consumer.label == label:
            return await tx.get(SECRETS.of(model), parts[0])
    for secret in (await tx.look(SECRETS.of(model))).values():
        if secret.label == label and is_owned(secret, unit):
            return await tx.get(SECRETS.of(model), secret.id)
    return None


async def _may_read(tx: Transaction, model: ModelId, unit: str, secret: Secret) -> bool:
    if is_owned(secret, unit):
        return True
    application, number = parts_of(unit)
    for consumer in ((application,), (application, number)):
        if await tx.get(SECRET_GRANTS.of(model), secret.id, *consumer) is not None:
            return True
    return False


async def _check_label(tx: Transaction, model: ModelId, unit: str, secret: str, label: str) -> None:
    for parts, consumer in (await tx.look(SECRET_CONSUMERS.of(model))).items():
        if parts[1:] == parts_of(unit) and parts[0] != secret and consumer.label == label:
            raise AlreadyExistsError(label, f'unit {unit} calls another secret "{label}" already')
