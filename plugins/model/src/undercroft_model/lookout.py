"""Knows when to look for commits, and when leases end. Nothing wakes up while nothing happens.

Every writer touches the store's signal file once its COMMIT has returned, and inotify shows that to all others. The
write-ahead log's own event comes before the commit can be read, so it only leads to two looks 100 ms apart: for a
writer that is killed between its commit and the signal. One event is enough until the first of these looks; what is
written to the log just before that look, and can be read only just after it, is found by the second.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from undercroft.clock import alarm, boot_seconds
from undercroft.linux.watch import IN_ATTRIB, IN_DELETE_SELF, IN_MODIFY, Inotify
from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.store import StoreUnavailable, StoreUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from undercroft.clock import Alarm
    from undercroft_hookspecs.store import Revision
    from undercroft_hookspecs.worker import Clock
    from undercroft_model.batches import Batches
    from undercroft_model.database import Database
    from undercroft_model.databasethread import DatabaseThread
    from undercroft_model.feed import Feed, Page
    from undercroft_model.signalfile import SignalFile

SECOND_LOOK_SECONDS = 0.1
OWN_SIGNAL_SECONDS = 0.005
LONGEST_OWN_SECONDS = 0.01
RETRY_SECONDS = 1.0
IN_MOVE_SELF = 0x800
IN_ONESHOT = 0x80000000
_SIGNAL_EVENTS = IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF

logger = logging.getLogger(__name__)


class Lookout:
    """Looks whenever there is a reason to, one look at a time, and tells the feed what it finds."""

    def __init__(
        self, *, reader: DatabaseThread, batches: Batches, feed: Feed, signal: SignalFile, log: Path, clock: Clock
    ) -> None:
        self._reader, self._batches, self._feed = reader, batches, feed
        self._signal, self._log, self._clock = signal, log, clock
        self._inotify: Inotify | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_wanted = False
        self._alarms: dict[str, Alarm] = {}
        self._signalled_at = 0  # How many batches of our own had begun.
        self._endings: set[asyncio.Task[None]] = set()

    async def begin(self) -> None:
        """End the leases that nobody was there to end, see where the store stands, and look from now on.

        Raises:
            StoreUnavailable: the store cannot be read, or its files cannot be watched.
        """
        if await self._reader.run(lambda database: database.leases.left_behind()):
            await self._batches.submit(lambda database: database.leases.end_left_behind())
        self._feed.revision, _ = await self._reader.run(lambda database: database.history.stand())
        with _watching_limits(self._signal.path):
            self._inotify = Inotify(self._on_event)
            self._watch_log()
            self._watch_signal()
        self.look()  # For what was written between the beginning and the watch.

    async def close(self) -> None:
        """Look no more."""
        if self._inotify is not None:
            self._inotify.close()
        for ringing in self._alarms.values():
            ringing.cancel()
        self._alarms.clear()
        tasks = [*self._endings, *([self._looking] if self._looking is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def look(self) -> None:
        """Somebody has written, here or in another process: look, and look again if there is more while we do."""
        self._is_wanted = True
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="store-look")

    def _on_event(self, path: Path, _: str) -> None:
        if path != self._signal.path:
            self._ring("second look", SECOND_LOOK_SECONDS, self._look_again)
        elif not self._batches.is_busy:
            self.look()
        else:
            self._signalled_at = self._batches.begun
            if "own" not in self._alarms:
                self._await_own_batch(OWN_SIGNAL_SECONDS, LONGEST_OWN_SECONDS)

    def _await_own_batch(self, pause: float, left: float) -> None:
        """Look when there are no more batches of our own, or sooner if those leave it open what others have written.

        Most likely the signal is our own; in any case the next batch to begin sees what it stands for. By the loop's
        time, whatever clock the leases have.
        """
        signalled_at = self._signalled_at

        def settle() -> None:
            del self._alarms["own"]
            is_known = self._batches.known > signalled_at
            if self._batches.is_busy and (is_known or left > pause):
                self._await_own_batch(pause, LONGEST_OWN_SECONDS if is_known else left - pause)
            else:
                self.look()

        self._alarms["own"] = asyncio.get_running_loop().call_later(pause, settle)

    def _look_again(self) -> None:
        self._watch_log()
        self.look()
        self._ring("last look", SECOND_LOOK_SECONDS, self.look)

    async def _look(self) -> None:
        try:
            while self._is_wanted:
                self._is_wanted = False
                await self._take()
        except StoreUnusable as error:
            logger.error("watching ends: %s", error)
            self._feed.fail(error)
        except UndercroftError as error:
            logger.warning("commits cannot be read, and it is tried again in %g s: %s", RETRY_SECONDS, error)
            self._ring("retry", RETRY_SECONDS, self.look)
        finally:
            self._looking = None

    async def _take(self) -> None:
        if not self._watch_signal():
            await self._reader.run(lambda _: self._signal.mend())
            self._watch_signal()
        page, first_end = await self._reader.run(partial(_news, self._feed.revision))
        self._feed.deliver(page)
        self._is_wanted = self._is_wanted or not page.is_last
        self._await_lease(first_end)

    def _watch_signal(self) -> bool:
        """Watch the file that has the name now: somebody may have deleted or replaced it. False: there is none."""
        return self._inotify is not None and self._inotify.watch(self._signal.path, _SIGNAL_EVENTS)

    def _watch_log(self) -> None:
        if self._inotify is not None:
            self._inotify.watch(self._log, IN_MODIFY | IN_ONESHOT)

    def _await_lease(self, first_end: float | None) -> None:
        ringing = self._alarms.pop("lease", None)
        if ringing is not None:
            ringing.cancel()
        if first_end is None:
            return
        left = first_end - boot_seconds(self._clock)
        if left <= 0:
            self._end_leases()
        else:
            # A millisecond late rather than early: a look that finds nothing to end would only set the next alarm.
            self._alarms["lease"] = alarm(self._clock, left + 0.001, self._on_lease_end)

    def _on_lease_end(self) -> None:
        del self._alarms["lease"]
        self._end_leases()

    def _end_leases(self) -> None:
        if not self._endings:
            ending = asyncio.get_running_loop().create_task(self._submit_ending(), name="store-leases")
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def _submit_ending(self) -> None:
        try:
            await self._batches.submit(lambda database: database.leases.end_left_behind())
        except UndercroftError as error:
            logger.warning("leases that are over cannot be ended, and it is tried again: %s", error)
            self._ring("retry", RETRY_SECONDS, self.look)
        else:
            self.look()

    def _ring(self, name: str, delay: float, then: Callable[[], None]) -> None:
        """Do something later; nothing if it is to be done already."""

        def ring() -> None:
            del self._alarms[name]
            then()

        if name not in self._alarms:
            self._alarms[name] = alarm(self._clock, delay, ring)


def _news(since: Revision, database: Database) -> tuple[Page, float | None]:
    return database.history.page("", since), database.leases.first_end()


@contextmanager
def _watching_limits(path: Path) -> Iterator[None]:
    """Say what to do where the kernel has no watches left."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(
            f"{path} cannot be watched ({error.strerror}): raise fs.inotify.max_user_instances and"
            " fs.inotify.max_user_watches with sysctl"
        ) from error
