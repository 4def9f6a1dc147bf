"""Bring what receivers say of the unit's metering to the model, however long the store is away."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from undercroft_hookspecs import NotFoundError, NotValidError, UndercroftError
from undercroft_metrics.sending.delays import full_jitter

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable

    from undercroft_hookspecs import Clock
    from undercroft_hookspecs.state import MeterStatus
    from undercroft_hookspecs.unit_facades import MeterStatusFacade

SEVERITY = ("GREEN", "AMBER", "RED")

_log = logging.getLogger(__name__)


def settable(status: MeterStatus | None) -> MeterStatus | None:
    """The status, unless it is none or has a code that cannot be set."""
    if status is not None and status.code not in SEVERITY:
        _log.warning("a receiver said the meter status %r, which cannot be set; ignored", status.code)
        return None
    return status


def worst(statuses: Iterable[MeterStatus]) -> MeterStatus | None:
    """The most severe; of several, the first."""
    return max(statuses, key=lambda status: SEVERITY.index(status.code), default=None)


class Feedback:
    """The meter status that is to be set, and the task that sets it. Only the newest counts."""

    def __init__(self, facade: MeterStatusFacade, *, clock: Clock, rng: random.Random) -> None:
        self._facade, self._clock, self._rng = facade, clock, rng
        self._wanted: MeterStatus | None = None
        self._changed = asyncio.Event()

    def offer(self, status: MeterStatus | None) -> None:
        """From now on it is to be this one."""
        if status is not None and status != self._wanted:
            self._wanted = status
            self._changed.set()

    async def run(self) -> None:
        """Set whatever is offered, until cancelled."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            failures = 0
            while (wanted := self._wanted) is not None and not await self._set(wanted):
                failures += 1
                await self._clock.sleep(full_jitter(failures, self._rng))

    async def _set(self, wanted: MeterStatus) -> bool:
        try:
            await self._facade.set_meter_status(wanted)
        except (NotFoundError, NotValidError) as error:
            _log.warning("the meter status %s cannot be set: %s", wanted.code, error)
        except (OSError, UndercroftError) as error:
            _log.info("the meter status %s cannot be set yet: %s", wanted.code, error)
            return False
        return True
