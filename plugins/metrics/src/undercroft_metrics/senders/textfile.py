"""The newest values in Prometheus' text format, in a file that node_exporter's textfile collector reads.

Such a file has no history and no timestamps: how old its values are is told by a metric of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from undercroft.files import in_thread, write_atomic
from undercroft_hookspecs import Accepted, SendReport
from undercroft_metrics.senders.names import file_name
from undercroft_metrics.senders.samples import labels_of, metric_name, samples_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft_hookspecs import Agent, MetricBatch, MetricDelivery, MetricSenderOpener
    from undercroft_metrics.senders.config import TextfileConfig

LAST_BATCH = "undercroft_last_batch_timestamp_seconds"
READABLE = 0o644


class Newest(Collector):
    """The newest value of each series of one unit, as prometheus_client collects them.

    All are gauges, whatever the charm says: with their history unknown, a sum cannot be continued. Help texts are the
    same for all units, for node_exporter refuses files that differ in them.
    """

    def __init__(self, model: str, unit: str) -> None:
        self._own = {"model": model, "unit": unit}
        self._values: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
        self._last = 0.0

    def take(self, batches: Sequence[MetricBatch]) -> None:
        """Later samples replace earlier ones."""
        for batch in batches:
            self._last = max(self._last, batch.created.timestamp())
            for sample in samples_of(batch):
                labels = tuple(sorted(labels_of(self._own, sample.labels).items()))
                self._values.setdefault(metric_name(sample.key), {})[labels] = float(sample.value)

    def collect(self) -> Iterable[Metric]:
        """The metrics, by name."""
        for name, values in sorted(self._values.items()):
            family = GaugeMetricFamily(name, f"{name}, as a charm has measured it")
            for labels, value in sorted(values.items()):
                family.add_sample(name, dict(labels), value)
            yield family
        family = GaugeMetricFamily(LAST_BATCH, "When the newest batch of metrics of a unit was made")
        family.add_sample(LAST_BATCH, self._own, self._last)
        yield family

    def text(self) -> bytes:
        """The whole exposition."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return bytes(generate_latest(registry))


class TextfileDelivery:
    """The open sender of one unit."""

    def __init__(self, path: Path, newest: Newest) -> None:
        self._path, self._newest = path, newest

    async def send(self, batches: Sequence[MetricBatch]) -> SendReport:
        """Replace the file by one with these values, and with those that they leave as they were."""
        self._newest.take(batches)
        await in_thread(lambda: self._path.parent.mkdir(parents=True, exist_ok=True))
        await write_atomic(self._path, await in_thread(self._newest.text), mode=READABLE)
        return SendReport(verdicts={batch.id: Accepted() for batch in batches})


def opener(_agent: Agent, _name: str, config: TextfileConfig) -> MetricSenderOpener:
    """A folder of text files as a sender."""

    @asynccontextmanager
    async def open_sender(model: str, unit: str, /) -> AsyncIterator[MetricDelivery]:
        yield TextfileDelivery(Path(config.folder, file_name(model, unit, ".prom")), Newest(model, unit))

    return open_sender
