"""Ticks on the system's clock at little more than the price of the loop's own timer.

A task that sleeps between its calls is woken for each of them, which costs more than the timer. Most calls end
without waiting for anything: those are made by the timer's callback, and the task goes on sleeping. But code that runs
outside of a task cannot use `asyncio.timeout`, task groups or `current_task`. So while it makes a call the callback
enters the task, as asyncio lets whoever writes a task class do; a call that has to wait is handed to the task, which
goes on with it from there. Context variables are the task's own all along.
"""

from __future__ import annotations

import asyncio
from types import CoroutineType, coroutine
from typing import TYPE_CHECKING

from undercroft.worker.timetable import Timetable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator
    from contextvars import Context

    from undercroft.worker.tomb import Stop


class Ticker:
    """Calls at once, and then again `pause()` seconds after each call has ended, until the stop.

    `run` is the task's body, and `context` must be the context which that task was made with.
    """

    __slots__ = (
        "_begun", "_call", "_due", "_error", "_loop", "_parked", "_pause", "_stop", "_task", "_timetable",
        "_waits_for", "context",
    )  # fmt: skip

    _loop: asyncio.AbstractEventLoop
    _stop: Stop
    _task: asyncio.Task[object]
    _timetable: Timetable

    def __init__(self, call: Callable[[Stop], Awaitable[None]], pause: Callable[[], float], context: Context) -> None:
        self._call = call
        self._pause = pause
        self.context = context
        self._due: int | None = None
        self._parked: asyncio.Future[None] | None = None
        self._begun: Coroutine[object, object, object] | None = None
        self._waits_for: object = None
        self._error: BaseException | None = None

    async def run(self, stop: Stop) -> None:
        """Tick until the stop, or raise what a call raises."""
        task = asyncio.current_task()
        assert task is not None
        self._loop, self._stop, self._task = asyncio.get_running_loop(), stop, task
        self._timetable = Timetable.enter()
        stop.subscribe(self._on_stop)
        try:
            if not stop:
                await self._call(stop)
            while not stop:
                self._due = self._timetable.wait(self, self._pause())
                await self._next_that_waits()
        finally:
            stop.unsubscribe(self._on_stop)
            self._disarm()
            self._timetable.leave()

    async def _next_that_waits(self) -> None:
        """Sleep until a call has to wait, and go on with it; also until one has failed, or the stop."""
        cancelled: asyncio.CancelledError | None = None
        self._parked = self._loop.create_future()
        try:
            await self._parked
        except asyncio.CancelledError as error:
            if self._error is None and self._begun is None:
                raise
            cancelled = error
        finally:
            self._parked = None
        if self._error is not None:
            raise self._error
        begun, self._begun = self._begun, None
        if begun is not None:
            await _go_on(begun, self._waits_for, cancelled)

    def on_due(self) -> None:
        """Make a call. Never raises: an error is the task's. Written for speed: this is all that most ticks are."""
        if self._due is None:  # The stop has come first.
            return
        self._due = None
        loop, stop = self._loop, self._stop
        asyncio._enter_task(loop, self._task)
        try:
            made = self._call(stop)
            if type(made) is CoroutineType:
                try:
                    self._waits_for = made.send(None)
                except StopIteration:
                    if not stop.is_set():
                        self._due = self._timetable.wait(self, self._pause())
                    return
                self._begun = made
            else:
                self._begun, self._waits_for = _wait_for(made), None
        except BaseException as error:  # The task raises it, where the tomb sees it.
            self._error = error
        finally:
            asyncio._leave_task(loop, self._task)
        self._wake()

    def _disarm(self) -> None:
        if self._due is not None:
            self._timetable.give_up(self, self._due)
            self._due = None

    def _on_stop(self) -> None:
        self._disarm()
        self._wake()

    def _wake(self) -> None:
        if self._parked is not None and not self._parked.done() and not self._loop.is_closed():
            self._parked.set_result(None)


async def _wait_for(awaitable: Awaitable[None]) -> None:
    await awaitable


@coroutine
def _go_on(
    begun: Coroutine[object, object, object], waits_for: object, error: BaseException | None
) -> Generator[object, object, None]:
    """Go on with a coroutine that has been begun elsewhere and waits; or raise `error` where it waits."""
    try:
        while True:
            if error is not None:
                thrown, error = error, None
                waits_for = begun.throw(thrown)
            try:
                answer = yield waits_for
            except BaseException as raised:  # Cancellation, mostly: it belongs to the coroutine.
                error = raised
            else:
                waits_for = begun.send(answer)
    except StopIteration:
        return
