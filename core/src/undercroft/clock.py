"""Time. The only module that reads it or sleeps; everything else is given a `Clock`."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from undercroft_hookspecs.worker import Clock


class SystemClock:
    """The machine's own time."""

    __slots__ = ()

    def now(self) -> datetime:
        """The time of day: aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since some moment, never going back."""
        return time.monotonic()

    async def sleep(self, delay: float) -> None:
        """Sleep for `delay` seconds; zero or less yields to the loop once."""
        await asyncio.sleep(max(delay, 0))


def boot_seconds(clock: Clock) -> float:
    """Seconds since the machine's boot, time in suspend included: what processes can compare with one another.

    For a clock that is not the system's, its `monotonic`.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME) if type(clock) is SystemClock else clock.monotonic()


class Alarm(Protocol):
    """A callback that waits for its time."""

    def cancel(self) -> object:
        """Forget the callback; nothing if it has been called."""


def alarm(
    clock: Clock, delay: float, callback: Callable[[], object], *, loop: asyncio.AbstractEventLoop | None = None
) -> Alarm:
    """Call `callback` on the loop, which need not be running if it is given, after `delay` seconds of `clock`.

    On the system's clock this is the loop's own timer, at a tenth of the price of a sleeping task.
    """
    if loop is None:
        loop = asyncio.get_running_loop()
    if type(clock) is SystemClock:
        return loop.call_later(delay, callback)
    sleeper = _Sleeper(callback)
    sleeper.task = loop.create_task(_sleep(clock, delay), name="alarm")
    sleeper.task.add_done_callback(sleeper.on_done)
    return sleeper


async def _sleep(clock: Clock, delay: float) -> None:
    await clock.sleep(delay)


class _Sleeper:
    """An alarm on a clock that can only sleep."""

    __slots__ = ("_callback", "_cancelled", "task")

    def __init__(self, callback: Callable[[], object]) -> None:
        self._callback = callback
        self._cancelled = False
        self.task: asyncio.Task[None]

    def cancel(self) -> None:
        self._cancelled = True
        self.task.cancel()

    def on_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # A clock that fails has nobody to tell; the alarm rings, early rather than never.
        if not self._cancelled:
            self._callback()
