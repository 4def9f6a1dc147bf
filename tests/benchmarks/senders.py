"""Draining a spool to a receiver over HTTP, against a bare client that posts the same batches to the same receiver."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import aiohttp
import msgspec
import uvloop
from tests.benchmarks.measure import Scale, Table, in_turns, per_second, stopwatch

from undercroft.testing.agent import FakeUnitAgent
from undercroft_hookspecs import MetricBatch, MetricSample
from undercroft_metrics.senders import configured
from undercroft_metrics.senders.config import HttpConfig
from undercroft_metrics.sending.worker import MetricSending
from undercroft_metrics.spool.limits import Limits
from undercroft_metrics.spool.worker import MetricSpool, start_spool

BATCHES = 100_000
METRICS = 10
AT_ONCE = 256
SHARE = 20
"""The bare client that posts each batch is measured over one in so many: the rate is the same, and it takes long."""
SENDER = "far"
PATIENCE = 30.0


def batch(number: int) -> MetricBatch:
    """A batch of about 1.4 kB."""
    created = datetime.now(UTC) + timedelta(milliseconds=number)
    samples = [
        MetricSample(key=f"metric-{n}", value=f"{number}.{n}", time=created, labels={"path": "/a/b"})
        for n in range(METRICS)
    ]
    name = str(UUID(int=number + 1))
    return MetricBatch(
        id=name, model=str(UUID(int=0)), unit="specimen/0", charm="shop-1", created=created, samples=samples
    )


def senders(scale: Scale, table: Table) -> None:
    """Both sides are one process that sends, and one that receives."""
    uvloop.run(_measure(scale, table))


async def _measure(scale: Scale, table: Table) -> None:
    number = scale.size(BATCHES)
    async with _receiver() as url:
        config = HttpConfig(url=url)
        grouped = _bodies((batch(n) for n in range(number)), config)
        single = [msgspec.json.encode([batch(n)]) for n in range(max(number // SHARE, 1))]
        ((rate,), (one_by_one,), (together,)) = await in_turns(
            scale.rounds(3),
            lambda: _drain(number, config),
            lambda: _post(single, len(single), url),
            lambda: _post(grouped, number, url),
        )
    what = f"metrics: {number:,} spooled batches drained over HTTP"
    # The same bodies, made before: it neither reads a disk, nor makes JSON, nor removes what has arrived.
    table.at_least(what, rate, together, 0.7, show=per_second, of="bare client, the same bodies")
    table.at_least(f"{what} (again)", rate, one_by_one, None, show=per_second, of="bare client, each batch posted")


def _bodies(batches: Iterable[MetricBatch], config: HttpConfig) -> list[bytes]:
    """The bodies that the sender makes of the batches."""
    bodies: list[bytes] = []
    group: list[MetricBatch] = []
    size = 0
    for each in batches:
        length = len(msgspec.json.encode(each))
        if group and (len(group) >= config.max_batches or size + length > config.max_bytes):
            bodies.append(msgspec.json.encode(group))
            group, size = [], 0
        group.append(each)
        size += length
    return [*bodies, msgspec.json.encode(group)]


async def _post(bodies: Sequence[bytes], number: int, url: str) -> tuple[float]:
    """Batches a second of a client that does nothing else."""
    headers = {"Content-Type": "application/json"}
    async with aiohttp.ClientSession(headers=headers, raise_for_status=True) as session:
        with stopwatch() as watch:
            for body in bodies:
                answer = await session.post(url, data=body)
                await answer.read()
    return (number / watch.wall,)


async def _drain(number: int, config: HttpConfig) -> tuple[float]:
    """Batches a second of the worker, from a spool that is full on the disk."""
    async with _spooled(number) as (unit, spool), spool.queue(SENDER) as queue:
        with stopwatch() as watch:
            sending = MetricSending(unit, spool=spool, senders=configured(unit, {SENDER: config}))
            while queue.stats().batches:
                await asyncio.sleep(0.002)
        sending.kill()
        await sending.wait()
    return (number / watch.wall,)


@asynccontextmanager
async def _spooled(number: int) -> AsyncIterator[tuple[FakeUnitAgent, MetricSpool]]:
    """A unit with so many batches in its spool, and none in memory."""
    with tempfile.TemporaryDirectory() as folder:
        unit = FakeUnitAgent(data_dir=Path(folder, "data"), unit_dir=Path(folder))
        spool = await start_spool(unit, Limits(batches=2 * number, megabytes=4096.0), (SENDER,))
        assert isinstance(spool, MetricSpool)
        try:
            for begin in range(0, number, AT_ONCE):
                await spool.publish([batch(n) for n in range(begin, min(begin + AT_ONCE, number))])
            yield unit, spool
        finally:
            spool.kill()
            await spool.wait()


@asynccontextmanager
async def _receiver() -> AsyncIterator[str]:
    """The receiver, once it listens, until the block ends."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    argv = [sys.executable, "-m", "tests.benchmarks.metricreceiver", str(port)]
    with subprocess.Popen(argv) as process:
        try:
            await _until_listening(port)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.kill()


async def _until_listening(port: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await _listens(port):
            await asyncio.sleep(0.02)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
