"""The lifecycle cell under every worker: alive, dying, dead, and the reason.

A tomb owns tasks. One that fails kills the tomb with its error at once; one that ends cleanly kills it only if it was
the last. The tomb is dead when it is dying and every task has ended. The first reason that is not None sticks, even
behind a clean kill; at death it is frozen.

Supervisors, which have ids or children in place of tasks, `hold` the tomb while they have some.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from inspect import CO_COROUTINE
from types import CodeType
from typing import TYPE_CHECKING, Literal, TypeVar, cast

from undercroft.clock import SystemClock, alarm
from undercroft.errors import DeadError, WorkerCancelled
from undercroft.worker.latch import Latch
from undercroft.worker.validation import require_number
from undercroft_hookspecs.errors import UndercroftError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from contextvars import Context
    from types import TracebackType

    from undercroft_hookspecs.worker import Clock

    Work = Callable[["Stop"], Awaitable[object]]
    Watcher = Callable[[BaseException | None], object]

T = TypeVar("T")

# The loop refers to a waiting task only weakly, and a worker may be dropped by who made it: what runs is held here.
_running: dict[asyncio.Task[object], Tomb] = {}


class Stop(Latch):
    """Read-only for whoever is handed it: "you are asked to stop". Also true once that is so."""

    __slots__ = ("_clock",)

    def __init__(self, clock: Clock | None) -> None:
        self._fired = False
        self._subscribers = None
        self._clock = clock

    def __bool__(self) -> bool:
        return self._fired

    @property
    def clock(self) -> Clock:
        """What `sleep` goes by."""
        return self._clock or SystemClock()

    async def sleep(self, delay: float) -> bool:
        """Sleep for `delay` seconds of the worker's clock, or until the stop; say whether there was one.

        True at once if the stop had been asked for already; a stop in the same turn as the end of the sleep wins.
        """
        if self._fired:
            return True
        if delay <= 0:
            await self.clock.sleep(0)
            return self._fired
        woken = asyncio.get_running_loop().create_future()
        self.subscribe(woken)
        timer = alarm(self.clock, delay, lambda: None if woken.done() else woken.set_result(None))
        try:
            await woken
        finally:
            timer.cancel()
            self.unsubscribe(woken)
        return self._fired


class Tomb:
    """A lifecycle, and the tasks that live by it. Needs a running loop; `kill` alone may be called from anywhere."""

    __slots__ = (
        "_death", "_graces", "_is_dead", "_loop", "_reason", "_running", "_traceback", "_watchers", "name", "stop",
    )  # fmt: skip

    def __init__(self, name: str = "tomb", *, clock: Clock | None = None) -> None:
        self.name = name
        self._loop = asyncio.get_running_loop()
        self.stop = Stop(clock)
        self._is_dead = False
        self._death: Latch | None = None
        self._reason: BaseException | None = None
        self._traceback: TracebackType | None = None
        self._watchers: Watcher | tuple[Watcher, ...] | None = None
        self._running = 0
        self._graces: dict[asyncio.Task[object], float] | None = None

    @property
    def state(self) -> Literal["alive", "dying", "dead"]:
        """Where in its life it is."""
        if self._is_dead:
            return "dead"
        return "dying" if self.stop.is_set() else "alive"

    @property
    def reason(self) -> BaseException | None:
        """The error that it dies or died of; None while alive, or if it is clean."""
        return self._reason

    def kill(self, reason: BaseException | None = None) -> None:
        """Begin to die, or add a reason to a clean dying. Never raises, from any thread, whatever the loop is doing."""
        try:
            is_here = asyncio.get_running_loop() is self._loop
        except RuntimeError:  # No loop runs in this thread.
            is_here = False
        if not is_here:
            try:
                self._loop.call_soon_threadsafe(self._kill, reason)
            except RuntimeError:  # The loop is closed: no other thread is in here.
                is_here = True
        if is_here:
            self._kill(reason)

    def go(
        self, coro: Coroutine[object, object, object], *, name: str | None = None, grace: float | None = None
    ) -> asyncio.Task[None]:
        """Run a coroutine as one of the tomb's tasks; its error is the tomb's, and the task itself ends with None.

        `grace` is what a kill does to it: None nothing, 0 cancels it at once, x cancels it x seconds later.

        Raises:
            DeadError: the tomb is dead; the coroutine is closed.
        """
        try:
            task = self.call(lambda _: coro, name=name, grace=grace)
        except BaseException:
            coro.close()
            raise
        task.add_done_callback(lambda _: coro.close())  # It has begun, unless its task was cancelled before.
        return task

    def call(
        self,
        work: Work,
        *,
        name: str | None = None,
        grace: float | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[None]:
        """Call `work` with the stop, in a task of the tomb: like `go`, for what is not yet a coroutine."""
        return self._own(self._run(work), name, grace, context)

    def call_alone(self, work: Work, *, grace: float | None = None) -> None:
        """Call `work` with the stop, in the only task that the tomb will have.

        That saves the coroutine which `call` puts around work, so that its error is known in the very turn it is
        raised in, and other tasks are told. Here it is known when the task has ended.
        """
        if _is_async_function(work):
            try:
                coro = work(self.stop)
            except TypeError:  # It wants other arguments, which is a failure of the work, and not of this call.
                self.call(work, grace=grace)
            else:
                self._own(cast("Coroutine[object, object, object]", coro), None, grace, None)
        else:
            self.call(work, grace=grace)

    def _own(
        self,
        coro: Coroutine[object, object, T],
        name: str | None,
        grace: float | None,
        context: Context | None,
    ) -> asyncio.Task[T]:
        if grace is not None or self._is_dead:
            self._refuse(coro, grace)
        if context is None:
            context = copy_context()  # One for the task and its callback: they would make a copy each.
        task = self._loop.create_task(coro, name=name or self.name, context=context)
        _running[task] = self
        self._running += 1
        task.add_done_callback(_on_done, context=context)
        if grace is not None:
            if self._graces is None:
                self._graces = {}
            self._graces[task] = grace
            if self.stop.is_set():
                self._begin_grace(task, grace)
        return task

    def _refuse(self, coro: Coroutine[object, object, object], grace: float | None) -> None:
        """Close the coroutine, and raise, if the grace is of no use or the tomb is dead."""
        try:
            require_number("grace", grace, optional=True)
            if self._is_dead:
                raise DeadError(f"{self.name} is dead")
        except UndercroftError:
            coro.close()
            raise

    def hold(self) -> None:
        """Stay undead until `release`, as if one more task ran."""
        self._running += 1

    def release(self) -> None:
        """End a `hold`: death, if the tomb is dying and this was the last. It does not kill by itself."""
        self._running -= 1
        if self._running == 0 and self.stop.is_set():
            self._die()

    def when_dead(self, callback: Callable[[BaseException | None], object]) -> None:
        """Call back once with the reason, from the loop, at death or a turn later; never before this returns."""
        if self._is_dead:
            self._loop.call_soon(callback, self._reason)
        elif self._watchers is None:
            self._watchers = callback
        elif isinstance(self._watchers, tuple):
            self._watchers = (*self._watchers, callback)
        else:
            self._watchers = (self._watchers, callback)

    async def wait_dying(self) -> None:
        """Return when dying has begun."""
        await self.stop.wait()

    async def wait(self) -> None:
        """Return at a clean death, or raise the reason: always the same object, its traceback as it was recorded."""
        if not self._is_dead:
            if self._death is None:
                self._death = Latch()
            await self._death.wait()
        if self._reason is not None:
            raise self._reason.with_traceback(self._traceback)

    async def _run(self, work: Work) -> None:
        try:
            await work(self.stop)
        except asyncio.CancelledError:
            self._on_cancelled()
        except (SystemExit, KeyboardInterrupt) as error:
            self._kill(error)
            raise
        except GeneratorExit:  # The loop has gone, and this coroutine with it.
            raise
        except BaseException as error:
            self._kill(error)

    def _on_cancelled(self) -> None:
        if not self.stop.is_set():
            self._kill(WorkerCancelled(f"{self.name} was cancelled by somebody who is not its supervisor"))

    def _on_done(self, task: asyncio.Task[object]) -> None:
        if self._graces is not None:
            self._graces.pop(task, None)
        if task.cancelled():
            self._on_cancelled()
        elif (error := task.exception()) is not None:
            self._kill(error)
        self._running -= 1
        if self._running == 0:
            if self.stop.is_set():
                self._die(tell_now=True)
            else:
                self._kill(None)

    def _kill(self, reason: BaseException | None) -> None:
        if self._is_dead:
            return
        if reason is not None and self._reason is None:
            self._reason = as_reason(reason, self.name)
            self._traceback = self._reason.__traceback__
        if not self.stop.is_set():
            self._running += 1  # What the stop sets off may end the last task; death comes after all have been told.
            self.stop.fire()
            if self._graces is not None:
                for task, grace in tuple(self._graces.items()):
                    self._begin_grace(task, grace)
            self._running -= 1
        if self._running == 0:
            self._die()

    def _begin_grace(self, task: asyncio.Task[object], grace: float) -> None:
        if self._loop.is_closed():
            return
        if grace == 0:
            task.cancel()
        else:
            timer = alarm(self.stop.clock, grace, task.cancel, loop=self._loop)
            task.add_done_callback(lambda _: timer.cancel())

    def _die(self, *, tell_now: bool = False) -> None:
        self._is_dead = True
        self._graces = None
        if self._death is not None:
            self._death.fire()
        watchers, self._watchers = self._watchers, None
        if watchers is None:
            return
        if tell_now and not isinstance(watchers, tuple):  # This is a turn of the loop with nothing else to be done in.
            watchers(self._reason)
            return
        for callback in watchers if isinstance(watchers, tuple) else (watchers,):
            try:
                self._loop.call_soon(callback, self._reason)
            except RuntimeError:  # The loop is closed: nobody watches there any more.
                return


def _on_done(task: asyncio.Task[object]) -> None:
    """One function for all tasks: a bound method would be one more object for each."""
    _running.pop(task)._on_done(task)


def _is_async_function(work: Work) -> bool:
    code = getattr(work, "__code__", None)
    return isinstance(code, CodeType) and bool(code.co_flags & CO_COROUTINE)


def as_reason(error: BaseException, name: str) -> BaseException:
    """Never let a CancelledError stand as the reason: it would say that whoever waits was cancelled."""
    if isinstance(error, asyncio.CancelledError):
        cancelled = WorkerCancelled(f"{name} was killed with CancelledError")
        cancelled.__cause__ = error
        return cancelled
    return error
