"""Lets only so many through in one turn of the loop.

Ten thousand starts that are all asked for at once would each have their task and its coroutine alive at the same time,
before the first of them has ended: that costs more memory than the workers themselves, and the collector goes over all
of it again and again. A few at a time reuse what the last few have left, and the loop gets to do other things between.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

T = TypeVar("T")

_PER_TURN = 50


class Turnstile(Generic[T]):
    """Calls `let_in` for what comes: at once, or in a later turn, in order of arrival."""

    __slots__ = ("_is_turning", "_let_in", "_loop", "_queue", "_room")

    def __init__(self, loop: asyncio.AbstractEventLoop, let_in: Callable[[T], None]) -> None:
        self._loop = loop
        self._let_in = let_in
        self._queue: deque[T] = deque()
        self._room = _PER_TURN
        self._is_turning = False

    def enter(self, who: T) -> bool:
        """Let `who` in now, if there is room in this turn of the loop; say whether there was."""
        if not self._is_turning:
            self._is_turning = True
            self._loop.call_soon(self._turn)
        if self._room and not self._queue:
            self._room -= 1
            self._let_in(who)
            return True
        self._queue.append(who)
        return False

    def cancel(self) -> None:
        """Nothing: who has waited in vain is let in all the same, and sees to it."""

    def _turn(self) -> None:
        if self._room == _PER_TURN:
            self._is_turning = False
            return
        self._loop.call_soon(self._turn)
        self._room = _PER_TURN
        while self._room and self._queue:
            self._room -= 1
            self._let_in(self._queue.popleft())
