"""When a hook that has failed is tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft import Backoff
from undercroft.clock import alarm

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from undercroft.clock import Alarm
    from undercroft_hookspecs import Clock

RETRY = Backoff(delay=5.0, factor=2.0, max_delay=300.0, jitter=0.03)


class HookRetry:
    """Rings once for each `start`, later each time, until `reset`."""

    def __init__(self, ring: Callable[[], None], *, clock: Clock, rng: random.Random) -> None:
        self._ring = ring
        self._clock = clock
        self._rng = rng
        self._failures = 0
        self._is_started = False
        self._alarm: Alarm | None = None

    @property
    def is_started(self) -> bool:
        """It will ring, or has, and the hook was not tried since."""
        return self._is_started

    def start(self) -> None:
        """Ring after the next delay; nothing if it is started."""
        if self._is_started:
            return
        self._is_started = True
        self._failures += 1
        self._alarm = alarm(self._clock, RETRY.next(self._failures, self._rng), self._on_time)

    def tried(self) -> None:
        """The hook is tried again: should that fail, the next `start` is for the next delay."""
        self._cancel()

    def reset(self) -> None:
        """Forget all failures."""
        self._failures = 0
        self._cancel()

    def _cancel(self) -> None:
        self._is_started = False
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _on_time(self) -> None:
        self._alarm = None
        self._ring()
