"""System calls that may hang: each in a thread of its own, which is given up when it takes too long.

A call that hangs in the kernel (the disk is gone, a filesystem is frozen) cannot be interrupted. In the loop's executor
such calls would soon hold up all else, and the end of the process. Here one is left alone, and known by what it is
about: until it comes back nothing else is to be begun about that.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import sys
import threading
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from undercroft.clock import SystemClock, alarm

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from undercroft_hookspecs import Clock

P = ParamSpec("P")
T = TypeVar("T")

CALL_SECONDS = 300.0
"""No call that the provisioner makes of the kernel should take as long, however slow the disk."""
LEAVE_SECONDS = 5.0
"""How long a call is waited for that nobody wants any more: what it does is not to overlap with what comes next."""


BUSY_SECONDS = 3.0
LOOK_SECONDS = 0.01


class Hangs:
    """The calls that have been given up and still hang, by what they are about.

    It outlives the worker that made the calls: the next one is not to begin what the kernel is still busy with.
    """

    def __init__(self, *, call_seconds: float = CALL_SECONDS, leave_seconds: float = LEAVE_SECONDS) -> None:
        self.call_seconds, self.leave_seconds = call_seconds, leave_seconds
        self._hanging: dict[Hashable, set[threading.Thread]] = {}

    def hangs(self, what: Hashable) -> bool:
        """Whether a call about that has not come back."""
        threads = self._hanging.get(what, set())
        threads -= {thread for thread in threads if not thread.is_alive()}
        if not threads:
            self._hanging.pop(what, None)
        return bool(threads)

    @contextlib.contextmanager
    def about(self, what: Hashable, returned: Callable[[], object] = lambda: None) -> Iterator[None]:
        """Calls in this block are about that; `returned` is called on the loop when one comes back that was given up.

        Raises:
            TimeoutError: one that was begun before still hangs.
        """
        if self.hangs(what):
            raise TimeoutError("what was begun before has not come back: the kernel, or the disk, hangs")
        token = _patience.set(_Patience(self, what, returned))
        try:
            yield
        finally:
            _patience.reset(token)

    def add(self, what: Hashable, thread: threading.Thread) -> None:
        """A call about that is given up."""
        self._hanging.setdefault(what, set()).add(thread)

    def remove(self, what: Hashable, thread: threading.Thread) -> None:
        """It has come back."""
        self._hanging.get(what, set()).discard(thread)


@dataclass(frozen=True, slots=True)
class _Patience:
    """What the calls of a task are about."""

    hangs: Hangs
    what: Hashable
    returned: Callable[[], object]


_patience: ContextVar[_Patience | None] = ContextVar("undercroft_storage_patience", default=None)


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `work` in a thread of its own, and wait for it, a little even if cancelled: what it gave is lost then.

    Raises:
        TimeoutError: it has not come back.
    """
    patience = _patience.get() or _Patience(Hangs(), None, lambda: None)
    call = _Call(functools.partial(work, *args, **kwargs), patience)
    timer = alarm(SystemClock(), patience.hangs.call_seconds, call.give_up)
    try:
        return await asyncio.shield(call.outcome)
    except asyncio.CancelledError:
        timer.cancel()
        timer = alarm(SystemClock(), patience.hangs.leave_seconds, call.give_up)
        while not call.outcome.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((call.outcome,))
        if not call.outcome.cancelled():
            call.outcome.exception()  # Marks it as seen: nobody else will ask for it.
        raise
    finally:
        timer.cancel()


async def unless_busy(clock: Clock, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As `in_thread`, again while a device is somebody's own: who looks whether it is in use has it for a moment."""
    waited = 0.0
    while True:
        try:
            return await in_thread(work, *args, **kwargs)
        except OSError as error:
            if error.errno != errno.EBUSY or waited >= BUSY_SECONDS:
                raise
        await clock.sleep(LOOK_SECONDS)
        waited += LOOK_SECONDS


class _Call:
    """One call, under way from the moment that this is made."""

    def __init__(self, work: Callable[[], object], patience: _Patience) -> None:
        self._work, self._patience = work, patience
        self._loop = asyncio.get_running_loop()
        # Any: what the work gives, which `in_thread` promises.
        self.outcome: asyncio.Future[Any] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="storage", daemon=True)
        self._thread.start()

    def give_up(self) -> None:
        """It takes too long: whoever waits for it is told so, and it goes on by itself."""
        if not self.outcome.done():
            self._patience.hangs.add(self._patience.what, self._thread)
            where = _where(self._thread)
            message = f"a call has not come back for too long: the kernel, or the disk, hangs{where}; it is left alone"
            self.outcome.set_exception(TimeoutError(message))

    def _run(self) -> None:
        try:
            done = functools.partial(self._on_return, self._work(), None)
        except BaseException as error:  # It is raised where the call was made.
            done = functools.partial(self._on_return, None, error)
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            self._loop.call_soon_threadsafe(done)

    def _on_return(self, result: object, error: BaseException | None) -> None:
        if self.outcome.done():
            self._patience.hangs.remove(self._patience.what, self._thread)
            self._patience.returned()
        elif error is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(result)


def _where(thread: threading.Thread) -> str:
    """Which function a thread is in, for whoever looks for what hangs."""
    frame = sys._current_frames().get(thread.ident or 0)
    return f" ({frame.f_code.co_qualname})" if frame is not None else ""
