"""Three days without the receiver, on a clock that a test moves, with the spool on the disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from plugins.metrics.tests.sending.fakes import START, Receiver, accepted, batch, number

from undercroft.testing import FakeClock
from undercroft.testing.agent import FakeUnitAgent
from undercroft_hookspecs import MetricBatch, SendReport
from undercroft_metrics.sending.worker import MetricSending
from undercroft_metrics.spool.limits import Limits
from undercroft_metrics.spool.worker import MetricSpool, start_spool

HOURS = 72
EACH_HOUR = 12
ROOM = 500


class Site:
    """A unit's spool and sender, and the receiver, which is down at first and keeps what it was sent."""

    def __init__(self, clock: FakeClock, spool: MetricSpool, sending: MetricSending) -> None:
        self.clock, self.spool, self.sending = clock, spool, sending

    async def hour(self, n: int) -> None:
        """Publish an hour's batches, and let it pass."""
        await self.spool.publish([batch(number) for number in range(n * EACH_HOUR, (n + 1) * EACH_HOUR)])
        await self.clock.advance(3600.0)

    async def until_sent(self) -> None:
        """Let time pass until nothing waits."""
        async with asyncio.timeout(30):
            while any(queue.has_any for queue in self.spool.spool.queues.values()):
                await self.clock.advance(1.0)
                await asyncio.sleep(0.001)


@asynccontextmanager
async def site(folder: Path, receiver: Receiver, limits: Limits) -> AsyncIterator[Site]:
    """All of it, until the block ends."""
    clock = FakeClock(START)
    unit = FakeUnitAgent(clock=clock, data_dir=folder / "data", unit_dir=folder)
    spool = await start_spool(unit, limits, ["far"])
    assert isinstance(spool, MetricSpool)
    sending = MetricSending(unit, spool=spool, senders={"far": receiver.sender()})
    try:
        yield Site(clock, spool, sending)
    finally:
        for worker in (sending, spool):
            worker.kill()
            await worker.wait()


async def outage(folder: Path) -> list[MetricBatch]:
    """All that a receiver has in the end that was down for three days."""
    is_down = True
    received: list[MetricBatch] = []

    async def answer(batches: Sequence[MetricBatch]) -> SendReport:
        if is_down:
            raise OSError("no route to host")
        received.extend(batches)
        return accepted(batches)

    async with site(folder, Receiver(answer), Limits(batches=ROOM, durability="none")) as here:
        for n in range(HOURS):
            await here.hour(n)
        is_down = False
        await here.until_sent()
    return received


def test_a_three_days_outage_loses_only_what_the_policy_says_and_the_gaps_add_up(tmp_path: Path) -> None:
    # Not by the loops of the other tests, whose debug mode makes three days long.
    received = asyncio.run(outage(tmp_path))

    whole = [number(each) for each in received if each.gap is None]
    dropped = sum(each.gap.batches for each in received if each.gap is not None)
    assert whole == sorted(set(whole))
    assert len(whole) + dropped == HOURS * EACH_HOUR
    assert ROOM - EACH_HOUR <= len(whole) <= ROOM
    # What is being tried when the queue is full is not dropped under the sender's hands: what comes after it is.
    newest = ROOM - 2 * EACH_HOUR
    assert whole[-newest:] == list(range(HOURS * EACH_HOUR - newest, HOURS * EACH_HOUR))
