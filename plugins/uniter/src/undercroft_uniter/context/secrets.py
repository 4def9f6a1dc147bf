"""Secrets as a hook makes, changes and reads them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from undercroft_hookspecs import AlreadyExistsError, NotFoundError, NotLeaderError
from undercroft_hookspecs.hook_facades import (
    SecretContent,
    SecretCreate,
    SecretGrantChange,
    SecretRemove,
    SecretTrack,
    SecretUpdate,
)
from undercroft_uniter.context.pendingsecrets import PendingSecrets, secret_id_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from undercroft_hookspecs.hook_facades import OwnedSecret, Rotation, SecretFacade
    from undercroft_hookspecs.hook_tools import RelationContext
    from undercroft_hookspecs.worker import Clock
    from undercroft_uniter.context.changes import PendingChanges
    from undercroft_uniter.context.leadership import HookLeadership
    from undercroft_uniter.context.pendingsecrets import SecretChange


class HookSecrets:
    """The part `SecretsContext`."""

    def __init__(
        self,
        unit: str,
        facade: SecretFacade,
        changes: PendingChanges,
        leadership: HookLeadership,
        *,
        relations: Mapping[int, RelationContext],
        clock: Clock,
    ) -> None:
        self._unit, self._facade, self._changes, self._leadership = unit, facade, changes, leadership
        self._relations, self._clock = relations, clock

    async def add_secret(
        self,
        content: Mapping[str, str],
        *,
        owner: Literal["unit", "application"],
        label: str = "",
        description: str = "",
        rotation: Rotation = "never",
        expires: datetime | None = None,
    ) -> str:
        """Make a secret, and give its id. Raises NotLeaderError for one of the application."""
        if owner == "application":
            await self._leadership.require()
        await self._check_label(label, owner=self._unit if owner == "unit" else self._application)
        made = SecretCreate(
            id=self._facade.new_secret_id(),
            content=dict(content),
            owner=owner,
            label=label,
            description=description,
            rotation=rotation,
            expires=expires,
        )
        self._add(made)
        return made.id

    async def update_secret(
        self,
        name: str,
        *,
        content: Mapping[str, str] | None = None,
        label: str | None = None,
        description: str | None = None,
        rotation: Rotation | None = None,
        expires: datetime | None = None,
    ) -> None:
        """Change what is not None. Raises NotFoundError, NotLeaderError."""
        secret = await self._own(name)
        if label is not None:
            await self._check_label(label, owner=secret.secret.owner, but=secret.secret.id)
        self._add(
            SecretUpdate(
                id=secret.secret.id,
                content=dict(content) if content is not None else None,
                label=label,
                description=description,
                rotation=rotation,
                expires=expires,
            )
        )

    async def read_secret(
        self, name: str, *, label: str = "", refresh: bool = False, peek: bool = False
    ) -> SecretContent:
        """The content that the unit follows, or with `refresh` or `peek` the latest, this hook's own included."""
        made = self._pending.created(name)
        if made is not None:
            return SecretContent(id=made.id, revision=1, content=made.content)
        known = self._known(name)
        found = await self._facade.read_secret(known, label=label, refresh=refresh, peek=peek)
        if self._pending.is_removed(found.id):
            raise NotFoundError(name, f'secret "{name}" not found')
        is_followed = self._pending.is_tracked(found.id)
        if is_followed and not refresh and not peek:
            found = await self._facade.read_secret(found.id, peek=True)
        update = self._pending.update(found.id)
        if update is not None and update.content is not None and (refresh or peek or is_followed):
            owned = (await self.owned_secrets())[found.id]
            found = SecretContent(id=found.id, revision=owned.secret.latest, content=update.content)
        if refresh and not is_followed:
            self._add(SecretTrack(id=found.id))
        return found

    async def owned_secrets(self) -> Mapping[str, OwnedSecret]:
        """What the unit may write to, by id."""
        before = await self._facade.owned_secrets()
        return self._pending.owned(before, unit=self._unit, now=self._clock.now())

    async def secret_grants(self, name: str) -> Mapping[str, int | None]:
        """Who may read a secret of the unit's, and for as long as which relation lasts."""
        secret = (await self._own(name)).secret.id
        is_new = self._pending.created(secret) is not None
        return self._pending.grants(secret, {} if is_new else await self._facade.secret_grants(secret))

    async def grant_secret(self, name: str, *, relation: int, unit: str = "") -> None:
        """Let the application (or one unit) at the other end of a relation read a secret."""
        secret = (await self._own(name)).secret.id
        self._add(SecretGrantChange(id=secret, consumer=unit or self._remote(relation), relation=relation))

    async def revoke_secret(
        self, name: str, *, relation: int | None = None, application: str = "", unit: str = ""
    ) -> None:
        """Let somebody read a secret no longer."""
        secret = (await self._own(name)).secret.id
        consumer = unit or application
        if not consumer and relation is not None:
            consumer = self._remote(relation)
        self._add(SecretGrantChange(id=secret, consumer=consumer, is_revoked=True))

    async def remove_secret(self, name: str, *, revision: int | None = None) -> None:
        """Remove a secret, or one revision of it."""
        self._add(SecretRemove(id=(await self._own(name)).secret.id, revision=revision))

    @property
    def _pending(self) -> PendingSecrets:
        return PendingSecrets(self._changes.current.secrets)

    @property
    def _application(self) -> str:
        return self._unit.partition("/")[0]

    def _add(self, change: SecretChange) -> None:
        after = self._pending.add(change).changes
        self._changes.propose(dataclasses.replace(self._changes.current, secrets=tuple(after)))

    def _remote(self, relation: int) -> str:
        if relation not in self._relations:
            raise NotFoundError(str(relation), f'relation "{relation}" not found')
        return self._relations[relation].remote_application

    def _known(self, name: str) -> str:
        """The name by which the model knows a secret, whose label this hook may have changed."""
        if secret_id_in(name) is None:
            for change in self._pending.changes:
                if isinstance(change, SecretUpdate) and change.label == name:
                    return change.id
        return name

    async def _own(self, name: str) -> OwnedSecret:
        """A secret that the unit may write to. Raises NotFoundError, NotLeaderError."""
        owned, number = await self.owned_secrets(), secret_id_in(name)
        for secret, each in owned.items():
            if secret == number or (number is None and name and each.secret.label == name):
                if each.secret.owner != self._unit:
                    await self._leadership.require()
                return each
        found = await self._facade.owned_secrets()
        gone = [each.secret for each in found if self._pending.is_removed(each.secret.id)]
        if any(secret.id == number or secret.label == name for secret in gone):
            raise NotFoundError(name, f'secret "{name}" not found')
        await self._facade.secret_grants(name)  # It is its application's, or else not found.
        raise NotLeaderError(f"unit {self._unit} is not the leader of {self._application}")

    async def _check_label(self, label: str, *, owner: str, but: str = "") -> None:
        for secret, each in (await self.owned_secrets()).items():
            if label and secret != but and (each.secret.label, each.secret.owner) == (label, owner):
                raise AlreadyExistsError(label, f'secret with label "{label}" already exists')
