"""The operator's side of secrets: those of the model, and what is shown of all."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import click
import msgspec

from undercroft_hookspecs.errors import NotFoundError, NotValidError
from undercroft_model.charmrecords import need_application
from undercroft_model.charms.document import read
from undercroft_model.commands.columns import columns
from undercroft_model.commands.frame import Refusal, read_bytes, read_text
from undercroft_model.secrets import (
    MODEL_OWNER,
    content_of,
    create_secret,
    find_owned,
    need_secret,
    new_secret_id,
    secret_id_in,
    sweep_secret,
    update_secret,
)
from undercroft_model.secrets import grant_secret as grant_to
from undercroft_model.secrets import remove_secret as remove_one
from undercroft_model.secrets import revoke_secret as revoke_from
from undercroft_model.tables import SECRET_GRANTS, SECRET_REVISIONS, SECRETS

if TYPE_CHECKING:
    from datetime import datetime

    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Secret
    from undercroft_model.operator import Desk
    from undercroft_model.transaction import Transaction

SHOWN_MODEL = "<model>"


def given_content(words: Sequence[str], file: str | None) -> dict[str, str]:
    """What words and a file give; words count more.

    Raises:
        NotValidError: a value is not base64 that should be, or the file is no mapping of texts.
    """
    found = {}
    if file is not None:
        entries = read(read_bytes(file), file).mapping()
        found = dict(_named(key, entry.text()) for key, entry in entries.items())
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise click.UsageError(f'expected a secret\'s value as "key=value", got "{key}"')
        name, text = _named(key, value)
        found[name] = text
    return found


async def add(desk: Desk, name: str, content: Mapping[str, str], description: str) -> str:
    """Add a secret of the model's, and give its URI."""
    if not content:
        raise Refusal("missing secret value or filename")
    sealer, now = await desk.operator.keyring.sealer(), desk.operator.clock.now()
    secret = await desk.run(
        create_secret,
        sealer,
        secret=new_secret_id(desk.operator.rng),
        owner=MODEL_OWNER,
        content=content,
        label=name,
        description=description,
        now=now,
    )
    return f"secret:{secret.id}"


async def update(
    desk: Desk,
    name: str,
    content: Mapping[str, str] | None,
    *,
    label: str | None,
    description: str | None,
    auto_prune: bool | None,
) -> None:
    """Change a secret of the model's."""
    sealer, now = await desk.operator.keyring.sealer(), desk.operator.clock.now()

    async def decide(tx: Transaction) -> None:
        secret = await find_owned(tx, desk.model, name, MODEL_OWNER)
        await update_secret(
            tx,
            desk.model,
            sealer,
            secret.id,
            content=content,
            label=label,
            description=description,
            auto_prune=auto_prune,
            now=now,
        )

    await desk.operator.change(decide)


async def share(desk: Desk, name: str, applications: Sequence[str], *, is_granted: bool) -> None:
    """Let applications read a secret, or no longer; all of them or none."""

    async def decide(tx: Transaction) -> None:
        secret = await find_owned(tx, desk.model, name, MODEL_OWNER)
        for application in applications:
            await need_application(tx, desk.model, application)
            await (grant_to if is_granted else revoke_from)(tx, desk.model, secret.id, application)

    await desk.operator.change(decide)


async def remove(desk: Desk, name: str, revision: int | None) -> None:
    """Remove a secret of the model's, or a revision of it."""

    async def decide(tx: Transaction) -> str:
        secret = await find_owned(tx, desk.model, name, MODEL_OWNER)
        await remove_one(tx, desk.model, secret.id, revision)
        return secret.id

    await sweep_secret(desk.store, desk.model, await desk.operator.change(decide))


async def list_document(desk: Desk, owner: str | None) -> dict[str, object]:
    """All secrets, or those of one owner, in the JSON shape of juju's `secrets`."""
    table = SECRETS.of(desk.model)
    secrets = [table.decode(entry) for entry in (await desk.store.list(table.prefix)).entries]
    wanted = _owner(owner) if owner is not None else None
    return {secret.id: _entry(secret) for secret in secrets if wanted is None or secret.owner == wanted}


def list_table(document: Mapping[str, object]) -> str:
    """The same for people."""
    rows = []
    for secret, entry in cast("Mapping[str, Mapping[str, object]]", document).items():
        name = str(entry.get("name") or entry.get("label") or "-")
        rotation = str(entry.get("rotation", "never"))
        rows.append((secret, name, str(entry["owner"]), rotation, str(entry["revision"]), str(entry["updated"])))
    heads = ("ID", "Name", "Owner", "Rotation", "Revision", "Last updated")
    return columns(heads, rows, right=("Revision",)) if rows else "No secrets to display."


async def show(desk: Desk, name: str, *, reveal: bool, revision: int | None, revisions: bool) -> dict[str, object]:
    """One secret, in the JSON shape of juju's `show-secret`.

    Raises:
        NotFoundError: there is no such secret, or no such revision.
    """
    secret = await desk.look(_find, name)
    if revision is not None and revision not in secret.revisions:
        raise NotFoundError(name, f'secret revision "{secret.id}/{revision}" not found')
    number = secret.latest if revision is None else revision
    entry = {**_entry(secret), "revision": number}
    if grants := await _grants(desk, secret):
        entry["access"] = grants
    if revisions:
        entry["revisions"] = [await _revision(desk, secret, each) for each in secret.revisions]
    if reveal:
        content = await desk.look(content_of, await desk.operator.keyring.sealer(), secret.id, number)
        encoded = msgspec.json.encode(dict(sorted(content.items())))
        entry |= {"content": {"Data": dict(content)}, "checksum": hashlib.sha256(encoded).hexdigest()}
    return {secret.id: entry}


def _named(key: str, value: str) -> tuple[str, str]:
    """A key and its value, which may be from a file, or in base64."""
    name, _, form = key.partition("#")
    if form == "file":
        return name, read_text(value)
    if form == "base64":
        try:
            return name, base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise NotValidError(f'the value of "{name}" is not base64 of text', field=name) from None
    if form:
        raise NotValidError(f'"{key}" is no key of a secret: after # comes base64 or file', field=name)
    return name, value


async def _find(tx: Transaction, model: ModelId, name: str) -> Secret:
    """Anybody's secret by its id, or one of the model's by its name."""
    number = secret_id_in(name)
    return await (need_secret(tx, model, number) if number is not None else find_owned(tx, model, name, MODEL_OWNER))


def _owner(text: str) -> str:
    """An owner as it is kept, of what juju's clients write: `model-UUID`, `application-mysql`, `unit-mysql-0`."""
    if text in (MODEL_OWNER, SHOWN_MODEL) or text.startswith("model-"):
        return MODEL_OWNER
    if text.startswith("unit-"):
        return "/".join(text.removeprefix("unit-").rsplit("-", 1))
    return text.removeprefix("application-")


def _entry(secret: Secret) -> dict[str, object]:
    is_models = secret.owner == MODEL_OWNER
    entry: dict[str, object] = {
        "revision": secret.latest,
        "rotation": "" if secret.rotation == "never" else secret.rotation,
        "rotates": _moment(secret.next_rotation),
        "expires": _moment(secret.expires.get(secret.latest)),
        "owner": SHOWN_MODEL if is_models else secret.owner,
        "description": secret.description,
        "name" if is_models else "label": secret.label,
        "created": _moment(secret.created),
        "updated": _moment(secret.updated),
    }
    return {key: value for key, value in entry.items() if value != ""}


async def _grants(desk: Desk, secret: Secret) -> list[dict[str, str]]:
    table = SECRET_GRANTS.of(desk.model)
    found = []
    for entry in (await desk.store.list(table.under(secret.id))).entries:
        parts, grant = table.parts(entry.key)[1:], table.decode(entry)
        scope = f"model-{desk.model}" if grant.relation is None else f"relation-{grant.relation}"
        kind = "application" if len(parts) == 1 else "unit"
        found.append({"target": f"{kind}-{'-'.join(parts)}", "scope": scope, "role": grant.role})
    return found


async def _revision(desk: Desk, secret: Secret, number: int) -> dict[str, object]:
    entry = await desk.store.get(SECRET_REVISIONS.of(desk.model).key(secret.id, str(number)))
    created = SECRET_REVISIONS.of(desk.model).decode(entry).created if entry is not None else secret.created
    shown: dict[str, object] = {
        "revision": number,
        "backend": "internal",
        "created": _moment(created),
        "updated": _moment(created),
    }
    if number in secret.expires:
        shown["expires"] = _moment(secret.expires[number])
    return shown


def _moment(when: datetime | None) -> str:
    return f"{when:%Y-%m-%dT%H:%M:%SZ}" if when is not None else ""
