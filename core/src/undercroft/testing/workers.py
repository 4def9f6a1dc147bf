"""Workers that end, or do not end, as a test wishes."""

from __future__ import annotations

import asyncio

from undercroft.worker.lifecycle import TombWorker
from undercroft.worker.tomb import Tomb
from undercroft_hookspecs.errors import NotValidError


class ErrorWorker(TombWorker):
    """Runs until it is killed, then ends with `error`."""

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error
        self._tomb = Tomb("error")
        self._tomb.hold()
        self._tomb.stop.subscribe(self._end)

    def _end(self) -> None:
        self._tomb.kill(self._error)
        self._tomb.release()


class DeadWorker(TombWorker):
    """Has ended, with `error`."""

    def __init__(self, error: BaseException | None = None) -> None:
        self._tomb = Tomb("dead")
        self._tomb.kill(error)


class ForeverWorker(TombWorker):
    """Ignores `kill`; after `really_kill` it ends with `error`."""

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error
        self._tomb = Tomb("forever")
        self._tomb.hold()
        self._tomb.stop.subscribe(self._tomb.release)

    def kill(self) -> None:
        """Do nothing."""

    def really_kill(self) -> None:
        """Die."""
        self._tomb.kill(self._error)


class FakeWatcher(TombWorker):
    """A watcher that a test feeds: a worker until it is killed, with a bounded queue of changes."""

    def __init__(self, capacity: int, preload: int = 0) -> None:
        if capacity < 1:
            raise NotValidError(f"capacity must be at least 1, not {capacity}", field="capacity")
        if not 0 <= preload <= capacity:
            raise NotValidError(f"preload must be between 0 and the capacity, not {preload}", field="preload")
        self.changes: asyncio.Queue[None] = asyncio.Queue(capacity)
        for _ in range(preload):
            self.changes.put_nowait(None)
        self._tomb = Tomb("watcher")
        self._tomb.hold()
        self._tomb.stop.subscribe(self._tomb.release)

    def ping(self) -> None:
        """Add one more change.

        Raises:
            asyncio.QueueFull: nobody has taken the changes that there are.
        """
        self.changes.put_nowait(None)
