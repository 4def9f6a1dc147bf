"""A worker that makes one call again and again, with a pause between the end of each and the start of the next."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Protocol

from undercroft.clock import SystemClock, alarm
from undercroft.errors import Killed, caused_by
from undercroft.worker.lifecycle import TombWorker
from undercroft.worker.ticker import Ticker
from undercroft.worker.tomb import Stop, Tomb
from undercroft.worker.validation import require_callable, require_number, require_positive

if TYPE_CHECKING:
    from undercroft.clock import Alarm
    from undercroft_hookspecs.worker import Clock


class PeriodicTimer(Protocol):
    """A timer that can be set again and again."""

    def reset(self, delay: float) -> bool:
        """Count down anew, and drop an expiry that nobody took; say whether it was still counting."""
        ...

    async def countdown(self) -> None:
        """Return at expiry, once per reset."""


class Timer:
    """A timer on a clock, counting from its making.

    An expiry waits for whoever asks next, and is taken by one caller of `countdown` only.
    """

    __slots__ = ("_alarm", "_clock", "_has_expired", "_takers")

    def __init__(self, delay: float, clock: Clock | None = None) -> None:
        require_number("delay", delay)
        self._clock = clock or SystemClock()
        self._has_expired = False
        self._takers: list[asyncio.Future[None]] = []
        self._alarm: Alarm | None = alarm(self._clock, delay, self._on_expiry)

    def reset(self, delay: float) -> bool:
        """Count down anew, and drop an expiry that nobody took; say whether it was still counting."""
        require_number("delay", delay)
        was_counting = self.cancel()
        self._alarm = alarm(self._clock, delay, self._on_expiry)
        return was_counting

    def cancel(self) -> bool:
        """Stop counting, and drop an expiry that nobody took, until a reset; say whether it was still counting."""
        self._has_expired = False
        counting, self._alarm = self._alarm, None
        if counting is not None:
            counting.cancel()
        return counting is not None

    async def countdown(self) -> None:
        """Return at expiry, once per reset. Cancelling this leaves the timer as it is."""
        while not self._has_expired:
            woken = asyncio.get_running_loop().create_future()
            self._takers.append(woken)
            try:
                await woken
            finally:
                self._takers.remove(woken)
        self._has_expired = False

    def _on_expiry(self) -> None:
        self._alarm = None
        self._has_expired = True
        for taker in self._takers:
            if not taker.done():
                taker.set_result(None)


class PeriodicWorker(TombWorker):
    """Makes a call at once, and then again `period` seconds after each call has ended, until it is killed.

    So calls never overlap, and what is missed is not caught up on. With jitter j the pause is drawn anew each time,
    from [period * (1 - j), period * (1 + j)). No call starts after a kill. A call that raises `Killed` ends the worker
    cleanly, asked to or not; any other error ends it with that error. `grace` is what a kill does to a call that is
    being made: None nothing, it is expected to heed its stop; 0 cancels it at once, x cancels it x seconds later.

    `new_timer` makes the one timer that is used, of its own making, in place of a `Timer` on the clock.

    Raises:
        NotValidError: call, period (not greater than 0), new_timer, jitter (not in [0, 1)) or grace is of no use.
    """

    __slots__ = ("_call", "_jitter", "_new_timer", "_period", "_rng")

    def __init__(
        self,
        call: Callable[[Stop], Awaitable[None]],
        period: float,
        *,
        new_timer: Callable[[float], PeriodicTimer] | None = None,
        jitter: float = 0.0,
        grace: float | None = None,
        name: str | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        require_callable("call", call)
        require_positive("period", period)
        require_callable("new_timer", new_timer, optional=True)
        require_number("jitter", jitter, below=1.0)
        require_number("grace", grace, optional=True)
        self._call = call
        self._period = period
        self._jitter = jitter
        self._rng = rng
        self._new_timer = new_timer or partial(Timer, clock=clock)
        self._tomb = Tomb(name or "periodic", clock=clock)
        if new_timer is None and (clock is None or type(clock) is SystemClock):
            context = copy_context()
            ticker = Ticker(call, self._pause, context)
            self._tomb.call(lambda stop: _unless_killed(ticker.run(stop)), grace=grace, context=context)
        else:
            self._tomb.call(lambda stop: _unless_killed(self._run(stop)), grace=grace)

    def _pause(self) -> float:
        if not self._jitter:
            return self._period
        draw = random.random if self._rng is None else self._rng.random
        return self._period * (1.0 + self._jitter * (2.0 * draw() - 1.0))

    async def _run(self, stop: Stop) -> None:
        if stop:
            return
        timer = self._new_timer(0)
        try:
            while await _expires(timer, stop):
                await self._call(stop)
                if stop:
                    return
                timer.reset(self._pause())
        finally:
            if isinstance(timer, Timer):
                timer.cancel()


async def _unless_killed(calls: Awaitable[None]) -> None:
    try:
        await calls
    except Exception as error:
        if caused_by(error, Killed) is None:
            raise


async def _expires(timer: PeriodicTimer, stop: Stop) -> bool:
    """Wait for the timer or the stop; say whether it was the timer alone."""
    task = asyncio.current_task()
    assert task is not None
    stop.subscribe(task.cancel)
    try:
        await timer.countdown()
    except asyncio.CancelledError:
        if not stop:
            raise
    finally:
        stop.unsubscribe(task.cancel)
    return not stop
