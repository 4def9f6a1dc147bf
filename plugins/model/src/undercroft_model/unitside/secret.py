"""A unit's view of secrets: its own, and those that it may read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotFoundError
from undercroft_hookspecs.hook_facades import ConsumedSecret, OwnedSecret
from undercroft_model.secretreading import find_readable, is_owned, read_secret
from undercroft_model.secrets import MODEL_OWNER, new_secret_id, obsolete, rotated
from undercroft_model.tables import LEADERS, SECRET_CONSUMERS, SECRET_GRANTS, SECRETS
from undercroft_model.watching import folder, record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from undercroft_hookspecs.hook_facades import SecretContent
    from undercroft_hookspecs.state import Secret
    from undercroft_model.encryption import Keyring
    from undercroft_model.rows import SecretConsumer
    from undercroft_model.transaction import Transaction
    from undercroft_model.unitside.standpoint import Standpoint

Consumers = Iterable[tuple[tuple[str, ...], "SecretConsumer"]]


class OwnSecrets:
    """The facade `SecretFacade`."""

    def __init__(self, here: Standpoint, keyring: Keyring) -> None:
        self._here, self._keyring = here, keyring

    def new_secret_id(self) -> str:
        """An id for a secret that is to be created."""
        return new_secret_id(self._here.rng)

    async def read_secret(
        self, name: str, *, label: str = "", refresh: bool = False, peek: bool = False
    ) -> SecretContent:
        """The revision that the unit follows, or the latest."""
        here, sealer = self._here, await self._keyring.sealer()
        return await here.run(read_secret, sealer, here.unit, name, label=label, refresh=refresh, peek=peek)

    async def owned_secrets(self) -> Sequence[OwnedSecret]:
        """The secrets that the unit may write to, by id."""
        tx, model = self._here.look(), self._here.model
        secrets = (await tx.look(SECRETS.of(model))).values()
        consumers = (await tx.look(SECRET_CONSUMERS.of(model))).items()
        return _owned(self._here, secrets, consumers, leads=await self._here.leads(tx))

    async def secret_grants(self, name: str) -> Mapping[str, int | None]:
        """Who may read a secret of the unit's, and for as long as which relation lasts."""
        tx = self._here.look()
        secret = await self._find_own(tx, name)
        grants = await tx.look(SECRET_GRANTS.of(self._here.model), secret.id)
        return {"/".join(parts[1:]): grant.relation for parts, grant in grants.items()}

    async def secret_rotated(self, name: str) -> None:
        """The hook secret-rotate has been run for a secret of the unit's."""

        async def decide(tx: Transaction) -> None:
            secret = await self._find_own(tx, name)
            await rotated(tx, self._here.model, secret.id, now=self._here.clock.now())

        await self._here.change(decide)

    def watch_owned_secrets(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[OwnedSecret]]]:
        """The secrets that the unit may write to, and again whenever one has changed."""
        here, model = self._here, self._here.model
        secrets, consumers = folder(SECRETS.of(model)), folder(SECRET_CONSUMERS.of(model))
        leader = record(LEADERS.of(model), here.application)

        def build() -> Sequence[OwnedSecret]:
            present = leader.one()
            leads = present is not None and present.unit == here.unit
            return _owned(here, secrets.records(), consumers.items(), leads=leads)

        return here.watch([secrets, consumers, leader], build)

    def watch_consumed_secrets(self) -> AbstractAsyncContextManager[AsyncIterator[Mapping[str, ConsumedSecret]]]:
        """By id, each secret that the unit follows an older revision of."""
        here, model = self._here, self._here.model
        secrets, consumers = folder(SECRETS.of(model)), folder(SECRET_CONSUMERS.of(model))
        grants = folder(SECRET_GRANTS.of(model))

        def build() -> Mapping[str, ConsumedSecret]:
            latest = {secret.id: secret.latest for secret in secrets.records() if not is_owned(secret, here.unit)}
            granted = {parts[0] for parts, _ in grants.items() if parts[1:] in (here.parts, here.parts[:1])}
            followed = {parts[0]: one for parts, one in consumers.items() if parts[1:] == here.parts}
            return {
                secret: ConsumedSecret(latest=latest[secret], label=followed[secret].label)
                for secret in sorted(followed.keys() & latest.keys() & granted)
                if followed[secret].tracked not in (0, latest[secret])
            }

        return here.watch([secrets, consumers, grants], build)

    async def _find_own(self, tx: Transaction, name: str) -> Secret:
        secret = await find_readable(tx, self._here.model, self._here.unit, name)
        if not is_owned(secret, self._here.unit):
            raise NotFoundError(name, f'secret "{name}" is not a secret of {self._here.unit}')
        return secret


def _owned(here: Standpoint, secrets: Iterable[Secret], consumers: Consumers, *, leads: bool) -> Sequence[OwnedSecret]:
    tracked = defaultdict(list)
    for parts, consumer in consumers:
        tracked[parts[0]].append(consumer.tracked)
    owners = {here.unit, here.application if leads else here.unit} - {MODEL_OWNER}
    return tuple(
        OwnedSecret(secret=secret, obsolete=tuple(obsolete(secret, tracked[secret.id])))
        for secret in sorted(secrets, key=_id)
        if secret.owner in owners
    )


def _id(secret: Secret) -> str:
    return secret.id
