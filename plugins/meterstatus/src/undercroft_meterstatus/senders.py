"""The worker of `meter-status-senders`: senders that fail are part of how a unit's metering stands.

A manifold of its own, for without the metrics plugin there are no senders, and the meter status goes on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft import SimpleWorker
from undercroft_meterstatus.grading import of_senders

if TYPE_CHECKING:
    from undercroft import Stop
    from undercroft_hookspecs import MeterSources, SenderHealths, UnitAgent, Worker

SOURCE = "senders"


def follow_senders(unit: UnitAgent, senders: SenderHealths, sources: MeterSources) -> Worker:
    """A worker that says how the senders fare, until killed. What was said last stands until it is started anew."""

    async def follow(_: Stop) -> None:
        async with senders.watch_senders() as states:
            async for healths in states:
                sources.set(SOURCE, of_senders(healths, unit.clock.now()))

    return SimpleWorker(follow, name=f"health of the senders of {unit.unit}", grace=0, clock=unit.clock)
