"""A clock that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import math
import types
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from undercroft.worker.validation import require_number
from undercroft_hookspecs.errors import NotValidError

if TYPE_CHECKING:
    from collections.abc import Generator

_START = datetime(2020, 1, 1, tzinfo=UTC)

# How many turns of the loop what has just been woken gets before time goes on. There is no portable way to ask a loop
# whether it is idle; a restart under a supervisor under a supervisor takes about twenty.
_TURNS = 48

# Sums of floats differ in their last digits: deadlines this close to the new time have come.
_TOLERANCE = 1e-6

# Waking a future takes some 50 us on a loop in debug mode: a crowd is woken in parts, so as not to hold the loop up.
_CROWD = 500

# Cancelled sleepers stay in the heap until this many of them, and more than the live ones, make a clean-up worth while.
_CLUTTER = 64


class FakeClock:
    """A Clock for tests: time passes only in `advance`. Can be made without a loop."""

    def __init__(self, start: datetime | None = None) -> None:
        if start is not None and start.tzinfo is None:
            raise NotValidError(f"start must be aware of its time zone, and {start!r} is not", field="start")
        self._start = (start or _START).astimezone(UTC)
        self._now = 0.0
        self._advanced = 0.0
        self._arrivals = 0
        self._pending = 0
        self._heap: list[_Sleeper] = []
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def pending(self) -> int:
        """How many sleepers there are."""
        return self._pending

    def now(self) -> datetime:
        """The start, and what has been advanced since."""
        return self._start + timedelta(seconds=self._now)

    def monotonic(self) -> float:
        """How much has been advanced."""
        return self._now

    async def sleep(self, delay: float) -> None:
        """Sleep until the clock has been advanced by `delay`; zero or less yields to the loop once."""
        if delay <= 0:
            await turn()
            return
        self._arrivals += 1
        sleeper = _Sleeper(self, self._now + delay, self._arrivals)
        heapq.heappush(self._heap, sleeper)
        self._pending += 1
        for n, waiter in self._waiters:
            if self._pending >= n and not waiter.done():
                waiter.set_result(None)
        await sleeper

    async def advance(self, seconds: float) -> None:
        """Let time pass, deadline by deadline; at each its sleepers wake, and the loop settles before the next.

        Sleeps that begin on the way are served by the same rule.
        """
        require_number("seconds", seconds)
        if math.isinf(seconds):
            raise NotValidError("seconds must be finite: time that stands still cannot pass for ever", field="seconds")
        await _settle()
        self._advanced += seconds
        target = self._advanced
        while (deadline := self._next_deadline()) <= target + _TOLERANCE:
            self._now = max(self._now, deadline)
            woken = 0
            while self._next_deadline() <= self._now:
                heapq.heappop(self._heap).wake()
                woken += 1
                if woken % _CROWD == 0:
                    await turn()
            await _settle()
        self._now = max(self._now, target)

    async def until(self, n: int, timeout: float = 1.0) -> None:
        """Wait until there are `n` sleepers.

        Raises:
            TimeoutError: that has not come about within `timeout` seconds of real time.
        """
        try:
            async with asyncio.timeout(timeout):
                while self._pending < n:
                    await self._arrival(n)
        except TimeoutError:
            raise TimeoutError(f"waited {timeout:g} s for {n} sleepers; there are {self._pending}") from None

    async def wait_advance(self, seconds: float, waiters: int = 1, timeout: float = 1.0) -> None:
        """Wait until there are so many sleepers, then let time pass."""
        await self.until(waiters, timeout)
        await self.advance(seconds)

    async def _arrival(self, n: int) -> None:
        waiter = (n, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            await waiter[1]
        finally:
            self._waiters.remove(waiter)

    def _next_deadline(self) -> float:
        while self._heap and self._heap[0].done():
            heapq.heappop(self._heap)
        return self._heap[0].deadline if self._heap else math.inf

    def _forget(self) -> None:
        self._pending -= 1
        clutter = len(self._heap) - self._pending
        if clutter > max(_CLUTTER, self._pending):
            self._heap = [sleeper for sleeper in self._heap if not sleeper.done()]
            heapq.heapify(self._heap)


class _Sleeper(asyncio.Future[None]):
    """One sleep. Leaves its clock as soon as it is cancelled, not a turn of the loop later."""

    def __init__(self, clock: FakeClock, deadline: float, arrival: int) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._clock = clock
        self.deadline = deadline
        self._arrival = arrival

    def __lt__(self, other: _Sleeper) -> bool:
        return (self.deadline, self._arrival) < (other.deadline, other._arrival)

    def cancel(self, msg: object = None) -> bool:
        cancelled = super().cancel(msg)
        if cancelled:
            self._clock._forget()
        return cancelled

    def wake(self) -> None:
        self.set_result(None)
        self._clock._forget()


async def _settle() -> None:
    for _ in range(_TURNS):
        await turn()


@types.coroutine
def turn() -> Generator[None, None, None]:
    """Give up one turn of the loop."""
    yield
