"""How long to wait before the next attempt."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft.worker.validation import require_number

if TYPE_CHECKING:
    import random

RESTART_DELAY = 3.0
"""Seconds between a failure and the next attempt, where nothing else is asked for."""

_LARGEST = sys.float_info.max


@dataclass(frozen=True, slots=True)
class Backoff:
    """A delay that grows with consecutive failures, up to a limit, with jitter.

    `reset_after` is for whoever counts the failures: the first after a life of that many seconds is number 1 again.

    Raises:
        NotValidError: delay or reset_after < 0, factor < 1, max_delay < 0, jitter not in [0, 1), or any of them NaN.
    """

    delay: float = RESTART_DELAY
    factor: float = 1.0
    max_delay: float | None = None
    jitter: float = 0.0
    reset_after: float = 60.0

    def __post_init__(self) -> None:
        require_number("delay", self.delay)
        require_number("factor", self.factor, least=1.0)
        require_number("max_delay", self.max_delay, optional=True)
        require_number("jitter", self.jitter, below=1.0)
        require_number("reset_after", self.reset_after)

    def next(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait after that many consecutive failures; 0 is taken as 1.

        The limit holds after the jitter too, and the answer is always a finite float: the limit, or the largest there
        is, stands for what overflows.
        """
        limit = _LARGEST if self.max_delay is None else _finite(self.max_delay)
        delay = min(_grown(_finite(self.delay), _finite(self.factor), failures), limit)
        if self.jitter:
            delay *= 1.0 + self.jitter * (2.0 * rng.random() - 1.0)
        return min(delay, limit)


def _grown(delay: float, factor: float, failures: int) -> float:
    if failures <= 1 or factor == 1.0 or delay == 0.0:
        return delay
    try:
        return delay * math.pow(factor, failures - 1)
    except OverflowError:
        return _LARGEST


def _finite(number: float) -> float:
    """The nearest finite float, also of an integer too large for one."""
    try:
        return min(float(number), _LARGEST)
    except OverflowError:
        return _LARGEST
