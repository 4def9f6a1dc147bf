"""The Store on one SQLite file, for every process of this machine.

Writes are collected while a batch is under way and go together in the next: transactions that wait at the same time
share one fsync. Reads have a connection and a thread of their own, and do not wait for writes.

Every writer touches `<file>-signal` once its COMMIT has returned; the others see that by inotify, and nobody ever
polls. The write-ahead log's own event comes before the commit can be read, so it only arms one look 100 ms later: for a
writer that is killed between its commit and the signal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from undercroft.clock import alarm, boot_seconds
from undercroft.linux.watch import IN_ATTRIB, IN_MODIFY, Inotify
from undercroft_hookspecs.errors import NotValidError, UndercroftError
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
from undercroft_model.feed import Feed, Page
from undercroft_model.sqlite import Database, log_path, signal_path

if TYPE_CHECKING:
    from undercroft.clock import Alarm
    from undercroft_hookspecs.worker import Clock

T = TypeVar("T")

FILE_NAME = "store.db"
SECOND_LOOK_SECONDS = 0.1
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

logger = logging.getLogger(__name__)


@asynccontextmanager
async def open_sqlite(url: str, *, data_dir: Path, clock: Clock) -> AsyncIterator[Store]:
    """Open the store of a URL: `sqlite:` is `store.db` in the data folder, `sqlite:PATH` and `sqlite:///PATH` that
    file.

    Raises:
        NotValidError: the URL is not of that form.
        StoreDamagedError: the file is not a store.
        StoreVersionError: the file is of a newer version.
        StoreUnavailable: the file cannot be opened or written.
    """
    path = store_path(url, data_dir)
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(_opened(path, "write", clock))
        reader = await stack.enter_async_context(_opened(path, "read", clock))
        store = SqliteStore(writer, reader, clock=clock)
        stack.push_async_callback(store.close)
        await store.begin()
        signal, log = signal_path(path), log_path(path)
        inotify = stack.enter_context(Inotify(lambda told, _: store.on_signal() if told == signal else store.on_log()))
        inotify.watch(signal, IN_ATTRIB)
        inotify.watch(log, IN_MODIFY)
        store.on_signal()  # For what was written between the beginning and the watch.
        yield store


def store_path(url: str, data_dir: Path) -> Path:
    """The file of a `sqlite:` URL."""
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or parts.query or parts.fragment:
        message = f"{url!r} is not a store: write 'sqlite:', or 'sqlite:PATH' with the path of a file"
        raise NotValidError(message, field="store")
    return data_dir / unquote(parts.path) if parts.path else data_dir / FILE_NAME


class Connection:
    """A database and the one thread that uses it."""

    def __init__(self, database: Database, thread: ThreadPoolExecutor) -> None:
        self.database, self.thread = database, thread

    async def run(self, request: Callable[[Database], T]) -> T:
        """Carry out a request in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self.thread, request, self.database)


class SqliteStore:
    """The Store, over a connection that writes and one that reads; `open_sqlite` makes one."""

    is_local = True
    """No other machine shares it."""

    def __init__(self, writer: Connection, reader: Connection, *, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._batches = Batches(writer.thread, writer.database.run)
        self._feed = Feed(self._page)
        self._looking: asyncio.Task[None] | None = None
        self._look_again = False
        self._lease_alarm: Alarm | None = None
        self._endings: set[asyncio.Future[None]] = set()
        self._second_look: Alarm | None = None

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
        return await self._batches.submit(lambda database: database.transact(checks, writes))

    def watch(self, prefix: str, since: Revision) -> AbstractAsyncContextManager[AsyncIterator[Commit]]:
        """Every commit after `since` that touches `prefix`, in order."""
        return self._feed.watch(prefix, since)

    async def lease(self, ttl: float) -> LeaseId:
        """Grant a lease that ends `ttl` seconds after its last renewal."""
        check_ttl(ttl)
        return await self._batches.submit(lambda database: database.grant(ttl))

    async def renew(self, lease: LeaseId) -> None:
        """Let the lease's time begin anew."""
        await self._batches.submit(lambda database: database.renew(lease))

    async def revoke(self, lease: LeaseId) -> None:
        """End the lease and delete its keys in one commit; nothing if it has ended."""
        await self._batches.submit(lambda database: database.revoke(lease))

    async def compact(self, before: Revision) -> None:
        """Forget the history before `before`; present entries stay."""
        await self._batches.submit(lambda database: database.compact(before))

    async def begin(self) -> None:
        """End the leases that nobody was there to end, and see where the store stands."""
        await self._batches.submit(Database.end_leases)
        self._feed.revision = await self._reader.run(Database.revision)

    async def close(self) -> None:
        """Finish the writes that were asked for, and wake up every watcher."""
        await self._batches.close()
        self._feed.close()
        for ringing in (self._lease_alarm, self._second_look):
            if ringing is not None:
                ringing.cancel()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    def on_signal(self) -> None:
        """Somebody has written, here or in another process: look, and look again if there is more while we do."""
        self._look_again = True
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="store-look")

    def on_log(self) -> None:
        """The log has grown, and a signal ought to follow: look all the same in a moment, in case its writer was
        killed."""
        if self._second_look is None:
            self._second_look = alarm(self._clock, SECOND_LOOK_SECONDS, self._on_second_look)

    def _on_second_look(self) -> None:
        self._second_look = None
        self.on_signal()

    async def _look(self) -> None:
        try:
            while self._look_again:
                self._look_again = False
                page = await self._page("", self._feed.revision)
                self._feed.deliver(page)
                self._look_again = self._look_again or not page.is_last
                self._set_lease_alarm(await self._reader.run(Database.first_end))
        except UndercroftError:
            logger.exception("the store cannot be read; it is tried again at the next write")
        finally:
            self._looking = None

    def _set_lease_alarm(self, first_end: float | None) -> None:
        if self._lease_alarm is not None:
            self._lease_alarm.cancel()
            self._lease_alarm = None
        if first_end is not None:
            # A millisecond late rather than early: a look that finds nothing to end would only set the next alarm.
            delay = max(0.0, first_end - boot_seconds(self._clock)) + 0.001
            self._lease_alarm = alarm(self._clock, delay, self._on_lease_end)

    def _on_lease_end(self) -> None:
        self._lease_alarm = None
        ending = asyncio.ensure_future(self._batches.submit(Database.end_leases))
        self._endings.add(ending)
        ending.add_done_callback(self._on_leases_ended)

    def _on_leases_ended(self, ending: asyncio.Future[None]) -> None:
        self._endings.discard(ending)
        if not ending.cancelled() and (error := ending.exception()) is not None:
            logger.warning("leases that are over could not be ended, and will be with the next write: %s", error)

    async def _page(self, prefix: str, since: Revision) -> Page:
        return await self._reader.run(lambda database: database.page(prefix, since))


@asynccontextmanager
async def _opened(path: Path, mode: Literal["write", "read"], clock: Clock) -> AsyncIterator[Connection]:
    """A connection and its thread; both are gone when the block ends."""
    boot = await asyncio.to_thread(BOOT_ID.read_text)
    thread = ThreadPoolExecutor(1, thread_name_prefix=f"store-{mode}")
    loop = asyncio.get_running_loop()
    try:
        make = partial(Database, path, now=partial(boot_seconds, clock), boot=boot.strip(), mode=mode)
        database = await loop.run_in_executor(thread, make)
        try:
            yield Connection(database, thread)
        finally:
            await asyncio.shield(loop.run_in_executor(thread, database.close))
    finally:
        thread.shutdown()  # Nothing is under way in it: it ends within microseconds.
