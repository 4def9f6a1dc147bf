"""Say that this host's agent is running: its record is kept as it is, and its presence by a lease that ends with it.

An agent that is killed is seen to be gone within PRESENCE_SECONDS; one that stops, at once. During an outage of the
store it is tried again for as long as it takes.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from undercroft_hookspecs.store import LeaseLost, StoreUnavailable
from undercroft_model.hosts import describe_host, register_host
from undercroft_model.patience import Patience
from undercroft_model.rows import Presence
from undercroft_model.tables import PRESENCE
from undercroft_model.transaction import change

if TYPE_CHECKING:
    import random
    from datetime import datetime

    from undercroft_hookspecs.identity import HostId
    from undercroft_hookspecs.store import LeaseId, Store
    from undercroft_hookspecs.worker import Clock
    from undercroft_model.transaction import Transaction

PRESENCE_SECONDS = 30.0
FAREWELL_SECONDS = 2.0

logger = logging.getLogger(__name__)


class HostPresence:
    """A host's record and presence, while `keep` runs."""

    def __init__(self, store: Store, host: HostId, *, clock: Clock, rng: random.Random) -> None:
        self._store, self._host = store, host
        self._clock, self._rng = clock, rng
        self._present_since: datetime | None = None

    @property
    def since(self) -> datetime | None:
        """Since when the others can see that this agent runs; None: they cannot."""
        return self._present_since

    async def keep(self) -> None:
        """Register the host, and keep it present until cancelled."""
        patience = Patience(clock=self._clock, rng=self._rng)
        while True:
            try:
                await self._hold(patience)
            except LeaseLost:
                logger.warning("this host's presence had lapsed; it is announced anew")
            except StoreUnavailable as error:
                if not patience.failures:
                    logger.warning("this host cannot announce itself until the store is back: %s", error)
            self._present_since = None
            await patience.pause()

    async def _hold(self, patience: Patience) -> None:
        lease = await self._store.lease(PRESENCE_SECONDS)
        try:
            await self._announce(lease)
            while True:
                patience.reset()
                await self._clock.sleep(PRESENCE_SECONDS / 2)
                await self._store.renew(lease)
                await self._register()
        finally:
            with suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(FAREWELL_SECONDS):
                    await self._store.revoke(lease)

    async def _announce(self, lease: LeaseId) -> None:
        await self._register()
        since = self._clock.now()

        async def decide(tx: Transaction) -> None:
            tx.put(PRESENCE, str(self._host), "presence", record=Presence(since=since), lease=lease)

        await change(self._store, decide, clock=self._clock, rng=self._rng)
        self._present_since = since

    async def _register(self) -> None:
        host = await describe_host(self._host)
        await change(self._store, lambda tx: register_host(tx, host), clock=self._clock, rng=self._rng)
