"""The worker of the manifold `leadership`: claims the leadership of the application, renews it, or waits for it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from undercroft import Backoff, SimpleWorker, closing_on_error
from undercroft.clock import alarm
from undercroft.dependency import OutputError
from undercroft_hookspecs import NotFoundError, StoreUnavailable
from undercroft_hookspecs.state import Life
from undercroft_uniter.seams import Leadership

if TYPE_CHECKING:
    import random

    from undercroft import Stop
    from undercroft.clock import Alarm
    from undercroft_hookspecs import Clock, Worker
    from undercroft_hookspecs.relation_facades import LeadershipFacade
    from undercroft_hookspecs.unit_facades import UnitFacade

RENEW_BEFORE_SECONDS = 10.0
"""A claim is certain for 40 s: renewed with 10 s left, it is half of its lease old."""
FAREWELL_SECONDS = 5.0
OUTAGE = Backoff(delay=1.0, factor=2.0, max_delay=5.0, jitter=0.2)

logger = logging.getLogger(__name__)


class LeadershipWorker:
    """The seam `Leadership`, and a worker.

    When it is stopped, a unit that is dying leads no longer. One that is not keeps its lease: whoever restarts the
    agent does not want another leader. Nobody is told of any change after that.
    """

    def __init__(
        self, unit: str, *, leadership: LeadershipFacade, units: UnitFacade, clock: Clock, rng: random.Random
    ) -> None:
        self._name, self._facade, self._units = unit, leadership, units
        self._clock, self._rng = clock, rng
        self._is_told = False
        self._changes = _Turn()
        self._answered = asyncio.Event()
        self._alarm: Alarm | None = None
        self._worker = SimpleWorker(self._work, name=f"leadership of {unit}", grace=0, clock=clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once."""
        self._worker.kill()

    async def wait(self) -> None:
        """Return when the worker is dead, or raise the error that it died of."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """Whether the unit leads, and for how much longer in any case."""
        return {"leader": self.is_leader(), "certain_seconds": round(self._facade.certain_seconds(), 1)}

    async def answered(self) -> None:
        """Return when it is known for the first time who leads, or the worker is dead."""
        await self._answered.wait()

    def is_leader(self) -> bool:
        """The unit leads, as far as is known without asking."""
        return self._facade.certain_seconds() > 0

    async def guarantee(self) -> bool:
        """Whether the unit leads for 30 s at least, renewing its lease if need be.

        Raises:
            StoreUnavailable: nobody knows.
        """
        try:
            return await self._facade.claim()
        except NotFoundError:
            return False  # The unit is gone, or dead.
        finally:
            self._look()

    async def changed(self) -> None:
        """Return when `is_leader` has become another than it was when this was called."""
        before = self.is_leader()
        while self.is_leader() == before:
            await self._changes.wait()

    async def _work(self, _: Stop) -> None:
        try:
            await self._claim_for_ever()
        except NotFoundError as error:
            logger.info("unit %s claims nothing any more: %s", self._name, error)
            self._look()
            self._answered.set()
            await asyncio.get_running_loop().create_future()
        finally:
            self._stop_alarm()
            self._answered.set()
            await self._say_farewell()

    async def _claim_for_ever(self) -> None:
        failures = 0
        while True:
            try:
                leads = await self._facade.claim()
            except StoreUnavailable as error:
                failures += 1
                logger.warning("unit %s cannot claim leadership for now: %s", self._name, error)
                self._look()
                await self._clock.sleep(OUTAGE.next(failures, self._rng))
                continue
            failures = 0
            self._look()
            self._answered.set()
            if leads:
                await self._clock.sleep(max(self._facade.certain_seconds() - RENEW_BEFORE_SECONDS, 0.0))
            else:
                await self._facade.wait_released()

    def _look(self) -> None:
        """Tell of a change, and look again when what is certain now has come to its end."""
        self._stop_alarm()
        seconds = self._facade.certain_seconds()
        if seconds > 0:
            self._alarm = alarm(self._clock, seconds, self._look)
        if self._is_told != (seconds > 0):
            self._is_told = seconds > 0
            logger.info("unit %s %s", self._name, "leads" if self._is_told else "does not lead")
            self._changes.tell()

    def _stop_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    async def _say_farewell(self) -> None:
        """Have the others not wait for the lease of a unit that is on its way out."""
        try:
            async with asyncio.timeout(FAREWELL_SECONDS):
                if self.is_leader() and (await self._units.unit()).life is not Life.ALIVE:
                    await self._facade.resign()
        except (TimeoutError, NotFoundError, StoreUnavailable) as error:
            logger.info("unit %s lets its leadership run out: %s", self._name, str(error) or "no answer")


class _Turn:
    """Wakes up all who wait, again and again."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    async def wait(self) -> None:
        await self._next.wait()

    def tell(self) -> None:
        self._next.set()
        self._next = asyncio.Event()


async def start_leadership(
    unit: str, *, leadership: LeadershipFacade, units: UnitFacade, clock: Clock, rng: random.Random
) -> LeadershipWorker:
    """The worker, once it knows who leads: nobody should take a leader for a follower because it is early."""
    worker = LeadershipWorker(unit, leadership=leadership, units=units, clock=clock, rng=rng)
    async with closing_on_error(worker):
        await worker.answered()
    return worker


def leadership_output(worker: Worker, kind: type) -> object:
    """The output function of the manifold `leadership`: Leadership alone."""
    if not isinstance(worker, LeadershipWorker):
        raise OutputError(f"{type(worker).__name__} is not the worker of the leadership")
    if kind is not Leadership:
        raise OutputError(f"leadership puts out Leadership, not {kind.__name__}")
    return worker
