"""A place that many may visit while it is unlocked, and that one may have for itself once it is locked down.

The guard decides: while it is unlocked, guests come and go, any number at a time. A lockdown keeps newcomers out from
the call on, and returns when the last guest has left. It is born locked. There should be one guard: with several, the
last call wins.

It is no mutex: nobody holds it, and a guard that dies leaves it as it is.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

from undercroft.dependency.errors import OutputError
from undercroft.errors import AbortedError, DeadError, WorkerCancelled
from undercroft.worker.abort import unless_aborted
from undercroft.worker.latch import Latch
from undercroft.worker.lifecycle import TombWorker, outcome
from undercroft.worker.start import Start
from undercroft.worker.tomb import Tomb
from undercroft.worker.validation import require_callable
from undercroft_hookspecs.manifold import Abort, Context, Manifold

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from undercroft_hookspecs.worker import Worker

    Answer = asyncio.Future["AbortedError | DeadError | None"]

T = TypeVar("T")

# The visits that the running code is inside of, in tasks that it has made as well. Closed ones may linger.
_visits: ContextVar[tuple[_Visit, ...]] = ContextVar("undercroft_visits", default=())

# Strong references to the tasks that occupy a fortress for a worker: the loop has only weak ones.
_staying: set[asyncio.Task[None]] = set()


@runtime_checkable
class Guard(Protocol):
    """Decides whether guests may come in."""

    async def unlock(self) -> None:
        """Let in everybody who waits, and all who come; may be repeated. Does not suspend."""

    async def lockdown(self, *, abort: Abort | None = None) -> None:
        """Keep newcomers out, and return when the last visit has ended; may be repeated.

        Aborted or cancelled, it leaves the fortress locked, with guests still inside.

        Raises:
            AbortedError: the abort fired first, or an unlock has overtaken it.
            RuntimeError: it was called from inside a visit of this fortress, and would wait for itself. No effect.
            DeadError: the fortress is dying or dead.
        """


@runtime_checkable
class Guest(Protocol):
    """Comes in when it may."""

    async def visit(self, fn: Callable[[], Awaitable[T]], *, abort: Abort | None = None) -> T:
        """Wait for entry, then run `fn` in the caller's task, and give back its result or error.

        The abort matters only before entry.

        Raises:
            AbortedError: the abort fired first; `fn` was not called.
            DeadError: the fortress is dying or dead; `fn` was not called.
        """
        ...

    def visiting(self, *, abort: Abort | None = None) -> AbstractAsyncContextManager[None]:
        """Make the body of an `async with` a visit: entering waits, and raises, as `visit` does."""
        ...


class Fortress(TombWorker):
    """A Guard and a Guest, and the worker that both live by.

    Once it is killed, nobody comes in any more; it is dead when the last visit has ended.
    """

    __slots__ = ("_entering", "_lockdowns", "_locked", "_unlocks", "_visits")

    def __init__(self) -> None:
        self._tomb = Tomb("fortress")
        self._locked = True
        self._visits = 0
        self._unlocks = 0
        # Answers are values: an exception set on a future whose waiter is cancelled in that turn would be logged.
        self._entering: dict[Answer, None] = {}
        self._lockdowns: dict[Answer, None] = {}
        self._tomb.stop.subscribe(self._turn_away)

    async def unlock(self) -> None:
        """Let in everybody who waits, and all who come."""
        self._require_alive()
        self._locked = False
        self._unlocks += 1
        for lockdown in self._lockdowns:
            _answer(lockdown, AbortedError("an unlock has overtaken this lockdown"))
        entering, self._entering = self._entering, {}
        for entry in entering:
            if _answer(entry, None):
                self._admit()

    async def lockdown(self, *, abort: Abort | None = None) -> None:
        """Keep newcomers out from now on, and return when the last visit has ended."""
        if any(visit.fortress is self and visit.is_open for visit in _visits.get()):
            raise RuntimeError("a lockdown from inside a visit of the same fortress would wait for itself")
        self._require_alive()
        self._locked = True
        if self._visits == 0:
            return
        unlocks, answer = self._unlocks, asyncio.get_running_loop().create_future()
        self._lockdowns[answer] = None
        try:
            refusal = await unless_aborted(answer, abort)
        finally:
            del self._lockdowns[answer]
        if refusal is None and self._unlocks != unlocks:
            # The last guest had left, and the guard was about to be told, when somebody unlocked.
            refusal = AbortedError("an unlock has overtaken this lockdown")
        if refusal is not None:
            raise refusal

    async def visit(self, fn: Callable[[], Awaitable[T]], *, abort: Abort | None = None) -> T:
        """Wait for entry, then run `fn` in the caller's task, and give back its result or error."""
        async with self.visiting(abort=abort):
            return await fn()

    def visiting(self, *, abort: Abort | None = None) -> AbstractAsyncContextManager[None]:
        """Make the body of an `async with` a visit."""
        return _Visit(self, abort)

    def report(self) -> dict[str, object]:
        """Describe the lock, and how many guests are inside."""
        locked = "locking" if self._visits else "locked"
        return {"state": locked if self._locked else "unlocked", "visits": self._visits}

    async def _enter(self, abort: Abort | None) -> None:
        self._require_alive()
        if not self._locked:
            self._admit()
            return
        entry: Answer = asyncio.get_running_loop().create_future()
        self._entering[entry] = None
        try:
            refusal = await unless_aborted(entry, abort)
        except BaseException:
            self._entering.pop(entry, None)
            if entry.done() and not entry.cancelled() and entry.result() is None:
                self._leave()  # Let in, and cancelled before it took the first step.
            raise
        if refusal is not None:
            raise refusal

    def _admit(self) -> None:
        self._visits += 1
        self._tomb.hold()

    def _leave(self) -> None:
        self._visits -= 1
        if self._visits == 0 and self._locked:
            for lockdown in self._lockdowns:
                _answer(lockdown, None)
        self._tomb.release()

    def _turn_away(self) -> None:
        entering, self._entering = self._entering, {}
        for answer in (*entering, *self._lockdowns):
            _answer(answer, _shut_down())

    def _require_alive(self) -> None:
        if self._tomb.stop:
            raise _shut_down()


def manifold() -> Manifold:
    """Declare a fortress: a new one for each start, exposed as Guard and as Guest."""

    def start(_: Context) -> Worker:
        return Fortress()

    return Manifold(start=start, output=_output)


async def occupy(
    guest: Guest, start: Callable[[], Worker | Awaitable[Worker]], *, abort: Abort | None = None
) -> Worker:
    """Visit for a worker's whole life: enter, start it inside, and return it. The visit ends with the worker.

    The worker is the caller's, its error included; the visit outlives the caller. A start that fails ends the visit.
    Cancelling this before entry means that start is not called; during start it cancels that, and returns once what
    start has made is dead and the visit over.

    Raises:
        AbortedError: the abort fired before entry.
        DeadError: the fortress is dying or dead.
    """
    require_callable("start", start)
    stay = _Stay(guest, start, abort)
    try:
        await stay.begun.wait()
    except asyncio.CancelledError:
        stay.cancel()
        await stay.over.wait()
        if stay.failure is None:
            raise
    for error in (stay.failure, stay.refusal):
        if error is not None:
            raise error
    if stay.worker is None:
        raise WorkerCancelled("a visit was cancelled by somebody who had no part in it")
    return stay.worker


class _Visit:
    """One visit: a context manager that is entered once."""

    __slots__ = ("_abort", "fortress", "is_open")

    def __init__(self, fortress: Fortress, abort: Abort | None) -> None:
        self.fortress = fortress
        self.is_open = False
        self._abort = abort

    async def __aenter__(self) -> None:
        await self.fortress._enter(self._abort)
        self.is_open = True
        _visits.set((*_open_visits(), self))

    async def __aexit__(self, *_: object) -> None:
        self.is_open = False
        # Not reset by a token: a context manager may be left in another context than it was entered in.
        _visits.set(_open_visits())
        self.fortress._leave()


class _Stay:
    """A worker's stay: a task that visits, starts the worker, and leaves when it is dead."""

    def __init__(self, guest: Guest, start: Callable[[], Worker | Awaitable[Worker]], abort: Abort | None) -> None:
        self.begun = Latch()
        self.over = Latch()
        self.worker: Worker | None = None
        self.failure: BaseException | None = None
        self.refusal: BaseException | None = None
        self._start: Start | None = None
        self._started = Latch()
        self._unwanted = False
        self._task = asyncio.get_running_loop().create_task(self._run(guest, start, abort), name="occupy")
        _staying.add(self._task)
        self._task.add_done_callback(self._on_done)

    def cancel(self) -> None:
        """End the stay as soon as what start has made, or will have made, is dead."""
        self._unwanted = True
        if self._start is None:
            self._task.cancel()
        elif self.worker is not None:
            self.worker.kill()
        elif not self._start.cancel():
            self._started.fire()

    async def _run(self, guest: Guest, start: Callable[[], Worker | Awaitable[Worker]], abort: Abort | None) -> None:
        async with guest.visiting(abort=abort):
            self._start = Start(start, lambda _: self._started.fire(), context=copy_context(), name="occupy: start")
            await self._started.wait()
            self.worker, self.failure = self._start.worker, self._start.error
            if self.worker is not None:
                if self._unwanted:
                    self.worker.kill()
                self.begun.fire()
                await outcome(self.worker)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        _staying.discard(task)
        if not task.cancelled():
            self.refusal = task.exception()
        self.begun.fire()
        self.over.fire()


def _open_visits() -> tuple[_Visit, ...]:
    return tuple(visit for visit in _visits.get() if visit.is_open)


def _answer(waiter: Answer, answer: AbortedError | DeadError | None) -> bool:
    """Answer a waiter; say whether it was still waiting."""
    if waiter.done():
        return False
    with suppress(RuntimeError):  # The loop is closed: nobody waits there any more.
        waiter.set_result(answer)
    return True


def _shut_down() -> DeadError:
    return DeadError("the fortress is shutting down")


def _output(worker: Worker, kind: type) -> object:
    if not isinstance(worker, Fortress):
        raise OutputError(f"a fortress' output was asked about {worker!r}, which is none")
    if kind is not Guard and kind is not Guest:
        raise OutputError(f"a fortress is exposed as Guard or as Guest, not as {kind!r}")
    return worker
