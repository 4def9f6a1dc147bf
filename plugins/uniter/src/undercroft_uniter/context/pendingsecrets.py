"""What a hook has done to secrets so far: the list that is committed, and how what is there looks with it."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from undercroft_hookspecs.hook_facades import (
    OwnedSecret,
    SecretCreate,
    SecretGrantChange,
    SecretRemove,
    SecretTrack,
    SecretUpdate,
)
from undercroft_hookspecs.state import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

SecretChange: TypeAlias = "SecretCreate | SecretUpdate | SecretRemove | SecretGrantChange | SecretTrack"

_ID = re.compile(r"[0-9a-v]{20}")
_FIELDS = ("content", "label", "description", "rotation", "expires")


def secret_id_in(name: str) -> str | None:
    """The id in `secret:<id>`, `secret://<model>/<id>` or a bare id; None for a label."""
    text = name.removeprefix("secret:")
    if text.startswith("//"):
        text = text.rpartition("/")[2]
    return text if _ID.fullmatch(text) else None


@dataclasses.dataclass(frozen=True, slots=True)
class PendingSecrets:
    """The changes in their order; each step gives another such list."""

    changes: Sequence[SecretChange]

    def created(self, name: str) -> SecretCreate | None:
        """The secret that this hook has made and that is called so."""
        number = secret_id_in(name)
        for change in self.changes:
            if isinstance(change, SecretCreate) and (change.id == number or name == change.label != ""):
                return change
        return None

    def update(self, secret: str) -> SecretUpdate | None:
        """What this hook has changed of a secret that was there before."""
        found = [change for change in self.changes if isinstance(change, SecretUpdate) and change.id == secret]
        return found[-1] if found else None

    def is_removed(self, secret: str) -> bool:
        """This hook has removed the whole secret."""
        return SecretRemove(id=secret) in self.changes

    def is_tracked(self, secret: str) -> bool:
        """The unit follows the latest revision of the secret."""
        return any(isinstance(change, SecretTrack) and change.id == secret for change in self.changes)

    def add(self, change: SecretChange) -> PendingSecrets:
        """One more change; what changes a secret that this hook has made or changed becomes part of that."""
        if isinstance(change, SecretUpdate):
            return self._updated(change)
        if isinstance(change, SecretRemove) and change.revision is None:
            return self._removed(change)
        return PendingSecrets((*self.changes, change))

    def owned(self, before: Sequence[OwnedSecret], *, unit: str, now: datetime) -> Mapping[str, OwnedSecret]:
        """What the unit may write to, by id, as it will be once this is committed."""
        found = {each.secret.id: each for each in before if not self.is_removed(each.secret.id)}
        for change in self.changes:
            if isinstance(change, SecretCreate):
                found[change.id] = OwnedSecret(secret=_made(change, unit, now))
            elif isinstance(change, SecretUpdate) and change.id in found:
                found[change.id] = _changed(found[change.id], change)
        return dict(sorted(found.items()))

    def grants(self, secret: str, before: Mapping[str, int | None]) -> Mapping[str, int | None]:
        """Who may read a secret, once this is committed."""
        found = dict(before)
        for change in self.changes:
            if isinstance(change, SecretGrantChange) and change.id == secret:
                found.pop(change.consumer, None)
                if not change.is_revoked:
                    found[change.consumer] = change.relation
        return found

    def _updated(self, change: SecretUpdate) -> PendingSecrets:
        given = {name: getattr(change, name) for name in _FIELDS if getattr(change, name) is not None}
        for place, earlier in enumerate(self.changes):
            if isinstance(earlier, SecretCreate | SecretUpdate) and earlier.id == change.id:
                merged = dataclasses.replace(earlier, **given)
                return PendingSecrets((*self.changes[:place], merged, *self.changes[place + 1 :]))
        return PendingSecrets((*self.changes, change))

    def _removed(self, change: SecretRemove) -> PendingSecrets:
        left = tuple(each for each in self.changes if each.id != change.id)
        was_made_here = any(isinstance(each, SecretCreate) and each.id == change.id for each in self.changes)
        return PendingSecrets(left if was_made_here else (*left, change))


def _made(change: SecretCreate, unit: str, now: datetime) -> Secret:
    return Secret(
        id=change.id,
        owner=unit if change.owner == "unit" else unit.partition("/")[0],
        label=change.label,
        description=change.description,
        rotation=change.rotation,
        created=now,
        updated=now,
        expires={1: change.expires} if change.expires is not None else {},
    )


def _changed(owned: OwnedSecret, change: SecretUpdate) -> OwnedSecret:
    secret = owned.secret
    latest = secret.latest + (change.content is not None)
    expires = {**secret.expires, latest: change.expires} if change.expires is not None else secret.expires
    changed = msgspec.structs.replace(
        secret,
        label=secret.label if change.label is None else change.label,
        description=secret.description if change.description is None else change.description,
        rotation=secret.rotation if change.rotation is None else change.rotation,
        latest=latest,
        revisions=(*secret.revisions, latest) if change.content is not None else secret.revisions,
        expires=expires,
    )
    return dataclasses.replace(owned, secret=changed)
