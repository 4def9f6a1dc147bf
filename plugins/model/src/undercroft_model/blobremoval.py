"""Remove the blobs that nobody needs any more.

The place of the blobs knows no transactions, so the store keeps order: a removal is announced there before anybody is
looked for, and while it stands nobody can begin to hold the blob. Who held it before is seen as its holder or, later,
as the record that names it. The announcement is leased; a removal that was cut short is begun anew after that.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from undercroft.clock import boot_seconds
from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.identity import ModelId
from undercroft_hookspecs.store import Check, Conflict, Delete, Put, Revision, StoreUnavailable
from undercroft_model.blobholds import FAREWELL_SECONDS, MARK, REMOVAL_SECONDS
from undercroft_model.blobs import BlobError
from undercroft_model.sweep import keys_under
from undercroft_model.tables import BLOB_HOLDS, BLOB_NOTES, BLOB_REMOVALS, CHARMS, MODEL_NAMES, RESOURCES

if TYPE_CHECKING:
    from undercroft_hookspecs.store import Entry, LeaseId, Store
    from undercroft_hookspecs.worker import Clock
    from undercroft_model.blobs import Blobs

BEGIN_SECONDS = REMOVAL_SECONDS / 4
"""A removal that has not begun by then is put off: the place may take as long as its own time limit for it."""

logger = logging.getLogger(__name__)


async def remove_unneeded(store: Store, blobs: Blobs, *, clock: Clock) -> None:
    """Look at every blob that has been noted, and remove those that nobody needs; the held ones stay noted.

    Any number may do so at once, and again after a crash.

    Raises:
        BlobError: the place cannot be reached; what is left stays noted.
    """
    for note in (await store.list(BLOB_NOTES.prefix)).entries:
        (sha256,) = BLOB_NOTES.parts(note.key)
        if await _is_held(store, sha256):
            continue
        with suppress(Conflict):  # Somebody else is about it, or it has been noted once more.
            if await _is_needed(store, sha256):
                await store.transact([Check(note.key, note.revision)], [Delete(note.key)])
            else:
                await _remove(store, blobs, note, sha256, clock=clock)


async def _remove(store: Store, blobs: Blobs, note: Entry, sha256: str, *, clock: Clock) -> None:
    lease: LeaseId | None = await store.lease(REMOVAL_SECONDS)
    begun = boot_seconds(clock)
    removal = BLOB_REMOVALS.key(sha256)
    try:
        checks = [Check(note.key, note.revision), Check(removal, Revision(0))]
        await store.transact(checks, [Put(removal, MARK, lease)])
        # In this order: who has let go of the blob by now has written before what needs it.
        if await _is_held(store, sha256) or await _is_needed(store, sha256):
            return
        if boot_seconds(clock) - begun > BEGIN_SECONDS:
            raise BlobError(f"the blob {sha256} is not removed yet: the store has taken too long")
        logger.info("the blob %s is needed no more, and is removed", sha256)
        try:
            with suppress(NotValidError):  # No blob can have such a name.
                await blobs.remove(sha256)
        except BaseException:
            lease = None  # It may be under way still: the announcement stands until that is over for certain.
            raise
        await store.transact([Check(note.key, note.revision)], [Delete(note.key), Delete(removal)])
    finally:
        await _let_go(store, lease)


async def _let_go(store: Store, lease: LeaseId | None) -> None:
    if lease is not None:
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await store.revoke(lease)


async def _is_held(store: Store, sha256: str) -> bool:
    return bool(await keys_under(store, BLOB_HOLDS.under(sha256)))


async def _is_needed(store: Store, sha256: str) -> bool:
    names = [MODEL_NAMES.decode(entry) for entry in (await store.list(MODEL_NAMES.prefix)).entries]
    for model in (ModelId.parse(name.uuid) for name in names):
        if await store.get(CHARMS.of(model).key(sha256)) is not None:
            return True
        resources = RESOURCES.of(model)
        entries = (await store.list(resources.prefix)).entries
        if any(resources.decode(entry).sha256 == sha256 for entry in entries):
            return True
    return False
