"""A flat set of named workers, each restarted when it fails; all die together on a fatal error."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from undercroft.clock import SystemClock
from undercroft.errors import DeadError
from undercroft.worker.abort import unless_aborted
from undercroft.worker.backoff import RESTART_DELAY
from undercroft.worker.crew import Crew
from undercroft.worker.latch import Latch
from undercroft.worker.lifecycle import TombWorker
from undercroft.worker.policy import Policy, RestartDelay
from undercroft.worker.reporting import error_text
from undercroft.worker.tomb import Tomb
from undercroft.worker.validation import require_callable, require_name, require_number
from undercroft_hookspecs.errors import AlreadyExistsError, NotFoundError

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from undercroft.worker.entry import Entry
    from undercroft.worker.reporting import Metrics
    from undercroft_hookspecs.manifold import Abort
    from undercroft_hookspecs.worker import Clock, Event, Worker


class Runner(TombWorker):
    """Keeps workers running, each under an id; itself a worker, and a reporter.

    An id is starting, started or stopping, and then gone. There is never more than one incarnation of it: the next
    start comes only after the last worker's `wait` has returned.

    When a worker or its start ends cleanly, the id is removed. An error that is fatal is the runner's result: all ids
    are stopped, and `wait` raises it. This is asked of every error, also of those that come while something is being
    stopped. After any other error, unless the id is being stopped or `should_restart` says no, there is another attempt
    when the restart delay has passed.

    `is_fatal` says yes to everything unless it is given, `should_restart` too; `more_important(new, kept)` chooses
    between fatal errors, of which the first is kept otherwise. `restart_delay` is seconds, a `Backoff`, or a function
    of the number of consecutive failures and the last error. A callback of these that raises ends the runner with that
    exception.

    `events` is told of every transition. `restart_limit=(n, window)` turns the failure that would cause more than n
    restarts of an id within so many seconds into a RestartLimitError, which is fatal or ends that id. A worker that is
    still alive `kill_timeout` seconds after its kill is logged and reported as hung; the runner goes on waiting for it.

    Raises:
        NotValidError: an argument is of no use; its field says which.
    """

    __slots__ = ("_crew",)

    def __init__(
        self,
        name: str,
        *,
        is_fatal: Callable[[Exception], bool] | None = None,
        should_restart: Callable[[Exception], bool] | None = None,
        more_important: Callable[[Exception, Exception], bool] | None = None,
        restart_delay: RestartDelay = RESTART_DELAY,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        logger: logging.Logger | None = None,
        metrics: Metrics | None = None,
        events: Callable[[Event], None] | None = None,
        restart_limit: tuple[int, float] | None = None,
        kill_timeout: float | None = None,
    ) -> None:
        require_name("name", name)
        policy = Policy(
            is_fatal=is_fatal,
            should_restart=should_restart,
            more_important=more_important,
            restart_delay=restart_delay,
            restart_limit=restart_limit,
            rng=rng,
        )
        require_callable("events", events, optional=True)
        require_number("kill_timeout", kill_timeout, optional=True)
        clock = clock or SystemClock()
        self._tomb = Tomb(name, clock=clock)
        self._crew = Crew(
            self._tomb,
            policy,
            clock=clock,
            logger=logger or logging.getLogger("undercroft.runner"),
            metrics=metrics,
            events=events,
            kill_timeout=kill_timeout,
        )

    async def start_worker(self, id: str, start: Callable[[], Worker | Awaitable[Worker]]) -> None:  # noqa: A002
        """Register an id, with the function that starts its worker, now and after each failure.

        Does not suspend: when this returns the id is known, and `start` has not been called. It is called in a task of
        its own, in a copy of the present context, and may be plain or async.

        Raises:
            DeadError: the runner is dying or dead.
            NotValidError: `id` or `start`.
            AlreadyExistsError: the id is known, in whatever state.
        """
        self._refuse_if_dying()
        require_name("id", id)
        require_callable("start", start)
        if id in self._crew.ids:
            raise AlreadyExistsError(id, f"runner {self._tomb.name!r} has a worker {id!r} already")
        self._crew.add(id, start)

    async def stop_worker(self, id: str) -> None:  # noqa: A002
        """Ask for the stop of an id, without waiting for it; one that is unknown is nothing. Does not suspend.

        Raises:
            DeadError: the runner is dying or dead.
        """
        self._refuse_if_dying()
        entry = self._crew.ids.get(id)
        if entry is not None:
            self._crew.stop(entry)

    async def stop_and_remove_worker(self, id: str, *, abort: Abort | None = None) -> None:  # noqa: A002
        """Ask for the stop of an id, and wait until it is gone; raises what its worker or start ended with.

        Once asked for, the stop stays so, whatever becomes of the caller; and this completes even if the runner starts
        dying.

        Raises:
            DeadError: the runner is dying or dead at the call.
            NotFoundError: the id is unknown.
            AbortedError: the abort fired first, or had fired before.
        """
        self._refuse_if_dying()
        entry = self._known(self._crew.ids.get(id), id)
        self._crew.stop(entry)
        while not entry.is_gone:
            await _change(entry, abort)
        if entry.error is not None:
            raise entry.error

    async def worker(self, id: str, *, abort: Abort | None = None) -> Worker:  # noqa: A002
        """Give the live worker of an id, waiting for it to come up if need be.

        Raises:
            DeadError: the runner is dying or dead, or starts to be.
            NotFoundError: the id is unknown, or is gone before it has a worker.
            AbortedError: the abort fired first.
        """
        entry = self._crew.ids.get(id)
        while True:
            self._refuse_if_dying()
            entry = self._known(entry, id)
            worker = entry.live_worker
            if worker is not None:
                return worker
            await _change(entry, abort)

    def worker_names(self) -> list[str]:
        """The ids, in order of registration, whatever they are doing."""
        return list(self._crew.ids)

    def report(self) -> dict[str, object]:
        """Describe the runner and every id. Works at any time, also when dead."""
        state = {"alive": "started", "dying": "stopping", "dead": "stopped"}[self._tomb.state]
        report: dict[str, object] = {"name": self._tomb.name, "state": state}
        if self._crew.error is not None:
            report["error"] = error_text(self._crew.error)
        report["workers"] = {entry.id: entry.report() for entry in list(self._crew.ids.values())}
        return report

    def _refuse_if_dying(self) -> None:
        if self._tomb.stop.is_set():
            raise DeadError(f"runner {self._tomb.name!r} is dying or dead")

    def _known(self, entry: Entry | None, name: str) -> Entry:
        if entry is None or entry.is_gone:
            raise NotFoundError(name, f"runner {self._tomb.name!r} has no worker {name!r}")
        return entry


async def _change(entry: Entry, abort: Abort | None) -> None:
    """Wait for a change of an id, unless the abort fires first."""
    if entry.changed is None:
        entry.changed = Latch()
    changed, future = entry.changed, asyncio.get_running_loop().create_future()
    changed.subscribe(future)
    try:
        await unless_aborted(future, abort)
    finally:
        changed.unsubscribe(future)
