"""OTLP over HTTP, in protobuf: as the protocol says, and not as SDKs' exporters do, which give up after some seconds.

A gauge is a Gauge; what was added since the last batch is a Sum of deltas, a counter a cumulative Sum.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality, Metric, NumberDataPoint

from undercroft.files import in_thread
from undercroft_hookspecs import Accepted, BatchesRefusedError, SendReport
from undercroft_metrics.senders.samples import samples_of
from undercroft_metrics.senders.transport import packed, poster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from undercroft_hookspecs import Agent, MetricBatch, MetricDelivery, MetricSample, MetricSenderOpener
    from undercroft_metrics.senders.config import OtlpConfig
    from undercroft_metrics.senders.transport import Poster

DISTRIBUTION = "undercroft-metrics"
_FOR_GOOD = (500, 501, 505)
"""Of the statuses from 500 on, those that the protocol lets nobody retry; any other is an outage."""

_log = logging.getLogger(__name__)


class OtlpDelivery:
    """The open sender of one unit."""

    def __init__(self, receiver: Poster, compression: str, *, name: str) -> None:
        self._receiver, self._compression, self._name = receiver, compression, name
        self._version = version(DISTRIBUTION)

    async def send(self, batches: Sequence[MetricBatch]) -> SendReport:
        """Export batches. A partial success is a success: what it rejects may not be sent again, and is logged."""
        body, headers = await in_thread(self._encoded, batches)
        every = {**headers, "Content-Type": "application/x-protobuf"}
        answer = await self._receiver.post(body, every, passing=frozenset(_FOR_GOOD))
        if answer.status in _FOR_GOOD:
            raise BatchesRefusedError(f"HTTP {answer.status}, which OTLP does not let us retry")
        self._look_at(answer.body)
        return SendReport(verdicts={batch.id: Accepted() for batch in batches})

    def _encoded(self, batches: Sequence[MetricBatch]) -> tuple[bytes, dict[str, str]]:
        body, headers = packed(request(batches, self._version).SerializeToString(), self._compression)
        return body, dict(headers)

    def _look_at(self, body: bytes) -> None:
        try:
            partial = ExportMetricsServiceResponse.FromString(body).partial_success
        except DecodeError:  # Some answer a plain word, which is no reason to send all again.
            return
        if partial.rejected_data_points:
            _log.warning(
                "%s rejected %d data points, which are lost to it: %s",
                self._name,
                partial.rejected_data_points,
                partial.error_message or "no reason given",
            )
        elif partial.error_message:
            _log.info("%s says: %s", self._name, partial.error_message)


def request(batches: Sequence[MetricBatch], release: str) -> ExportMetricsServiceRequest:
    """The request for batches of one unit: its data points by metric and kind, in the batches' order."""
    export = ExportMetricsServiceRequest()
    found: dict[tuple[str, str, str, str], Metric] = {}
    scopes = {}
    for batch in batches:
        owner = (batch.model, batch.unit)
        if owner not in scopes:
            resource = export.resource_metrics.add()
            application = batch.unit.partition("/")[0]
            resource.resource.attributes.extend(
                [
                    _attribute("service.name", application),
                    _attribute("service.instance.id", batch.unit),
                    _attribute("undercroft.model", batch.model),
                ]
            )
            scopes[owner] = resource.scope_metrics.add()
            scopes[owner].scope.name, scopes[owner].scope.version = DISTRIBUTION, release
        for sample in samples_of(batch):
            series = (*owner, sample.key, sample.kind)
            if series not in found:
                found[series] = _metric(scopes[owner].metrics.add(), sample)
            _add_point(found[series], sample, batch.created)
    return export


def _metric(metric: Metric, sample: MetricSample) -> Metric:
    metric.name = sample.key
    if sample.kind == "absolute":
        metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
    elif sample.kind == "counter":
        metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        metric.sum.is_monotonic = True
    return metric


def _add_point(metric: Metric, sample: MetricSample, created: datetime) -> NumberDataPoint:
    point = (metric.gauge if sample.kind == "gauge" else metric.sum).data_points.add()
    point.time_unix_nano = _nanoseconds(sample.time)
    if sample.kind == "absolute":
        point.start_time_unix_nano = min(_nanoseconds(created), point.time_unix_nano)
    point.as_double = float(sample.value)
    point.attributes.extend(_attribute(name, value) for name, value in sorted(sample.labels.items()))
    return point


def _attribute(name: str, value: str) -> KeyValue:
    return KeyValue(key=name, value=AnyValue(string_value=value))


def _nanoseconds(time: datetime) -> int:
    # Not of the float alone, which has no room for them.
    return max(int(time.replace(microsecond=0).timestamp()) * 1_000_000_000 + time.microsecond * 1000, 0)


def opener(agent: Agent, name: str, config: OtlpConfig) -> MetricSenderOpener:
    """An OTLP receiver as a sender."""

    @asynccontextmanager
    async def open_sender(_model: str, _unit: str, /) -> AsyncIterator[MetricDelivery]:
        async with poster(config, agent.clock) as receiver:
            yield OtlpDelivery(receiver, config.compression, name=name)

    return open_sender
