"""Which secret hooks are due.

Of what the charm was told about revisions, that is written down: the model goes on to name a revision as obsolete, or
as newer than the one that is followed, for as long as the charm does nothing about it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs import NotFoundError
from undercroft_hookspecs.records import Record
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.statefile import read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from undercroft_hookspecs import Clock
    from undercroft_hookspecs.hook_facades import ConsumedSecret, OwnedSecret, SecretFacade

EXPIRED_AGAIN_SECONDS = 300.0
"""A charm is to remove a revision that has expired; it is told again after this time, then after twice of it..."""
EXPIRED_AGAIN_LIMIT_SECONDS = 86400.0


class Told(Record, frozen=True, kw_only=True):
    """Of which revisions the charm was told, by secret."""

    changed: Mapping[str, int] = msgspec.field(default_factory=dict)
    removed: Mapping[str, tuple[int, ...]] = msgspec.field(default_factory=dict)


class SecretsDue:
    """The secret hooks that are due, from what is known of the unit's secrets and of the time."""

    def __init__(self, path: Path, told: Told, *, facade: SecretFacade, clock: Clock) -> None:
        self._path, self._told, self._facade, self._clock = path, told, facade, clock
        self.owned: Sequence[OwnedSecret] = ()
        self.consumed: Mapping[str, ConsumedSecret] = {}
        self._rotated: dict[str, datetime] = {}
        self._expired: dict[tuple[str, int], _Repeat] = {}

    @classmethod
    async def open(cls, path: Path, *, facade: SecretFacade, clock: Clock) -> Self:
        """With what the charm was told before.

        Raises:
            NotValidError: the file is damaged.
        """
        return cls(path, await read_state(path, Told) or Told(), facade=facade, clock=clock)

    def hooks(self) -> tuple[HookInfo, ...]:
        """Those that are due now: what has its time before what has not."""
        now = self._clock.now()
        timed = [(moment, hook) for moment, hook in self._timed() if moment <= now]
        timed.sort(key=_order)
        return (*(hook for _, hook in timed), *self._changed(), *self._removed())

    def seconds(self) -> float | None:
        """How long until the next one; None where that depends on no time."""
        now = self._clock.now()
        later = [moment for moment, _ in self._timed() if moment > now]
        return (min(later) - now).total_seconds() if later else None

    async def done(self, hook: HookInfo) -> None:
        """One was run (or skipped)."""
        if hook.kind is HookKind.SECRET_ROTATE:
            await self._note_rotated(hook.secret)
        elif hook.kind is HookKind.SECRET_EXPIRED:
            key = hook.secret, hook.secret_revision
            before = self._expired.get(key)
            self._expired[key] = _Repeat(self._clock.now(), before.count + 1 if before else 1)
        elif hook.kind is HookKind.SECRET_CHANGED:
            await self._tell(changed={hook.secret: hook.secret_revision})
        elif hook.kind is HookKind.SECRET_REMOVE:
            await self._tell(removed={hook.secret: (hook.secret_revision,)})

    def _timed(self) -> Iterator[tuple[datetime, HookInfo]]:
        for each in self.owned:
            secret = each.secret
            if secret.next_rotation is not None and self._rotated.get(secret.id) != secret.next_rotation:
                yield secret.next_rotation, _hook(HookKind.SECRET_ROTATE, each, 0)
            for revision, moment in secret.expires.items():
                if revision in secret.revisions:
                    told = self._expired.get((secret.id, revision))
                    yield told.again if told else moment, _hook(HookKind.SECRET_EXPIRED, each, revision)

    def _changed(self) -> Iterator[HookInfo]:
        for secret, consumed in sorted(self.consumed.items()):
            if self._told.changed.get(secret) != consumed.latest:
                yield HookInfo(
                    kind=HookKind.SECRET_CHANGED,
                    secret=secret,
                    secret_label=consumed.label,
                    secret_revision=consumed.latest,
                )

    def _removed(self) -> Iterator[HookInfo]:
        for each in self.owned:
            told = self._told.removed.get(each.secret.id, ())
            for revision in each.obsolete:
                if revision not in told:
                    yield _hook(HookKind.SECRET_REMOVE, each, revision)

    async def _note_rotated(self, secret: str) -> None:
        known = next((each.secret for each in self.owned if each.secret.id == secret), None)
        with suppress(NotFoundError):  # The hook may have removed it.
            await self._facade.secret_rotated(secret)
        if known is not None and known.next_rotation is not None:
            # Until the watch tells of the next one.
            self._rotated[secret] = known.next_rotation

    async def _tell(
        self, *, changed: Mapping[str, int] | None = None, removed: Mapping[str, tuple[int, ...]] | None = None
    ) -> None:
        """Write it down, and forget what nobody asks for any more."""
        still = {secret: revision for secret, revision in self._told.changed.items() if secret in self.consumed}
        obsolete = {each.secret.id: set(each.obsolete) for each in self.owned}
        left = {
            secret: tuple(revision for revision in revisions if revision in obsolete.get(secret, ()))
            for secret, revisions in self._told.removed.items()
        }
        for secret, revisions in (removed or {}).items():
            left[secret] = tuple(sorted({*left.get(secret, ()), *revisions}))
        told = Told(
            changed={**still, **(changed or {})},
            removed={secret: revisions for secret, revisions in left.items() if revisions},
        )
        if told != self._told:
            await write_state(self._path, told)
            self._told = told


class _Repeat(Record, frozen=True):
    """When the charm was last told that a revision has expired, and how often it was."""

    at: datetime
    count: int

    @property
    def again(self) -> datetime:
        """When it is told again."""
        seconds = min(EXPIRED_AGAIN_SECONDS * 2.0 ** min(self.count - 1, 16), EXPIRED_AGAIN_LIMIT_SECONDS)
        return self.at + timedelta(seconds=seconds)


def _hook(kind: HookKind, owned: OwnedSecret, revision: int) -> HookInfo:
    return HookInfo(kind=kind, secret=owned.secret.id, secret_label=owned.secret.label, secret_revision=revision)


def _order(timed: tuple[datetime, HookInfo]) -> tuple[datetime, str, str, int]:
    moment, hook = timed
    return moment, hook.kind, hook.secret, hook.secret_revision
