"""The newest values among the agent's own instruments, so that whoever reads the agent's `/metrics` sees them, too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from undercroft_hookspecs import Accepted, SendReport, UnitAgent
from undercroft_metrics.senders.samples import samples_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft_hookspecs import Agent, MetricBatch, MetricDelivery, MetricSenderOpener
    from undercroft_hookspecs.agent import Gauge
    from undercroft_metrics.senders.config import MeterConfig


class MeterDelivery:
    """The open sender of one unit. Instruments have fixed labels, and charms do not: theirs are in one, `labels`."""

    def __init__(self, value: Gauge, last: Gauge, own: tuple[str, ...]) -> None:
        self._value, self._last, self._own = value, last, own

    async def send(self, batches: Sequence[MetricBatch]) -> SendReport:
        """Set the instruments; later samples replace earlier ones."""
        for batch in batches:
            for sample in samples_of(batch):
                self._value.set(float(sample.value), *self._own, sample.key, shown(sample.labels))
            self._last.set(batch.created.timestamp(), *self._own)
        return SendReport(verdicts={batch.id: Accepted() for batch in batches})


def shown(labels: Mapping[str, str]) -> str:
    """A sample's labels in one: `a=1,b=2`."""
    return ",".join(f"{name}={value}" for name, value in sorted(labels.items()))


def opener(agent: Agent, _name: str, _config: MeterConfig) -> MetricSenderOpener:
    """The agent's instruments as a sender."""
    # A unit's own meter adds these labels by itself.
    more = [] if isinstance(agent, UnitAgent) else ["model", "unit"]

    @asynccontextmanager
    async def open_sender(model: str, unit: str, /) -> AsyncIterator[MetricDelivery]:
        value = agent.meter.gauge("charm_value", "What charms measure, as it was last", [*more, "metric", "labels"])
        last = agent.meter.gauge("charm_last_batch_seconds", "When a unit's newest batch of metrics was made", more)
        yield MeterDelivery(value, last, (model, unit) if more else ())

    return open_sender
