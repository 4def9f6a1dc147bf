"""A unit's spool at full durability, against raw fsync, rename and fsync of the folder of the same bytes."""

from __future__ import annotations

import asyncio
import itertools
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import uvloop
from tests.benchmarks.measure import Scale, Table, in_turns, milliseconds, per_second, percent, stopwatch

from undercroft.testing.agent import FakeUnitAgent
from undercroft_hookspecs import MetricBatch, MetricSample
from undercroft_metrics.spool.codec import encode
from undercroft_metrics.spool.limits import Limits
from undercroft_metrics.spool.names import FileName
from undercroft_metrics.spool.worker import MetricSpool, start_spool

EACH = 400
AT_ONCE = 32
BACKLOG = 100_000
START_LIMIT = 2.0
START = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = Limits(batches=10 * BACKLOG, megabytes=4096, days=10_000)


def batch(number: int) -> MetricBatch:
    """A batch of about 1 KiB."""
    created = START + timedelta(seconds=number)
    samples = [MetricSample(key=f"metric-{n}", value=f"{number}.{n}", time=created) for n in range(9)]
    return MetricBatch(
        id=str(UUID(int=number + 1)), model=str(UUID(int=0)), unit="specimen/0", charm="shop-1", created=created,
        samples=samples,
    )  # fmt: skip


def spool(scale: Scale, table: Table) -> None:
    """Commits alone and together, a start with much that waits, and the cost of doing nothing."""
    uvloop.run(_commits(scale, table))
    uvloop.run(_start(scale, table))
    uvloop.run(_idle(scale, table))


async def _commits(scale: Scale, table: Table) -> None:
    number = max(scale.size(EACH), AT_ONCE)
    with _folder() as folder:
        worker = await _opened(folder)
        raw_folder = folder / "raw"
        (raw_folder / "tmp").mkdir(parents=True)
        (raw_folder / "queue").mkdir()
        numbers = itertools.count()
        (raw,), (alone,), (together,) = await in_turns(
            scale.rounds(3),
            lambda: asyncio.to_thread(_raw, raw_folder, [next(numbers) for _ in range(number)]),
            lambda: _publish(worker, numbers, number, 1),
            lambda: _publish(worker, numbers, number * 4, AT_ONCE),
        )
        worker.kill()
        await worker.wait()
    of = "raw fsync, rename, fsync of the folder"
    table.at_least("metrics: batches spooled, one by one", alone, raw, 0.85, show=per_second, of=of)
    table.at_least(f"metrics: batches spooled, {AT_ONCE} at once", together, raw, 3, show=per_second, of=of)


async def _start(scale: Scale, table: Table) -> None:
    number = scale.size(BACKLOG)
    with _folder() as folder:
        queue = folder / "metrics" / "spool" / "queue" / "store"
        queue.mkdir(parents=True)
        data = encode([batch(0)])
        first = int(START.timestamp()) * 10**9
        for n in range(number):
            (queue / str(FileName(first + n, n, str(UUID(int=1)), 1, 9))).write_bytes(data)
        with stopwatch() as watch:
            worker = await _opened(folder)
        table.within(f"metrics: start with {number:,} spooled batches", watch.wall, START_LIMIT, show=milliseconds)
        assert len(worker.spool.queue("store").entries) == number
        worker.kill()
        await worker.wait()


async def _idle(scale: Scale, table: Table) -> None:
    with _folder() as folder:
        worker = await _opened(folder)
        before = os.times()
        seconds = scale.seconds(5.0)
        await asyncio.sleep(seconds)
        after = os.times()
        worker.kill()
        await worker.wait()
    share = (after.user + after.system - before.user - before.system) / seconds
    table.within("metrics: idle spool, share of a core", share, 0.001, show=percent)


def _raw(folder: Path, numbers: list[int]) -> tuple[float]:
    data = [encode([batch(number)]) for number in numbers]
    queue = os.open(folder / "queue", os.O_RDONLY | os.O_DIRECTORY)
    try:
        with stopwatch() as watch:
            for number, content in zip(numbers, data, strict=True):
                temporary = f"{folder}/tmp/{number}"
                fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                os.write(fd, content)
                os.fsync(fd)
                os.close(fd)
                Path(temporary).rename(f"{folder}/queue/{number}")
                os.fsync(queue)
    finally:
        os.close(queue)
    return (len(numbers) / watch.wall,)


async def _publish(worker: MetricSpool, numbers: Iterator[int], number: int, at_once: int) -> tuple[float]:
    batches = [batch(next(numbers)) for _ in range(number // at_once * at_once)]

    async def some(first: int) -> None:
        for each in batches[first::at_once]:
            await worker.publish([each])

    with stopwatch() as watch:
        await asyncio.gather(*(some(first) for first in range(at_once)))
    return (len(batches) / watch.wall,)


async def _opened(folder: Path) -> MetricSpool:
    unit = FakeUnitAgent(data_dir=folder / "metrics", unit_dir=folder)
    worker = await start_spool(unit, LIMITS, ["store"])
    assert isinstance(worker, MetricSpool)
    return worker


@contextmanager
def _folder() -> Iterator[Path]:
    # On a real disk: /tmp may be one that forgets.
    with tempfile.TemporaryDirectory(prefix="undercroft-spool-", dir="/var/tmp") as folder:
        yield Path(folder)
