"""Look again at devices that are in use for no visible reason: most are let go within moments, and no event says so.

The kernel tells of an unmount before it has let go of the device, and a program like mkfs may hold one for as long as
it works. A device that is still in use after the last look is left to the next resync.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Self

from undercroft.clock import alarm

if TYPE_CHECKING:
    from undercroft.clock import Alarm
    from undercroft_hookspecs.worker import Clock

DELAYS = (0.02, 0.1, 0.5, 2.0, 10.0)


class Doubts:
    """Calls `look_again` with a device's name after growing delays, while it is doubtful; a context manager."""

    def __init__(self, look_again: Callable[[str], None], *, clock: Clock) -> None:
        self._look_again, self._clock = look_again, clock
        self._looks: dict[str, int] = {}
        self._alarms: dict[str, Alarm] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.judge(())

    def judge(self, doubtful: Collection[str]) -> None:
        """These are the doubtful devices now; all others are forgotten."""
        for name in self._looks.keys() - set(doubtful):
            del self._looks[name]
            if (waiting := self._alarms.pop(name, None)) is not None:
                waiting.cancel()
        for name in doubtful:
            looks = self._looks.setdefault(name, 0)
            if name not in self._alarms and looks < len(DELAYS):
                self._alarms[name] = alarm(self._clock, DELAYS[looks], partial(self._on_alarm, name))

    def _on_alarm(self, name: str) -> None:
        del self._alarms[name]
        self._looks[name] += 1
        self._look_again(name)
