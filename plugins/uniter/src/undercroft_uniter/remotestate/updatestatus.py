"""When update-status is due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft.clock import alarm

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from undercroft.clock import Alarm
    from undercroft_hookspecs import Clock

JITTER = 0.2


class UpdateStatusTimer:
    """Calls `on_tick` again and again, an interval apart, give or take a fifth, so that units do not march in step."""

    def __init__(self, on_tick: Callable[[], None], *, clock: Clock, rng: random.Random) -> None:
        self._on_tick, self._clock, self._rng = on_tick, clock, rng
        self._seconds = 0.0
        self._alarm: Alarm | None = None

    def set(self, seconds: float) -> None:
        """Begin to count anew, with this interval; with none, never tick."""
        self._seconds = seconds
        self._arm()

    def stop(self) -> None:
        """Tick no more."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _arm(self) -> None:
        self.stop()
        if self._seconds > 0:
            delay = self._seconds * self._rng.uniform(1 - JITTER, 1 + JITTER)
            self._alarm = alarm(self._clock, delay, self._tick)

    def _tick(self) -> None:
        self._arm()
        self._on_tick()
