"""How the model's own work waits through an outage of the store: ever longer, and for as long as it takes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from undercroft import Backoff
from undercroft_hookspecs.store import StoreUnavailable

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from undercroft_hookspecs.worker import Clock

T = TypeVar("T")

PAUSES = Backoff(0.1, factor=2.0, max_delay=15.0, jitter=0.3)

logger = logging.getLogger(__name__)


class Patience:
    """The pauses of one piece of work between its attempts."""

    __slots__ = ("_clock", "_failures", "_rng")

    def __init__(self, *, clock: Clock, rng: random.Random) -> None:
        self._clock, self._rng = clock, rng
        self._failures = 0

    @property
    def failures(self) -> int:
        """How many attempts have failed in a row."""
        return self._failures

    def reset(self) -> None:
        """It has worked."""
        self._failures = 0

    async def pause(self) -> None:
        """It has not: wait, longer each time."""
        self._failures += 1
        await self._clock.sleep(PAUSES.next(self._failures, self._rng))


async def through_outages(work: Callable[[], Awaitable[T]], *, what: str, clock: Clock, rng: random.Random) -> T:
    """Do some work that can be repeated (`what` says the log which), until the store has answered."""
    patience = Patience(clock=clock, rng=rng)
    while True:
        try:
            return await work()
        except StoreUnavailable as error:
            if not patience.failures:
                logger.warning("%s waits for the store: %s", what, error)
        await patience.pause()
