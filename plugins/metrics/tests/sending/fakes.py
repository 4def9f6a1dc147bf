"""A spool in memory, senders that answer as they are told, and batches to send."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self
from uuid import UUID

from undercroft.testing import FakeClock
from undercroft.testing.agent import FakeUnitAgent
from undercroft_hookspecs import Accepted, MetricBatch, MetricDelivery, MetricSample, MetricSender, SendReport
from undercroft_hookspecs.state import MeterStatus
from undercroft_metrics.seams import QueueStats
from undercroft_metrics.sending.worker import MetricSending

START = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = "00000000-0000-0000-0000-000000000000"

PATIENT_POLLS = 100
"""So often, a millisecond apart, a `send` is looked at before it counts as one that hangs."""

Answer = Callable[[Sequence[MetricBatch]], Awaitable[SendReport]]


def batch(number: int, *, value: str = "1", key: str = "pings") -> MetricBatch:
    """The batch of that number: numbers are in order of time."""
    created = START + timedelta(seconds=number)
    sample = MetricSample(key=key, value=value, time=created)
    return MetricBatch(
        id=str(UUID(int=number)), model=MODEL, unit="specimen/0", charm="mysql-1", created=created, samples=(sample,)
    )


def number(each: MetricBatch) -> int:
    """The number that a batch was made from."""
    return UUID(each.id).int


def accepted(batches: Sequence[MetricBatch]) -> SendReport:
    """All have arrived."""
    return SendReport(verdicts={each.id: Accepted() for each in batches})


class MemoryQueue:
    """A SpoolQueue in memory."""

    def __init__(self) -> None:
        self.batches: list[MetricBatch] = []
        self.dead: dict[int, str] = {}
        self.read_only = False
        self._published = asyncio.Event()

    def publish(self, *numbers: int) -> None:
        """Put batches into the queue."""
        self.batches.extend(batch(each) for each in numbers)
        self._published.set()

    async def claim(self, *, max_batches: int, max_bytes: int) -> Sequence[MetricBatch]:
        assert max_batches >= 1
        return self.batches[:max_batches]

    async def acknowledge(self, ids: Sequence[str]) -> None:
        if self.read_only:
            raise OSError(errno.EROFS, "read-only file system")
        self._remove(set(ids))

    async def bury(self, batch: str, reason: str) -> None:
        self.dead[UUID(batch).int] = reason
        self._remove({batch})

    async def wait(self) -> None:
        await self._published.wait()

    def stats(self) -> QueueStats:
        oldest = self.batches[0].created if self.batches else None
        return QueueStats(batches=len(self.batches), bytes=0, oldest=oldest, dead=len(self.dead), quarantined=0)

    def _remove(self, ids: set[str]) -> None:
        self.batches = [each for each in self.batches if each.id not in ids]
        if not self.batches:
            self._published.clear()


class MemorySpool:
    """A SpoolReader in memory."""

    def __init__(self) -> None:
        self.queues: dict[str, MemoryQueue] = {}

    def of(self, sender: str) -> MemoryQueue:
        """A queue, made if need be."""
        return self.queues.setdefault(sender, MemoryQueue())

    @asynccontextmanager
    async def queue(self, sender: str) -> AsyncIterator[MemoryQueue]:
        yield self.of(sender)


class Receiver:
    """What a sender sends to: `requests` has the numbers of the batches of each send, `arrived` what it took."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.answer = answer
        self.requests: list[list[int]] = []
        self.arrived: list[int] = []
        self.opened = 0

    def sender(self, **limits: object) -> MetricSender:
        """A sender to it."""
        return MetricSender(open=self._open, **limits)  # type: ignore[arg-type]

    async def send(self, batches: Sequence[MetricBatch]) -> SendReport:
        """Note what is sent, and answer as told."""
        self.requests.append([number(each) for each in batches])
        report = await self.answer(batches) if self.answer is not None else accepted(batches)
        taken = {batch for batch, verdict in report.verdicts.items() if isinstance(verdict, Accepted)}
        self.arrived += [number(each) for each in batches if each.id in taken]
        return report

    @asynccontextmanager
    async def _open(self, _model: str, _unit: str, /) -> AsyncIterator[MetricDelivery]:
        self.opened += 1
        yield self


class Meter:
    """A MeterStatusFacade that remembers."""

    def __init__(self) -> None:
        self.set: list[MeterStatus] = []
        self.error: Exception | None = None

    async def set_meter_status(self, status: MeterStatus) -> None:
        """Remember, or fail as told."""
        if self.error is not None:
            raise self.error
        self.set.append(status)


class Stage:
    """A worker with its spool, on a clock that stands still."""

    def __init__(self, folder: Path, **senders: MetricSender) -> None:
        self.clock = FakeClock(START)
        self.spool, self.meter = MemorySpool(), Meter()
        self.unit = FakeUnitAgent(clock=self.clock, data_dir=folder)
        self._senders = senders
        self.worker: MetricSending

    async def __aenter__(self) -> Self:
        self.worker = MetricSending(self.unit, spool=self.spool, senders=self._senders, meter=self.meter)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.worker.kill()
        await self.worker.wait()

    @property
    def queue(self) -> MemoryQueue:
        """The queue of the sender `main`."""
        return self.spool.of("main")

    async def advance(self, seconds: float) -> None:
        """Let time pass, once every pump waits for it."""
        await self.settle()
        await self.clock.advance(seconds)

    async def until(self, condition: Callable[[], bool], *, step: float = 1.0, most: float = 50_000.0) -> None:
        """Let time pass until it holds."""
        passed = 0.0
        async with asyncio.timeout(30):
            await self.settle()
            while not condition():
                assert passed < most, "it has not come about"
                await self.clock.advance(step)
                passed += step
                await self.settle()

    async def settle(self) -> None:
        """Wait until every pump waits for time or batches: what threads do takes real time. Not long for a `send`."""
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
            polls = 0
            while not all(self._rests(name, patience=polls < PATIENT_POLLS) for name in self._senders):
                await asyncio.sleep(0.001)
                polls += 1

    def _rests(self, name: str, *, patience: bool) -> bool:
        pump: dict[str, str] = self.worker.report().get(name, {})  # type: ignore[assignment]
        doing = pump.get("doing", "starting")
        if doing == "idle":
            return not self.spool.of(name).batches
        return doing.startswith("waiting") or (doing.startswith("sending") and not patience)
