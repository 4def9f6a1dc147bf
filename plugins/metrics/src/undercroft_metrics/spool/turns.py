"""Blocking work on one thing, one piece at a time, in the order in which it was asked for.

A thread of the loop's executor takes piece after piece while there are any, and tells the loop of each at once: what
waits its turn costs no way to the loop and back, and while there is nothing to do there is no thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Turns:
    """The turns of one thing. All but `add` is the loop's, which is that of the first call."""

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], object]] = deque()
        self._lock = threading.Lock()
        self._is_working = False
        self._loop: asyncio.AbstractEventLoop | None = None

    async def take(self, work: Callable[[], T]) -> T:
        """Do blocking work when it is its turn, and wait for it even if cancelled: what it gave is lost then."""
        loop = self._loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self.add(partial(_do, work, done, loop))
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            while not done.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait((done,))
            done.exception()  # Marks it as seen: nobody else will ask for it.
            raise

    def add(self, work: Callable[[], object]) -> None:
        """Have work done that raises nothing, and tells who needs to know by itself. For any thread."""
        with self._lock:
            self._waiting.append(work)
            if self._is_working:
                return
            self._is_working = True
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        self._loop.run_in_executor(None, self._work)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._is_working = False
                    return
                work = self._waiting.popleft()
            work()


def _do(work: Callable[[], T], done: asyncio.Future[T], loop: asyncio.AbstractEventLoop) -> None:
    try:
        found = work()
    # The edge between who asked and the work: what it raises is theirs.
    except BaseException as error:
        loop.call_soon_threadsafe(done.set_exception, error)
    else:
        loop.call_soon_threadsafe(done.set_result, found)
