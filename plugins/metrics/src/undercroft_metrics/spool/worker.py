"""The worker of `metric-spool`: the one owner of a unit's spool, for who records, who sends, and who looks at it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from undercroft import DeadError, SimpleWorker
from undercroft.dependency import OutputError
from undercroft_metrics.seams import SpoolReader, SpoolWriter
from undercroft_metrics.sockets import serving
from undercroft_metrics.spool.desk import answer
from undercroft_metrics.spool.folders import Folders
from undercroft_metrics.spool.letters import bury
from undercroft_metrics.spool.queue import Owner
from undercroft_metrics.spool.spool import Spool
from undercroft_metrics.spool.turns import Turns

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from undercroft import Stop
    from undercroft_hookspecs import MetricBatch, Worker
    from undercroft_metrics.seams import MeteredUnit, QueueStats, SpoolQueue
    from undercroft_metrics.spool.limits import Limits
    from undercroft_metrics.spool.queue import Queue

    Pending = tuple[Sequence[MetricBatch], asyncio.Future[None]]

_log = logging.getLogger(__name__)

T = TypeVar("T")

FOLDER: Final = "spool"
SOCKET: Final = "metrics-spool.socket"
_MOST_IN_A_FILE: Final = 256
"""Batches of one commit: a queue works through a file as a whole."""


class MetricSpool:
    """Keeps a unit's batches for every sender until they have arrived. Runs until killed."""

    def __init__(self, unit: MeteredUnit, limits: Limits, senders: Sequence[str], folder: Path | None = None) -> None:
        meter = unit.meter
        self._unit = unit
        self._dropped = meter.counter("dropped_batches", "batches that were dropped unsent", ["sender", "reason"])
        self._published = meter.counter("published_batches", "batches that were put into the spool")
        self._waiting = meter.gauge("spool_batches", "batches that wait", ["sender"])
        self._bytes = meter.gauge("spool_bytes", "disk that what waits takes", ["sender"])
        self._oldest = meter.gauge("spool_oldest_timestamp_seconds", "when the oldest was spooled", ["sender"])
        self._dead = meter.gauge("spool_dead_letters", "batches that were refused for good", ["sender"])
        owner = Owner(
            model=str(unit.model),
            unit=str(unit.unit),
            folders=Folders(folder if folder is not None else unit.data_dir / FOLDER),
            limits=limits,
            clock=unit.clock,
            rng=unit.rng,
            on_drop=lambda sender, reason, batches: self._dropped.add(batches, sender, reason.partition(":")[0]),
        )
        self.spool = Spool(owner, senders)
        self._turns = Turns()
        self._filled: dict[str, asyncio.Event] = {}
        self._emptied = asyncio.Event()
        self._pending: deque[Pending] = deque()
        self._is_asked = False
        """Whether there is a turn to come that takes what is pending."""
        self._is_over = False
        self._worker = SimpleWorker(self._run, name="metric-spool", clock=unit.clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once."""
        self._worker.kill()

    async def wait(self) -> None:
        """Return when the worker is dead, or raise the error that it died of."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """How each sender's queue stands, and how old the oldest batch is."""
        now = self._unit.clock.now()
        return {
            name: {
                "batches": stats.batches,
                "bytes": stats.bytes,
                "oldest_seconds": None if stats.oldest is None else round((now - stats.oldest).total_seconds(), 1),
                "dead_letters": stats.dead,
                "quarantined": stats.quarantined,
            }
            for name, stats in ((name, queue.stats()) for name, queue in list(self.spool.queues.items()))
        }

    async def wait_empty(self) -> None:
        """Return when nothing waits for any sender, not even word of what was dropped."""
        await self._emptied.wait()

    async def open(self) -> None:
        """Take the spool, and read what is in it."""
        await self.on_disk(self.spool.open)

    async def publish(self, batches: Sequence[MetricBatch]) -> Sequence[str]:
        """Keep batches for every sender, durably; see `SpoolWriter`."""
        if not batches:
            return ()
        if self._is_over:
            raise DeadError("the metric spool has been closed")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._pending.append((batches, done))
        self._ask(loop)
        await done
        return [batch.id for batch in batches]

    async def check_room(self) -> None:
        """Raise SpoolFullError where a queue is full whose policy is to block."""
        await self.on_disk(self.spool.check_room)

    @asynccontextmanager
    async def queue(self, sender: str) -> AsyncIterator[SpoolQueue]:
        """The queue of a sender; see `SpoolReader`."""
        queue = await self.on_disk(lambda: self.spool.queue(sender))
        yield OpenQueue(self, queue, self._filled.setdefault(sender, asyncio.Event()))

    async def on_disk(self, work: Callable[[], T]) -> T:
        """Do blocking work on the spool, when it is its turn, and tell who waits for something to send."""
        try:
            return await self._turns.take(work)
        finally:
            self._note()

    def tidy(self, queue: Queue, most: int) -> None:
        """Have done for a queue what nobody waits for."""
        self._turns.add(partial(_tidy, queue, most))

    async def _run(self, stop: Stop) -> None:
        path = self._unit.unit_dir / SOCKET
        try:
            async with serving(path, self._answer, asks=True, clock=self._unit.clock):
                await stop.wait()
        finally:
            self._is_over = True
            await self._turns.take(partial(self._end, asyncio.get_running_loop()))

    async def _answer(self, request: bytes) -> bytes:
        return await self.on_disk(lambda: answer(self.spool, request))

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have what is pending committed, by a turn that is to come or by another."""
        if not self._is_asked:
            self._is_asked = True
            self._turns.add(partial(self._commit, loop))

    def _commit(self, loop: asyncio.AbstractEventLoop) -> None:
        """Commit what is pending by now, as much as goes into a file, and have the rest wait for its turn. Blocks."""
        self._is_asked = False
        if not (group := self._take()):
            return
        error: Exception | None = None
        try:
            self.spool.commit([batch for given, _ in group for batch in given])
        # The edge between those who publish and the disk: each is told what became of the commit that theirs was in.
        except Exception as raised:
            error = raised
        loop.call_soon_threadsafe(self._tell, group, error)
        self.spool.tidy()
        if self._pending:
            self._ask(loop)

    def _take(self) -> list[Pending]:
        taken: list[Pending] = []
        count = 0
        while self._pending and (not taken or count + len(self._pending[0][0]) <= _MOST_IN_A_FILE):
            taken.append(self._pending.popleft())
            count += len(taken[-1][0])
        return taken

    def _tell(self, group: Sequence[Pending], error: Exception | None) -> None:
        if error is None:
            self._published.add(sum(len(batches) for batches, _ in group))
        for _, done in group:
            if done.done():
                continue
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)
        self._note()

    def _end(self, loop: asyncio.AbstractEventLoop) -> None:
        """Commit what has come before the end, too, and let go of the spool. Blocks."""
        while self._pending:
            self._commit(loop)
        self.spool.close()

    def _note(self) -> None:
        queues = list(self.spool.queues.items())
        (self._emptied.clear if any(queue.has_any for _, queue in queues) else self._emptied.set)()
        for sender, queue in queues:
            event, stats = self._filled.setdefault(sender, asyncio.Event()), queue.stats()
            (event.set if queue.has_any else event.clear)()
            self._waiting.set(stats.batches, sender)
            self._bytes.set(stats.bytes, sender)
            self._oldest.set(stats.oldest.timestamp() if stats.oldest is not None else 0, sender)
            self._dead.set(stats.dead, sender)


class OpenQueue:
    """A queue as its sender sees it; see `SpoolQueue`."""

    def __init__(self, spool: MetricSpool, queue: Queue, filled: asyncio.Event) -> None:
        self._spool, self._queue, self._filled = spool, queue, filled

    async def claim(self, *, max_batches: int, max_bytes: int) -> Sequence[MetricBatch]:
        """The oldest batches within the limits."""
        found = await self._spool.on_disk(lambda: self._queue.claim(max_batches, max_bytes))
        if found:
            self._spool.tidy(self._queue, max_bytes)
        return found

    async def acknowledge(self, ids: Sequence[str]) -> None:
        """Forget batches, for they have arrived."""
        arrived = set(ids)
        await self._spool.on_disk(lambda: self._queue.acknowledge(arrived))

    async def bury(self, batch: str, reason: str) -> None:
        """Put a batch to the dead letters."""
        await self._spool.on_disk(lambda: bury(self._queue, self._spool.spool.owner, batch, reason))

    async def wait(self) -> None:
        """Return when there is something to claim."""
        await self._filled.wait()

    def stats(self) -> QueueStats:
        """How the queue stands."""
        return self._queue.stats()


def _tidy(queue: Queue, most: int) -> None:
    try:
        queue.tidy(most)
    except OSError as error:
        _log.warning("what is next for %s cannot be read now: %s", queue.sender, error)


async def start_spool(
    unit: MeteredUnit, limits: Limits, senders: Sequence[str], folder: Path | None = None
) -> MetricSpool:
    """The worker, once the spool in `folder` has been read; without it, one among the unit's own data.

    Raises:
        SpoolInUseError: another process has it.
        OSError: its folder cannot be made or read.
    """
    worker = MetricSpool(unit, limits, senders, folder)
    try:
        await worker.open()
    except BaseException:
        worker.kill()
        with suppress(Exception):
            await worker.wait()
        raise
    return worker


def spool_output(worker: Worker, kind: type) -> object:
    """The output function of `metric-spool`: SpoolWriter, SpoolReader."""
    if not isinstance(worker, MetricSpool):
        raise OutputError(f"{type(worker).__name__} is not the metric spool")
    if kind not in (SpoolWriter, SpoolReader):
        raise OutputError(f"metric-spool puts out SpoolWriter and SpoolReader, not {kind.__name__}")
    return worker
