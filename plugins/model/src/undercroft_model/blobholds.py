"""Who needs a blob: the notes that one may be needed no more, and holds on those that no record names yet.

A blob is needed as long as a charm's or a resource's record names it, in any model. Whoever takes such a record away
leaves a note in the same transaction, so that `blobremoval` looks whether anybody else needs the blob. Whoever wants to
name a blob holds it first, until the record is there. A hold is leased: one whose owner was killed ends by itself, and
what was kept for nothing is found by the note that came with the hold.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from undercroft_hookspecs.store import Check, Conflict, Delete, LeaseLost, Put, Revision, StoreUnavailable
from undercroft_model.blobs import BlobError
from undercroft_model.rows import BlobMark
from undercroft_model.sweep import BATCH, batches
from undercroft_model.tables import BLOB_HOLDS, BLOB_NOTES, BLOB_REMOVALS
from undercroft_model.watching import newest, record

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Iterable

    from undercroft_hookspecs.store import LeaseId, Store
    from undercroft_hookspecs.worker import Clock
    from undercroft_model.transaction import Transaction

HOLD_SECONDS = 60.0
REMOVAL_SECONDS = 90.0
"""How long a removal may take. One that was cut short keeps others from its blob for so long."""
FAREWELL_SECONDS = 2.0

MARK = msgspec.json.encode(BlobMark())


def note_blob(tx: Transaction, sha256: str) -> None:
    """Note that a blob has lost one that needed it."""
    if sha256:
        tx.put(BLOB_NOTES, sha256, record=BlobMark())


async def note_blobs(store: Store, ids: Iterable[str]) -> None:
    """Note that blobs are about to lose one that needs them."""
    for batch in batches(sorted({sha256 for sha256 in ids if sha256}), BATCH):
        await store.transact([], [Put(BLOB_NOTES.key(sha256), MARK) for sha256 in batch])


class BlobHold:
    """Blobs that stay while this is open, though nothing may need them yet; `holding` makes one."""

    def __init__(self, store: Store, lease: LeaseId, token: str, *, clock: Clock, rng: random.Random) -> None:
        self._store, self._lease, self._token = store, lease, token
        self._clock, self._rng = clock, rng
        self._held: dict[str, Revision] = {}

    async def add(self, sha256: str) -> None:
        """Hold a blob, there or not; if it is just being removed, once that is over.

        Raises:
            BlobError: its removal does not end.
        """
        try:
            async with asyncio.timeout(REMOVAL_SECONDS + HOLD_SECONDS):
                while not await self._added(sha256):
                    await self._removed(sha256)
        except TimeoutError:
            raise BlobError(f"the blob {sha256} is being removed by somebody who does not end; try again") from None

    async def check(self, tx: Transaction) -> None:
        """See that all are held still, at the commit, too: for the transaction that names them.

        Raises:
            BlobError: they are not.
        """
        for sha256 in list(self._held)[:1]:  # All of them end in one commit, with the lease.
            if await tx.get(BLOB_HOLDS, sha256, self._token) is None:
                raise BlobError("the store was not reached for too long to be sure of the files just kept; try again")

    async def settle(self) -> None:
        """Take back the notes, now that there are records: but for those of blobs that somebody else has noted."""
        for sha256, revision in self._held.items():
            key = BLOB_NOTES.key(sha256)
            with suppress(Conflict, StoreUnavailable):  # A note too many does no harm.
                await self._store.transact([Check(key, revision)], [Delete(key)])

    async def keep(self) -> None:
        """Renew the lease for as long as it can be."""
        with suppress(LeaseLost):
            while True:
                await self._clock.sleep(HOLD_SECONDS / 3)
                with suppress(StoreUnavailable):
                    await self._store.renew(self._lease)

    async def _added(self, sha256: str) -> bool:
        writes = [
            Put(BLOB_HOLDS.key(sha256, self._token), MARK, self._lease),
            Put(BLOB_NOTES.key(sha256), MARK),
        ]
        try:
            revision = await self._store.transact([Check(BLOB_REMOVALS.key(sha256), Revision(0))], writes)
        except Conflict:
            return False
        self._held[sha256] = revision
        return True

    async def _removed(self, sha256: str) -> None:
        removal = record(BLOB_REMOVALS, sha256)
        async with newest([removal], removal.one, store=self._store, clock=self._clock, rng=self._rng) as states:
            async for state in states:
                if state is None:
                    return


@asynccontextmanager
async def holding(store: Store, *, clock: Clock, rng: random.Random) -> AsyncIterator[BlobHold]:
    """Hold blobs while this is open. If it ends with an error, those that nobody needs are up for removal."""
    lease = await store.lease(HOLD_SECONDS)
    hold = BlobHold(store, lease, UUID(int=rng.getrandbits(128)).hex, clock=clock, rng=rng)
    keeping = asyncio.get_running_loop().create_task(hold.keep(), name="keep blobs")
    try:
        yield hold
        await hold.settle()
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await store.revoke(lease)
