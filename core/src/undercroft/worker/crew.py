"""The ids of a runner, and all that happens to them.

What an id has at a time, and where that leads:

    delayed   an alarm      ->  starting
    starting  an attempt    ->  started, or judged
    started   a worker      ->  judged
    judged    none of them  ->  delayed, or gone

Everything is done by callbacks on the loop. There is no task per id: an attempt has one while it lasts, and so has a
worker of somebody else's class, which can be watched only by waiting for it.

Callbacks of the runner's user may call back in at any time. So each step leaves an id in one of these states before it
calls out; and one that is being judged is judged to the end, whatever was asked for meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING

from undercroft.clock import alarm
from undercroft.errors import RestartLimitError
from undercroft.worker.entry import Entry
from undercroft.worker.lifecycle import was_cancelled, watch
from undercroft.worker.reporting import error_text, observe
from undercroft.worker.start import Start
from undercroft.worker.turnstile import Turnstile
from undercroft_hookspecs.worker import Event

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Literal

    from undercroft.worker.policy import Policy
    from undercroft.worker.reporting import Metrics
    from undercroft.worker.tomb import Tomb
    from undercroft_hookspecs.worker import Clock, Worker

    Kind = Literal["starting", "started", "stopping", "stopped", "restarting", "removed", "fatal", "hung"]


class Crew:
    """Starts, watches, judges and restarts. The tomb is the runner's: it dies when it is dying and all ids are gone."""

    __slots__ = (
        "_clock", "_events", "_fatal", "_internal", "_judging", "_kill_timeout", "_logger", "_loop", "_metrics",
        "_policy", "_tomb", "_turnstile", "ids",
    )  # fmt: skip

    def __init__(
        self,
        tomb: Tomb,
        policy: Policy,
        *,
        clock: Clock,
        logger: logging.Logger,
        metrics: Metrics | None,
        events: Callable[[Event], None] | None,
        kill_timeout: float | None,
    ) -> None:
        self.ids: dict[str, Entry] = {}
        self._loop = asyncio.get_running_loop()
        self._turnstile: Turnstile[Entry] = Turnstile(self._loop, self._on_turn)
        self._tomb = tomb
        self._policy = policy
        self._clock = clock
        self._logger = logger
        self._metrics = metrics
        self._events = events
        self._kill_timeout = kill_timeout
        self._fatal: BaseException | None = None
        self._internal: BaseException | None = None
        self._judging = 0
        tomb.hold()
        tomb.stop.subscribe(self._on_dying)

    @property
    def error(self) -> BaseException | None:
        """What the runner dies of: an internal error, else the fatal error that is kept, else nothing."""
        return self._internal or self._fatal

    def add(self, name: str, begin: Callable[[], Worker | Awaitable[Worker]]) -> None:
        """Register an id, which must be new, and make its first attempt."""
        entry = self.ids[name] = Entry(self, name, f"{self._tomb.name}/{name}", begin)
        self.attempt(entry)

    def attempt(self, entry: Entry) -> None:
        """Call the start function of an id that has nothing now, in a task of its own, when it is its turn."""
        entry.alarm = self._turnstile
        self._turnstile.enter(entry)

    def stop(self, entry: Entry) -> None:
        """Ask for the stop of an id, whatever it is doing. It may be gone when this returns."""
        if entry.is_stopping:
            return
        entry.is_stopping = True
        if entry.worker is not None:
            self._kill(entry, entry.worker)
        elif entry.attempt is not None:
            self._cancel(entry, entry.attempt)
        elif entry.alarm is not None:
            entry.alarm.cancel()
            entry.alarm = None
            self._remove(entry, None)

    def on_attempt_ended(self, entry: Entry, attempt: Start) -> None:
        """Take the worker that an attempt has made, or judge its error."""
        if self._kill_timeout is not None:
            entry.end_patience()
        if attempt.worker is None:
            error, attempt.error = attempt.error, None  # Its traceback refers to the attempt.
            self._on_end(entry, error, None)
        elif entry.is_stopping:
            entry.worker = attempt.worker
            watch(attempt.worker, entry.on_death)
            self._kill(entry, attempt.worker)
        else:
            self._on_up(entry, attempt.worker)

    def on_death(self, entry: Entry, error: BaseException | None) -> None:
        """Judge what a worker has died of."""
        lived = None if entry.since is None or error is None else self._clock.monotonic() - entry.since
        entry.worker = entry.since = entry.started_at = None
        entry.is_shown = False
        if self._kill_timeout is not None:
            entry.end_patience()
        if error is not None and entry.is_stopping and was_cancelled(error):
            error = None
        self._on_end(entry, error, lived)

    def on_patience_lost(self, entry: Entry) -> None:
        """Say that an id hangs, and go on waiting."""
        entry.patience = None
        entry.is_hung = True
        what = "its start" if entry.worker is None else "its worker"
        self._logger.error("%s: %s has not ended %g s after it was told to", entry.id, what, self._kill_timeout)
        self._tell("hung", entry)

    def _on_turn(self, entry: Entry) -> None:
        if entry.alarm is not self._turnstile:  # It is gone meanwhile.
            return
        entry.alarm = None
        begin = entry.begin if self._events is None else partial(self._begin, entry)
        entry.attempt = Start(begin, entry.on_attempt_ended, context=entry.context, name=entry.path)

    def _begin(self, entry: Entry) -> Worker | Awaitable[Worker]:
        self._tell("starting", entry)
        if entry.attempt is not None and entry.attempt.cancelled:  # By who was told just now.
            raise asyncio.CancelledError
        return entry.begin()

    def _on_up(self, entry: Entry, worker: Worker) -> None:
        entry.worker = worker
        entry.error = None
        entry.start_count += 1
        entry.since, entry.started_at = self._clock.monotonic(), self._clock.now()
        if watch(worker, entry.on_death):
            entry.is_shown = True
            if entry.changed is not None:
                entry.tell()
        else:  # Only its wait can tell whether it is dead already; that has been asked for, and comes first.
            self._loop.call_soon(self._show, entry, worker)
        if self._metrics is not None:
            observe(self._metrics.record_start, entry.id)
        if self._logger.isEnabledFor(logging.DEBUG):
            self._logger.debug("%s: started", entry.id)
        if self._events is not None:
            self._tell("started", entry)

    def _show(self, entry: Entry, worker: Worker) -> None:
        if entry.worker is worker:
            entry.is_shown = True
            if entry.changed is not None:
                entry.tell()

    def _kill(self, entry: Entry, worker: Worker) -> None:
        if self._events is not None:
            self._tell("stopping", entry)
        try:
            worker.kill()
        except Exception:  # It never raises, if it keeps its promise.
            self._logger.exception("%s: the kill of its worker raised; waiting for its death all the same", entry.id)
        if self._kill_timeout is not None:
            self._begin_patience(entry)

    def _cancel(self, entry: Entry, attempt: Start) -> None:
        if not attempt.begun:
            attempt.cancel()
            entry.attempt = None
            self._remove(entry, None)
            return
        self._logger.debug("%s: cancelling its start", entry.id)
        self._tell("stopping", entry)
        attempt.cancel()
        if self._kill_timeout is not None:
            self._begin_patience(entry)

    def _begin_patience(self, entry: Entry) -> None:
        assert self._kill_timeout is not None
        entry.patience = alarm(self._clock, self._kill_timeout, entry.on_patience_lost, loop=self._loop)

    def _on_end(self, entry: Entry, error: BaseException | None, lived: float | None) -> None:
        if self._events is not None:
            self._tell("stopped", entry, error)
        self._judging += 1
        try:
            self._judge(entry, error, lived)
        except BaseException as raised:  # A deciding callback's: the runner dies of it, whatever else was seen.
            self._on_internal_error(entry, error, raised)
            if not isinstance(raised, Exception):
                raise
        finally:
            self._judging -= 1
            if not self.ids:
                self._die_if_all_are_gone()

    def _judge(self, entry: Entry, error: BaseException | None, lived: float | None) -> None:
        if error is None:
            self._remove(entry, None)
        elif self._policy.is_fatal(error) or not isinstance(error, Exception):
            self._on_fatal(entry, error)
        elif entry.is_stopping:
            self._logger.info("%s: failed while it was being stopped: %s", entry.id, error_text(error))
            self._remove(entry, error)
        elif not self._policy.should_restart(error):
            self._logger.info("%s: failed, and is not restarted: %s", entry.id, error_text(error))
            self._remove(entry, error)
        else:
            self._retry(entry, error, lived)

    def _retry(self, entry: Entry, error: Exception, lived: float | None) -> None:
        if self._policy.has_limit and self._policy.exceeds_limit(entry, self._clock.monotonic()):
            self._give_up(entry, error)
            return
        delay = self._policy.delay(entry, error, lived)
        if entry.is_stopping:  # One of the callbacks has seen to that.
            self._remove(entry, error)
            return
        entry.error = error
        if self._logger.isEnabledFor(logging.WARNING):
            self._logger.warning("%s: failed, restarting in %g s: %s", entry.id, delay, error_text(error))
        if delay > 0:
            entry.delay = delay
            entry.alarm = alarm(self._clock, delay, entry.on_delay_over, loop=self._loop)
        else:
            self.attempt(entry)
        if self._events is not None:
            self._tell("restarting", entry, error, delay)

    def _give_up(self, entry: Entry, error: Exception) -> None:
        limit = RestartLimitError(f"{entry.id} has failed too often: {error_text(error)}")
        limit.__cause__ = error
        if self._policy.is_fatal(limit):
            self._on_fatal(entry, limit)
        else:
            self._logger.info("%s: failed too often, and is not restarted: %s", entry.id, error_text(error))
            self._remove(entry, limit)

    def _on_fatal(self, entry: Entry, error: BaseException) -> None:
        if self._policy.replaces(error, self._fatal):
            self._fatal = error
        self._logger.error("%s: failed, which is fatal: %s", entry.id, error_text(error), exc_info=error)
        self._tell("fatal", entry, error)
        self._remove(entry, error)
        self._tomb.kill()

    def _on_internal_error(self, entry: Entry, error: BaseException | None, raised: BaseException) -> None:
        self._internal = self._internal or raised
        self._logger.error("%s: a callback failed while it was being judged", entry.id, exc_info=raised)
        if not entry.is_gone:
            self._remove(entry, error)
        self._tomb.kill()

    def _remove(self, entry: Entry, error: BaseException | None) -> None:
        del self.ids[entry.id]
        entry.is_gone = True
        entry.error = error
        if entry.changed is not None:
            entry.tell()
        if self._logger.isEnabledFor(logging.DEBUG):
            self._logger.debug("%s: removed", entry.id)
        if self._events is not None:
            self._tell("removed", entry)
        if not self.ids:
            self._die_if_all_are_gone()

    def _on_dying(self) -> None:
        self._logger.debug("%s: dying", self._tomb.name)
        if self._loop.is_closed():
            self._abandon()
            return
        for entry in list(self.ids.values()):
            self.stop(entry)
            if entry.changed is not None:
                entry.tell()
        self._die_if_all_are_gone()

    def _abandon(self) -> None:
        """End without a loop: nothing will ever tell of the workers' deaths."""
        for entry in self.ids.values():
            if entry.worker is not None:
                observe(entry.worker.kill)
        self.ids.clear()
        self._die_if_all_are_gone()

    def _die_if_all_are_gone(self) -> None:
        tomb = self._tomb
        if not self.ids and not self._judging and tomb.stop.is_set() and tomb.state != "dead":
            tomb.kill(self.error)
            tomb.release()

    def _tell(self, kind: Kind, entry: Entry, error: BaseException | None = None, delay: float | None = None) -> None:
        if self._events is not None:  # Asked before where it is hot: most runners have nobody who listens.
            observe(self._events, Event(kind, entry.path, self._clock.now(), error, delay))
