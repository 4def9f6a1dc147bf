"""Tell whoever waits for longer than a second what it is for: a line that counts on a terminal, one line elsewhere."""

from __future__ import annotations

import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from undercroft.clock import alarm
from undercroft_model.commands.frame import say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft.clock import Alarm
    from undercroft_hookspecs.worker import Clock

_CLEAR = "\r\x1b[K"


@asynccontextmanager
async def progress(text: str, *, clock: Clock) -> AsyncIterator[None]:
    """Say so, on stderr, if what is done in the block takes longer than a second."""
    line = _Line(text, clock)
    try:
        yield
    finally:
        line.close()


class _Line:
    """What is shown meanwhile."""

    def __init__(self, text: str, clock: Clock) -> None:
        self._text, self._clock = text, clock
        self._seconds = 0
        self._is_terminal = sys.stderr.isatty()
        self._alarm: Alarm = alarm(clock, 1.0, self._on_second)

    def close(self) -> None:
        """Show it no longer."""
        self._alarm.cancel()
        if self._seconds and self._is_terminal:
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()

    def _on_second(self) -> None:
        self._seconds += 1
        if not self._is_terminal:
            say(f"{self._text}...")
            return
        sys.stderr.write(f"{_CLEAR}{self._text}... {self._seconds} s")
        sys.stderr.flush()
        self._alarm = alarm(self._clock, 1.0, self._on_second)
