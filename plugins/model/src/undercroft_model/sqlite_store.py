"""The Store on one SQLite file, for every process of this machine.

Writes are collected while a batch is under way and go together in the next: transactions that wait at the same time
share one fsync. Reads have a connection and a thread of their own, and do not wait for writes. `lookout` says how
commits of other processes are noticed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from undercroft.clock import boot_seconds
from undercroft.files import in_thread
from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.store import (
    Check,
    Commit,
    Delete,
    Entry,
    LeaseId,
    Put,
    Revision,
    Snapshot,
    Store,
    check_key,
    check_transaction,
    check_ttl,
)
from undercroft_model.batches import Batches
from undercroft_model.database import KEPT_COMMITS, Place, open_reader, open_writer
from undercroft_model.databasethread import DatabaseThread, in_thread_of_its_own
from undercroft_model.feed import Feed
from undercroft_model.lookout import Lookout
from undercroft_model.sqlite import log_path

if TYPE_CHECKING:
    from undercroft_hookspecs.worker import Clock

FILE_NAME = "store.db"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@asynccontextmanager
async def open_sqlite(
    url: str, *, data_dir: Path, clock: Clock, kept_commits: int = KEPT_COMMITS
) -> AsyncIterator[Store]:
    """Open the store of a URL: `sqlite:` is `store.db` in the data folder, `sqlite:PATH` and `sqlite:///PATH` that
    file.

    Raises:
        NotValidError: the URL is not of that form.
        StoreDamagedError: the file is not a store.
        StoreVersionError: the file is of a newer version.
        StoreUnavailable: the file cannot be opened or written.
    """
    path = store_path(url, data_dir)
    boot = (await in_thread(BOOT_ID.read_text)).strip()
    place = Place(path=path, now=partial(boot_seconds, clock), boot=boot, kept_commits=kept_commits)
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(in_thread_of_its_own(partial(open_writer, place), name="store-write"))
        reader = await stack.enter_async_context(in_thread_of_its_own(partial(open_reader, place), name="store-read"))
        feed = Feed(lambda prefix, since: reader.run(lambda it: it.history.page(prefix, since)))
        batches = Batches(writer, feed.on_written)
        stack.callback(feed.close)
        stack.push_async_callback(batches.close)
        signal = writer.database.signal
        assert signal is not None
        lookout = Lookout(reader=reader, batches=batches, feed=feed, signal=signal, log=log_path(path), clock=clock)
        stack.push_async_callback(lookout.close)
        await lookout.begin()
        yield SqliteStore(reader, batches, feed)


def store_path(url: str, data_dir: Path) -> Path:
    """The file of a `sqlite:` URL.

    Raises:
        NotValidError: it is no such URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or parts.query or parts.fragment or "\0" in unquote(parts.path):
        message = f"{url!r} is not a store: write 'sqlite:', or 'sqlite:PATH' with the path of a file"
        raise NotValidError(message, field="store")
    # Through symbolic links, as SQLite does: what it keeps beside the file lies beside the real one.
    return (data_dir / (unquote(parts.path) or FILE_NAME)).resolve()


class SqliteStore:
    """The Store, over a connection that writes and one that reads; `open_sqlite` makes one."""

    is_local = True
    """No other machine shares it."""

    def __init__(self, reader: DatabaseThread, batches: Batches, feed: Feed) -> None:
        self._reader, self._batches, self._feed = reader, batches, feed

    async def get(self, key: str) -> Entry | None:
        """The entry of `key`, or None."""
        check_key(key)
        return await self._reader.run(lambda database: database.get(key))

    async def list(self, prefix: str) -> Snapshot:
        """All entries whose key begins with `prefix`, in the order of their keys."""
        return await self._reader.run(lambda database: database.list(prefix))

    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        """Write all of `writes` if all of `checks` hold, else nothing; durable when it returns."""
        checks, writes = tuple(checks), tuple(writes)
        check_transaction(checks, writes)
        for write in writes:
            if isinstance(write, Put) and type(write.value) is not bytes:
                writes = tuple(map(_lasting, writes))
                break
        return await self._batches.submit(lambda database: database.transact(checks, writes))

    def watch(self, prefix: str, since: Revision) -> AbstractAsyncContextManager[AsyncIterator[Commit]]:
        """Every commit after `since` that touches `prefix`, in order."""
        return self._feed.watch(prefix, since)

    async def lease(self, ttl: float) -> LeaseId:
        """Grant a lease that ends `ttl` seconds after its last renewal."""
        check_ttl(ttl)
        return await self._batches.submit(lambda database: database.leases.grant(ttl))

    async def renew(self, lease: LeaseId) -> None:
        """Let the lease's time begin anew."""
        await self._batches.submit(lambda database: database.leases.renew(lease))

    async def revoke(self, lease: LeaseId) -> None:
        """End the lease and delete its keys in one commit; nothing if it has ended."""
        await self._batches.submit(lambda database: database.leases.revoke(lease))

    async def compact(self, before: Revision) -> None:
        """Forget the history before `before`; present entries stay."""
        await self._batches.submit(lambda database: database.history.compact(before))

    def report(self) -> dict[str, object]:
        """Where the store stands, how many look, and how many wait."""
        return {"revision": self._feed.revision, "watchers": len(self._feed), "waiting": len(self._batches)}


def _lasting(write: Put | Delete) -> Put | Delete:
    """The write with a value that nobody can change under us."""
    if isinstance(write, Put) and type(write.value) is not bytes:
        return Put(write.key, bytes(write.value), write.lease)
    return write
