"""How many steps are taken at once. One that takes long holds up no others: after a while it does not count."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from undercroft.clock import alarm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft_hookspecs import Clock

SLOW_SECONDS = 10.0
"""More than a step takes that makes or mounts something of an ordinary size."""


class Turns:
    """So many turns at once; whoever takes longer than `SLOW_SECONDS` makes way for the next."""

    def __init__(self, number: int, clock: Clock) -> None:
        self._free, self._clock = asyncio.Semaphore(number), clock

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and have it in this block."""
        await self._free.acquire()
        is_over = False

        def end() -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self._free.release()

        slow = alarm(self._clock, SLOW_SECONDS, end)
        try:
            yield
        finally:
            slow.cancel()
            end()
