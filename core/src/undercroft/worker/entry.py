"""What a runner knows of one id."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from undercroft.worker.lifecycle import is_known_dead
from undercroft.worker.reporting import error_text, report_of, time_text
from undercroft.worker.start import worker_context

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Awaitable, Callable
    from contextvars import Context
    from datetime import datetime

    from undercroft.clock import Alarm
    from undercroft.worker.crew import Crew
    from undercroft.worker.latch import Latch
    from undercroft.worker.start import Start
    from undercroft_hookspecs.worker import Worker


class Entry:
    """One id, from its registration until it is gone.

    There is at most one of: an alarm, which ends the wait for the next attempt; an attempt to start; a worker. None of
    them means that its last end is being judged at this moment.
    """

    __slots__ = (
        "alarm", "attempt", "begin", "changed", "context", "crew", "delay", "error", "failures", "id", "is_gone",
        "is_hung", "is_shown", "is_stopping", "path", "patience", "restarts", "since", "start_count", "started_at",
        "worker",
    )  # fmt: skip

    def __init__(self, crew: Crew, name: str, path: str, begin: Callable[[], Worker | Awaitable[Worker]]) -> None:
        self.crew = crew
        self.id = name
        self.path = path
        self.begin = begin
        self.context: Context = worker_context(path)
        self.alarm: Alarm | None = None
        self.attempt: Start | None = None
        self.worker: Worker | None = None
        self.is_stopping = False
        self.is_shown = False  # The worker may be handed to those who ask for it.
        self.is_gone = False
        self.is_hung = False
        self.delay = 0.0
        self.failures = 0
        self.start_count = 0
        self.since: float | None = None
        self.started_at: datetime | None = None
        self.error: BaseException | None = None  # The last failure; once gone, what it ended with.
        self.restarts: deque[float] | None = None
        self.changed: Latch | None = None
        self.patience: Alarm | None = None

    @property
    def state(self) -> Literal["starting", "started", "stopping"]:
        """Where in its life it is, as reports have it."""
        if self.is_stopping:
            return "stopping"
        return "starting" if self.worker is None else "started"

    @property
    def live_worker(self) -> Worker | None:
        """The worker to hand out, if there is one: never one that is dead, or asked to stop."""
        if self.worker is None or self.is_stopping or not self.is_shown or is_known_dead(self.worker):
            return None
        return self.worker

    def on_delay_over(self) -> None:
        """The delay before the next attempt has passed."""
        self.delay = 0.0
        self.crew.attempt(self)

    def on_attempt_ended(self, attempt: Start) -> None:
        """The start function has ended, one way or another."""
        self.attempt = None
        self.crew.on_attempt_ended(self, attempt)

    def on_death(self, error: BaseException | None) -> None:
        """The worker has died."""
        self.crew.on_death(self, error)

    def on_patience_lost(self) -> None:
        """What was asked to stop is still there after the kill timeout."""
        self.crew.on_patience_lost(self)

    def tell(self) -> None:
        """Wake whoever waits for a change."""
        changed, self.changed = self.changed, None
        if changed is not None:
            changed.fire()

    def end_patience(self) -> None:
        """Forget the kill timeout: what it was for has ended."""
        self.is_hung = False
        if self.patience is not None:
            self.patience.cancel()
            self.patience = None

    def report(self) -> dict[str, object]:
        """Describe it to people."""
        report: dict[str, object] = {"state": self.state}
        if self.start_count:
            report["start-count"] = self.start_count
        if self.started_at is not None:
            report["started"] = time_text(self.started_at)
        if self.error is not None:
            report["error"] = error_text(self.error)
        if self.alarm is not None and self.delay:
            report["delay"] = self.delay
        if self.started_at is not None and (own := report_of(self.worker)) is not None:
            report["report"] = own
        if self.is_hung:
            report["hung"] = True
        return report
