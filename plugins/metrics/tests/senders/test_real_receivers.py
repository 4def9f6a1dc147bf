"""Real receivers have every sample that was sent, once, with the value and time that it was sent with."""

from __future__ import annotations

import asyncio
import json
import re
import time
import urllib.parse
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from plugins.metrics.tests.senders.servers import get, otel_sink, prometheus, pushgateway, put
from plugins.metrics.tests.sending.fakes import MODEL, MemoryQueue, MemorySpool

from undercroft.testing.agent import FakeUnitAgent
from undercroft_hookspecs import MetricBatch, MetricSample
from undercroft_metrics.senders import configured
from undercroft_metrics.senders.config import OtlpConfig, RemoteWriteConfig, SenderConfig, TextfileConfig
from undercroft_metrics.sending.worker import MetricSending

Point = tuple[str, str, int, float]
"""A sample as a receiver tells of it: metric, label, milliseconds, value."""


def batches(now: datetime, count: int) -> list[MetricBatch]:
    """So many batches up to now, ten seconds apart; each has two metrics, one of them with two labels' values."""
    return [made(now - timedelta(seconds=10 * (count - n)), n) for n in range(count)]


def made(moment: datetime, n: int) -> MetricBatch:
    """The batch of that number."""
    samples = [
        MetricSample(key="queue-depth", value=f"{n}.5", time=moment),
        MetricSample(key="requests", value=str(n), time=moment, kind="counter", labels={"path": '/ü"\\'}),
        MetricSample(key="requests", value=str(2 * n), time=moment, kind="counter", labels={"path": "/b"}),
    ]
    return MetricBatch(
        id=str(UUID(int=n)), model=MODEL, unit="specimen/0", charm="a-1", created=moment, samples=samples
    )


def points(sent: list[MetricBatch], name: Callable[[str], str]) -> set[Point]:
    """What a receiver should have of batches."""
    return {
        (name(each.key), each.labels.get("path", ""), round(each.time.timestamp() * 1000), float(each.value))
        for batch in sent
        for each in batch.samples
    }


def underscored(key: str) -> str:
    """A key as Prometheus names it."""
    return key.replace("-", "_")


async def pump(config: SenderConfig, folder: Path, sent: list[MetricBatch]) -> MemoryQueue:
    """Have the worker send batches until none waits."""
    unit, spool = FakeUnitAgent(data_dir=folder), MemorySpool()
    queue = spool.of("it")
    queue.batches = list(sent)
    queue.publish()
    worker = MetricSending(unit, spool=spool, senders=configured(unit, {"it": config}))
    try:
        async with asyncio.timeout(30):
            while queue.batches:
                await asyncio.sleep(0.01)
    finally:
        worker.kill()
        await worker.wait()
    return queue


def test_prometheus_has_every_sample_once_and_what_it_refuses_is_a_dead_letter(tmp_path: Path) -> None:
    """The one that is ten days too old would take the whole request with it."""
    now = datetime.now(UTC).replace(microsecond=123000)
    good = batches(now, 60)
    old = made(now - timedelta(days=10), 60).samples[0]
    bad = MetricBatch(
        id=str(UUID(int=60)), model=MODEL, unit="specimen/0", charm="", created=now, samples=[
            MetricSample(key="another", value="1", time=old.time)
        ],
    )  # fmt: skip
    with prometheus(tmp_path) as api:
        config = RemoteWriteConfig(url=f"{api}/write")
        asyncio.run(pump(config, tmp_path, good[:30]))
        queue = asyncio.run(pump(config, tmp_path, [*good[30:45], bad, *good[45:]]))
        again = asyncio.run(pump(config, tmp_path, good))  # As after a crash before the acknowledgement.
        query = urllib.parse.quote('{unit="specimen/0"}[1h]')
        result = json.loads(get(f"{api}/query?query={query}&time={time.time()}"))["data"]["result"]

    stored = [
        (series["metric"]["__name__"], series["metric"].get("path", ""), round(float(moment) * 1000), float(value))
        for series in result
        for moment, value in series["values"]
    ]
    assert len(stored) == len(set(stored))
    assert set(stored) == points(good, underscored)
    assert {each["metric"]["model"] for each in result} == {MODEL}
    assert list(queue.dead) == [60]
    assert "400" in queue.dead[60]
    assert again.dead == {}


def test_an_otlp_parser_that_is_not_ours_reads_every_sample(tmp_path: Path) -> None:
    sent = batches(datetime.now(UTC).replace(microsecond=123000), 20)
    with otel_sink(tmp_path) as sink:
        queue = asyncio.run(pump(OtlpConfig(url=sink.url, compression="none", max_batches=7), tmp_path, sent))
        found = sink.points()

    read = [
        (
            each["metric"],
            each["attributes"][0]["value"]["stringValue"] if "attributes" in each else "",
            int(each["timeUnixNano"]) // 1_000_000,
            float(each.get("asDouble", 0.0)),
        )
        for each in found
    ]
    assert len(read) == len(set(read))
    assert set(read) == points(sent, str)
    assert queue.dead == {}


def test_prometheus_own_parser_reads_the_text_file(tmp_path: Path) -> None:
    sent = batches(datetime.now(UTC), 5)
    asyncio.run(pump(TextfileConfig(folder=str(tmp_path / "texts")), tmp_path, sent))
    (file,) = (tmp_path / "texts").iterdir()

    with pushgateway(tmp_path) as url:
        put(f"{url}/metrics/job/x", file.read_bytes())
        text = get(f"{url}/metrics").decode()

    values = dict(re.findall(r'^(\w+\{.*unit="specimen/0"\}) (\S+)$', text, re.MULTILINE))
    newest = {(underscored(each.key), each.labels.get("path", "")): float(each.value) for each in sent[-1].samples}
    read = {}
    for series, value in values.items():
        path = re.search(r'path="((?:[^"\\]|\\.)*)"', series)
        unescaped = path[1].replace('\\"', '"').replace("\\\\", "\\") if path else ""
        read[series.partition("{")[0], unescaped] = float(value)
    assert read.pop(("undercroft_last_batch_timestamp_seconds", "")) == sent[-1].created.timestamp()
    assert read == newest
