"""One timer of the loop for all who wait for the same millisecond.

A timer of its own for each of ten thousand tickers is most of what their ticks cost. The loop's timers go by the
millisecond anyway, so that those who are due in the same one can share.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextvars import Context

# Callbacks in one go: so many hold up the loop for a millisecond or so if each is short.
_IN_ONE_GO = 100

# When an infinite delay is over: infinity is no number of milliseconds, and this is thirty thousand years.
_NEVER = 10**15

# One for each loop that has tickers now.
_timetables: dict[asyncio.AbstractEventLoop, Timetable] = {}


class Traveller(Protocol):
    """Who waits for a time."""

    context: Context
    """What `on_due` is called in."""

    def on_due(self) -> None:
        """The time has come. Never raises; told of a time that was given up in the same turn, it takes no notice."""


class Timetable:
    """Who is due when, on one loop."""

    __slots__ = ("_due", "_loop", "_timers", "_users")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._due: dict[int, dict[Traveller, None]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._users = 0

    @classmethod
    def enter(cls) -> Timetable:
        """The timetable of the running loop, which is kept until as many have left as have entered."""
        loop = asyncio.get_running_loop()
        timetable = _timetables.get(loop)
        if timetable is None:
            for closed in [other for other in _timetables if other.is_closed()]:
                del _timetables[closed]
            timetable = _timetables[loop] = cls(loop)
        timetable._users += 1
        return timetable

    def leave(self) -> None:
        """Take no further part."""
        self._users -= 1
        if self._users == 0:
            _timetables.pop(self._loop, None)

    def wait(self, who: Traveller, delay: float) -> int:
        """Tell `who` after `delay` seconds, and not before; the answer is for `give_up`."""
        try:
            due = int((self._loop.time() + delay) * 1000.0) + 1
        except OverflowError:
            due = _NEVER
        travellers = self._due.get(due)
        if travellers is None:
            travellers = self._due[due] = {}
            self._timers[due] = self._loop.call_at(due / 1000.0, self._on_due, due)
        travellers[who] = None
        return due

    def give_up(self, who: Traveller, due: int) -> None:
        """Wait no longer."""
        travellers = self._due.get(due)
        if travellers is None:
            return
        travellers.pop(who, None)
        if not travellers:
            self._timers.pop(due).cancel()
            del self._due[due]

    def _on_due(self, due: int) -> None:
        del self._timers[due]
        self._tell(list(self._due.pop(due)))

    def _tell(self, travellers: list[Traveller]) -> None:
        for who in travellers[:_IN_ONE_GO]:
            who.context.run(who.on_due)
        if len(travellers) > _IN_ONE_GO:
            self._loop.call_soon(self._tell, travellers[_IN_ONE_GO:])
