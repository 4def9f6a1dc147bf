"""A process to be killed: it publishes batches, says which are safe, and sends them all the while.

`python -m plugins.metrics.tests.killed FOLDER URL PROMETHEUS FIRST COUNT`: the batches have the numbers from FIRST on.
With a COUNT of 0 it publishes none. It ends when everything has arrived. PROMETHEUS may be empty.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import uvloop
from plugins.metrics.tests.marks import Marks

from undercroft.testing.agent import FakeUnitAgent
from undercroft_hookspecs import MetricBatch, MetricSample
from undercroft_metrics.senders import configured
from undercroft_metrics.senders.config import (
    FileConfig,
    HttpConfig,
    RemoteWriteConfig,
    SenderConfig,
    StoreConfig,
)
from undercroft_metrics.sending.worker import MetricSending
from undercroft_metrics.spool.limits import Limits
from undercroft_metrics.spool.worker import MetricSpool, start_spool


def batch(number: int, now: datetime, publisher: str) -> MetricBatch:
    """The batch of that number, whose two samples have it as their value, in two series of each publisher."""
    samples = [
        MetricSample(key=key, value=str(number), time=now, labels={"publisher": publisher}) for key in ("one", "two")
    ]
    name = str(UUID(int=number))
    return MetricBatch(id=name, model=str(UUID(int=0)), unit="specimen/0", charm="shop-1", created=now, samples=samples)


async def publish(spool: MetricSpool, marks: Marks, publisher: str, numbers: range) -> None:
    """Publish batches one by one, none in the same millisecond as another, and say of each that it is safe."""
    last = datetime.now(UTC)
    for number in numbers:
        last = max(datetime.now(UTC), last + timedelta(milliseconds=1))
        with marks.during("publish"):
            await spool.publish([batch(number, last, publisher)])
        print(number, flush=True)


async def main(folder: Path, url: str, prometheus: str, first: int, count: int) -> None:
    """Publish and send."""
    unit = FakeUnitAgent(data_dir=folder / "data", unit_dir=folder)
    config: dict[str, SenderConfig] = {
        "store": StoreConfig(path=str(folder / "store.db")),
        "far": HttpConfig(url=url),
        "file": FileConfig(folder=str(folder / "files"), rotate_bytes=20_000, keep=1000),
    }
    if prometheus:
        config["prometheus"] = RemoteWriteConfig(url=prometheus)
    marks = Marks(folder)
    senders = marks.senders(configured(unit, config))
    spool = await start_spool(unit, Limits(), sorted(senders))
    assert isinstance(spool, MetricSpool)
    sending = MetricSending(unit, spool=spool, senders=senders)
    numbers = (range(first + n * count, first + (n + 1) * count) for n in range(4))
    await asyncio.gather(*(publish(spool, marks, str(n), each) for n, each in enumerate(numbers)))
    while any(queue.stats().batches for queue in spool.spool.queues.values()):
        await asyncio.sleep(0.01)
    for worker in (sending, spool):
        worker.kill()
        await worker.wait()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
