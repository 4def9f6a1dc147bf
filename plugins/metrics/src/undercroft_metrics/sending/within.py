"""A timeout on the injected clock, for the block that it is around."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from undercroft.clock import alarm

if TYPE_CHECKING:
    from types import TracebackType

    from undercroft.clock import Alarm
    from undercroft_hookspecs import Clock


class Within:
    """Cancel the block after `seconds`, and raise TimeoutError in its place. What heeds no cancellation goes on."""

    def __init__(self, clock: Clock, seconds: float, what: str) -> None:
        self._clock, self._seconds, self._what = clock, seconds, what
        self._rang = False
        self._alarm: Alarm
        self._task: asyncio.Task[object]
        self._cancelling = 0

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._alarm = alarm(self._clock, self._seconds, self._ring)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._alarm.cancel()
        if not self._rang:
            return
        if self._task.uncancel() <= self._cancelling and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError(f"{self._what} took longer than {self._seconds:g} s") from error

    def _ring(self) -> None:
        self._rang = True
        self._task.cancel()
