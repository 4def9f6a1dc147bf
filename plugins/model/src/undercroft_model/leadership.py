"""Leadership by lease: who holds it, and for how long that is certain.

The key of an application's leader goes with its lease. Whoever holds it renews it; a renewal that was acknowledged says
that the lease will last for its time from some moment after it was asked for. The holder believes in it for two
thirds of that, reckoned from before it asked, in seconds that go on while the machine is suspended: so it has long
stopped when the store gives the lease up, even if the two do not agree on how long a second is.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from undercroft.clock import boot_seconds
from undercroft_hookspecs.errors import NotFoundError, UndercroftError
from undercroft_hookspecs.state import Life
from undercroft_hookspecs.store import Check, Conflict, LeaseLost, Put, Revision, StoreUnavailable
from undercroft_model.rows import Leader
from undercroft_model.table import RecordDamagedError
from undercroft_model.tables import LEADERS, UNITS, parts_of

if TYPE_CHECKING:
    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.store import Entry, LeaseId, Store
    from undercroft_hookspecs.worker import Clock

LEASE_SECONDS = 60.0
ATTEMPTS = 20
PAUSE_SECONDS = 0.02


class UnsettledError(UndercroftError):
    """Others kept changing who leads; nobody knows for a moment."""


class LeadershipClaim:
    """One unit's claim to lead its application. One object for a unit, however many ask it."""

    def __init__(
        self, store: Store, model: ModelId, unit: str, *, clock: Clock, lease_seconds: float = LEASE_SECONDS
    ) -> None:
        self._lease_seconds = lease_seconds
        self._believed_seconds = lease_seconds * 2 / 3
        self._guaranteed_seconds = lease_seconds / 2
        self._store, self._unit, self._clock = store, unit, clock
        self._leader_key = LEADERS.of(model).key(parts_of(unit)[0])
        self._unit_key = UNITS.of(model).key(*parts_of(unit))
        self._turn = asyncio.Lock()
        self._lease: LeaseId | None = None
        self._believed_until = 0.0

    def certain_seconds(self) -> float:
        """For how much longer the unit leads for certain; 0 if it does not."""
        return max(0.0, self._believed_until - boot_seconds(self._clock))

    async def claim(self) -> bool:
        """Lead for at least half a lease from now on, if nobody else does.

        Raises:
            NotFoundError: there is no such unit any more.
            StoreUnavailable: nobody knows; what was certain before is so for as long as `certain_seconds` says.
        """
        if self.certain_seconds() >= self._guaranteed_seconds:
            return True
        async with self._turn:
            # Whoever waited for their turn may find it done.
            return self.certain_seconds() >= self._guaranteed_seconds or await self._claim()

    async def resign(self) -> None:
        """Lead no longer, at once."""
        async with self._turn:
            self._believed_until = 0.0
            entry = await self._store.get(self._leader_key)
            if entry is not None and self._is_mine(entry):
                self._lease = entry.lease
            if self._lease is not None:
                await self._store.revoke(self._lease)
                self._lease = None  # Not before: who asks again after a cancellation or an outage is to find it.

    async def _claim(self) -> bool:
        for _ in range(ATTEMPTS):
            asked = boot_seconds(self._clock)
            entry = await self._store.get(self._leader_key)
            if entry is not None and not self._is_mine(entry):
                self._believed_until = 0.0
                return False
            held = await (self._take() if entry is None else self._renew(entry))
            if held:
                self._believed_until = asked + self._believed_seconds
                if self.certain_seconds() >= self._guaranteed_seconds:
                    return True
            await self._clock.sleep(PAUSE_SECONDS)
        raise UnsettledError(f"who leads {self._leader_key.rpartition('/')[2]} is unsettled; try again")

    async def _take(self) -> bool:
        """Be the first to write the key; False if somebody else was."""
        self._believed_until = 0.0
        unit = await self._store.get(self._unit_key)
        if unit is None or msgspec.json.decode(unit.value, type=_Mortal).life is Life.DEAD:
            raise NotFoundError(self._unit, f"unit {self._unit} has been removed, and leads nothing")
        lease = await self._store.lease(self._lease_seconds)
        checks = [Check(self._leader_key, Revision(0)), Check(self._unit_key, unit.revision)]
        try:
            await self._store.transact(checks, [Put(self._leader_key, self._written, lease)])
        except (Conflict, LeaseLost):
            with suppress(StoreUnavailable):
                await self._store.revoke(lease)
            return False
        self._lease = lease
        return True

    async def _renew(self, entry: Entry) -> bool:
        """Renew the lease that the key goes with, also one of a life before; False if it is too late."""
        if entry.lease is None:
            raise RecordDamagedError(entry.key, "it was written without a lease")
        try:
            await self._store.renew(entry.lease)
        except LeaseLost:
            return False
        # A renewal says that the lease lives, not that the key has not been taken away.
        now = await self._store.get(entry.key)
        if now is None or now.revision != entry.revision:
            return False
        self._lease = entry.lease
        return True

    @property
    def _written(self) -> bytes:
        return msgspec.json.encode(Leader(unit=self._unit))

    def _is_mine(self, entry: Entry) -> bool:
        return msgspec.json.decode(entry.value, type=Leader).unit == self._unit


class _Mortal(msgspec.Struct, frozen=True):
    """Of a unit, only where in its life it is."""

    life: Life
