"""Event loops that notice when a callback holds them up, on asyncio and on uvloop alike.

In debug mode both loops log a callback that took longer than `slow_callback_duration` by the wall clock. On a busy
machine that alone convicts the innocent: the thread may have been waiting for a processor. So whenever such a record
is seen, the time that the kernel says the thread was runnable without running (`/proc/thread-self/schedstat`) and the
time spent in the cyclic garbage collector are taken off. What is left is work and blocking, and that is the stall.
Where the kernel does not tell, the thread's processor time is judged instead: blocking then goes unnoticed.

The loops here note those counters at most 20 ms apart, whenever something is scheduled, which bounds what could be
taken off wrongly and costs one clock read per callback. Under a tracer (coverage, a debugger) limits are three times
as long.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass
from pathlib import Path

import uvloop

LIMIT = 0.1
"""How long a callback may hold the loop, in seconds."""

TRACED_FACTOR = 3.0
"""How much longer it may take while a tracer slows everything down."""

_FRESH = 0.02


@dataclass(frozen=True, slots=True)
class Counters:
    """What the kernel and the collector have counted for this thread: seconds waiting, running, collecting."""

    waited: float | None
    ran: float
    collected: float


class Collections:
    """Seconds that the cyclic garbage collector has taken, while watched."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._began = 0.0

    def __call__(self, phase: str, _: Mapping[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            self.seconds += time.perf_counter() - self._began


def waiting_time(schedstat: Path = Path("/proc/thread-self/schedstat")) -> float | None:
    """Seconds for which this thread was runnable and not running; None if the kernel does not say."""
    try:
        return int(schedstat.read_bytes().split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return None


class StallMeter:
    """Judges the callbacks of one loop that took long by the wall clock."""

    def __init__(self, *, waiting: Callable[[], float | None] = waiting_time) -> None:
        self.collections = Collections()
        self._waiting = waiting
        self._stale_at = 0.0
        self._base = self._count()

    def mark(self) -> None:
        """Note the counters, unless that was done a moment ago."""
        if (now := time.perf_counter()) >= self._stale_at:
            self._base = self._count()
            self._stale_at = now + _FRESH

    def stall(self, wall: float) -> float:
        """How much of `wall` seconds, just over, was this thread's own doing."""
        now, base = self._count(), self._base
        collected = now.collected - base.collected
        if now.waited is None or base.waited is None:
            return min(wall, now.ran - base.ran) - collected
        return wall - (now.waited - base.waited) - collected

    def _count(self) -> Counters:
        return Counters(self._waiting(), time.thread_time(), self.collections.seconds)


class AsyncioLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, with a stall meter."""

    def __init__(self) -> None:
        self.meter = StallMeter()
        super().__init__()

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        """Schedule as always, and let the meter know."""
        self.meter.mark()
        return super().call_soon(callback, *args, context=context)


class UvloopLoop(uvloop.Loop):
    """uvloop's loop, with a stall meter, and the threads of its default executor named as asyncio names them."""

    def __init__(self) -> None:
        self.meter = StallMeter()
        super().__init__()
        self.set_default_executor(ThreadPoolExecutor(thread_name_prefix="asyncio"))

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        """Schedule as always, and let the meter know."""
        self.meter.mark()
        return super().call_soon(callback, *args, context=context)


def loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops that everything is tried on, by name."""
    return {"asyncio": AsyncioLoop, "uvloop": UvloopLoop}


def limit() -> float:
    """How long a callback may hold the loop now, in seconds."""
    monitoring = getattr(sys, "monitoring", None)
    traced = sys.gettrace() is not None or (monitoring is not None and monitoring.get_tool(monitoring.COVERAGE_ID))
    return LIMIT * TRACED_FACTOR if traced else LIMIT


class LoopWatch(logging.Filter):
    """Keeps what the loops of this module complain of while it is on: stalls, and errors that nobody took."""

    def __init__(self) -> None:
        super().__init__()
        self.stalls: list[str] = []
        self.errors: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Look at a record of asyncio's logger; every record passes."""
        if record.levelno >= logging.ERROR:
            error = record.exc_info[1] if record.exc_info else None
            message = record.getMessage().splitlines()[0]
            self.errors.append(f"{message}: {error!r}" if error is not None else message)
        elif isinstance(record.msg, str) and record.msg.startswith("Executing ") and isinstance(record.args, tuple):
            self._judge(record)
        return True

    def _judge(self, record: logging.LogRecord) -> None:
        try:
            meter = getattr(asyncio.get_running_loop(), "meter", None)
        except RuntimeError:
            return
        wall = record.args[-1] if isinstance(record.args, tuple) else None
        if not isinstance(meter, StallMeter) or not isinstance(wall, float):
            return
        stall = meter.stall(wall)
        if stall > limit():
            self.stalls.append(f"{stall * 1000:.0f} ms: {record.getMessage()}")


@contextmanager
def watching(loop: asyncio.AbstractEventLoop | None = None) -> Iterator[LoopWatch]:
    """Collect the complaints of loops in debug mode; `loop` is the one of this module whose stalls are judged."""
    watch = LoopWatch()
    meter = getattr(loop, "meter", None)
    collections = meter.collections if isinstance(meter, StallMeter) else Collections()
    logger = logging.getLogger("asyncio")
    was_disabled, logger.disabled = logger.disabled, False
    logger.addFilter(watch)
    gc.callbacks.append(collections)
    try:
        yield watch
    finally:
        gc.callbacks.remove(collections)
        logger.removeFilter(watch)
        logger.disabled = was_disabled
