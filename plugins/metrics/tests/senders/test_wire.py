"""What goes over the wire to OTLP receivers and by remote write, read back by parsers that are not ours."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import timedelta

import pytest
from aiohttp import web
from cramjam import snappy
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from plugins.metrics.tests.senders.receivers import Received, endpoint
from plugins.metrics.tests.senders.test_http_faults import sent
from plugins.metrics.tests.sending.fakes import START, batch

from undercroft.testing.agent import FakeAgent
from undercroft_hookspecs import (
    Accepted,
    BatchesRefusedError,
    MetricBatch,
    MetricGap,
    MetricSample,
    RetryLaterError,
)
from undercroft_metrics.senders import configured
from undercroft_metrics.senders.config import OtlpConfig, RemoteWriteConfig
from undercroft_metrics.senders.otlp import request
from undercroft_metrics.senders.remote_write import encode, merged
from undercroft_metrics.senders.samples import label_name, metric_name


def of(*samples: MetricSample) -> MetricBatch:
    """A batch of these samples."""
    return MetricBatch(id="x", model="m", unit="a/0", charm="a-1", created=START, samples=samples)


def sample(key: str, value: str, seconds: float = 0, kind: str = "gauge", **labels: str) -> MetricSample:
    """A sample, so many seconds after the start."""
    time = START + timedelta(seconds=seconds)
    return MetricSample(key=key, value=value, time=time, kind=kind, labels=labels)  # type: ignore[arg-type]


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message, by number."""
    place = 0

    def varint() -> int:
        nonlocal place
        number = shift = 0
        while True:
            byte = message[place]
            place += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    while place < len(message):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        else:
            size = 8 if key & 7 == 1 else varint()
            yield key >> 3, message[place : place + size]
            place += size


def written(body: bytes) -> list[tuple[dict[str, str], list[tuple[int, float]]]]:
    """The series of a write request."""
    found = []
    for _, series in fields(body):
        assert isinstance(series, bytes)
        labels: dict[str, str] = {}
        samples: list[tuple[int, float]] = []
        for number, content in fields(series):
            assert isinstance(content, bytes)
            parts = dict(fields(content))
            if number == 1:
                name, value = parts[1], parts[2]
                assert isinstance(name, bytes)
                assert isinstance(value, bytes)
                labels[name.decode()] = value.decode()
            else:
                double, moment = parts[1], parts[2]
                assert isinstance(double, bytes)
                assert isinstance(moment, int)
                samples.append((moment - (1 << 64 if moment >> 63 else 0), struct.unpack("<d", double)[0]))
        assert list(labels) == sorted(labels)
        found.append((labels, samples))
    return found


async def test_remote_write_says_what_it_is_and_leaves_out_what_receivers_choke_on() -> None:
    async with endpoint() as receiver:
        report = await sent(RemoteWriteConfig(url=receiver.url, labels={"region": "eu"}), 2, 1)

    assert report.verdicts == {batch(n).id: Accepted() for n in (1, 2)}
    (received,) = receiver.requests
    assert received.headers["Content-Encoding"] == "snappy"
    assert received.headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
    ((labels, samples),) = written(bytes(snappy.decompress_raw(received.body)))
    assert labels == {"__name__": "pings", "model": batch(1).model, "region": "eu", "unit": "specimen/0"}
    assert samples == [(int(START.timestamp() * 1000) + n * 1000, 1.0) for n in (1, 2)]


def test_samples_are_merged_over_batches_sorted_and_one_per_millisecond() -> None:
    one = of(sample("a-b", "3", 3), sample("a-b", "1", 1), sample("a-b", "9", 1.0001), sample("a-b", "0", 0, x=""))
    two = of(sample("a_b", "2", 2), sample("a-b", "7", 0, unit="theirs", __x="y"))

    first, second = written(encode(merged([one, two], {})))

    base = int(START.timestamp() * 1000)
    assert second[0] == {"__name__": "a_b", "model": "m", "unit": "a/0"}
    assert second[1] == [(base, 0.0), (base + 1000, 9.0), (base + 2000, 2.0), (base + 3000, 3.0)]
    assert first[0] == {"__name__": "a_b", "_x": "y", "exported_unit": "theirs", "model": "m", "unit": "a/0"}


async def test_a_batch_that_has_no_samples_needs_no_request() -> None:
    async with endpoint() as receiver:
        assert encode(merged([of()], {})) == b""
    assert receiver.requests == []


@given(st.text(max_size=20))
def test_every_name_becomes_one_that_prometheus_takes(name: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")

    for clean in (metric_name(name).replace(":", "_"), label_name(name)):
        assert clean
        assert set(clean) <= allowed
        assert not clean[0].isdigit()
    assert not label_name(name).startswith("__")


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=4), st.floats(0, 1e300))
def test_whatever_the_labels_a_write_request_can_be_read_back(labels: dict[str, str], value: float) -> None:
    each = MetricSample(key="k", value=repr(value), time=START, labels=labels)

    ((found, samples),) = written(encode(merged([of(each)], {})))

    assert samples == [(int(START.timestamp() * 1000), value)]
    assert "" not in found.values()


def test_each_kind_of_metric_is_what_otlp_has_for_it() -> None:
    told = of(
        sample("depth", "1.5"), sample("added", "2", 5, "absolute"), sample("total", "9", 5, "counter", code="200")
    )

    (resource,) = request([told], "1").resource_metrics
    attributes = {each.key: each.value.string_value for each in resource.resource.attributes}
    metrics = {each.name: each for each in resource.scope_metrics[0].metrics}

    assert attributes == {"service.name": "a", "service.instance.id": "a/0", "undercroft.model": "m"}
    assert metrics["depth"].gauge.data_points[0].as_double == 1.5
    added = metrics["added"].sum
    assert (added.aggregation_temporality, added.is_monotonic) == (1, False)
    assert added.data_points[0].start_time_unix_nano < added.data_points[0].time_unix_nano
    assert (metrics["total"].sum.aggregation_temporality, metrics["total"].sum.is_monotonic) == (2, True)
    assert metrics["total"].sum.data_points[0].attributes[0].key == "code"


def test_a_gap_is_told_to_every_receiver() -> None:
    gap = MetricGap(first=START, last=START, batches=3, samples=9, reason="full")
    told = MetricBatch(id="x", model="m", unit="a/0", charm="", created=START, samples=(), gap=gap)

    assert written(encode(merged([told], {})))[0][0]["__name__"] == "undercroft_dropped_batches"
    metric = request([told], "1").resource_metrics[0].scope_metrics[0].metrics[0]
    assert metric.sum.data_points[0].as_double == 3.0


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_otlp_requests_are_protobuf_of_the_batches_samples(compression: str) -> None:
    async with endpoint() as receiver:
        await sent(OtlpConfig(url=receiver.url, compression=compression), 1, 2)  # type: ignore[arg-type]

    (received,) = receiver.requests
    assert received.headers["Content-Type"] == "application/x-protobuf"
    metrics = ExportMetricsServiceRequest.FromString(received.body).resource_metrics[0].scope_metrics[0].metrics
    points = [point.time_unix_nano for point in metrics[0].gauge.data_points]
    assert points == [int(START.timestamp() + n) * 10**9 for n in (1, 2)]


async def test_a_partial_success_is_a_success_that_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def partial(_: Received) -> web.Response:
        said = ExportMetricsServiceResponse()
        said.partial_success.rejected_data_points, said.partial_success.error_message = 2, "too old"
        return web.Response(body=said.SerializeToString(), content_type="application/x-protobuf")

    async with endpoint(partial) as receiver:
        report = await sent(OtlpConfig(url=receiver.url), 1)

    assert report.verdicts == {batch(1).id: Accepted()}
    assert "rejected 2 data points, which are lost to it: too old" in caplog.text


async def test_an_answer_that_is_no_protobuf_is_a_success_all_the_same() -> None:
    async with endpoint(lambda _: web.Response(text="OK")) as receiver:
        report = await sent(OtlpConfig(url=receiver.url), 1)

    assert report.verdicts == {batch(1).id: Accepted()}


class Ordered:
    """A receiver that refuses what is older than what it has, and may be told to fail after it has stored."""

    def __init__(self) -> None:
        self.newest, self.fails = 0, False
        self.stored: list[int] = []

    def __call__(self, received: Received) -> web.Response:
        moments = [
            moment for _, samples in written(bytes(snappy.decompress_raw(received.body))) for moment, _ in samples
        ]
        if min(moments) < self.newest:
            return web.Response(status=400, text="out of order sample")
        self.newest = max(moments)
        self.stored += [(moment - int(START.timestamp() * 1000)) // 1000 for moment in moments]
        return web.Response(status=500 if self.fails else 204)


async def test_what_remote_write_sends_again_after_a_failure_is_known_to_be_there() -> None:
    ordered = Ordered()
    async with endpoint(ordered) as receiver:
        (sender,) = configured(FakeAgent(), {"it": RemoteWriteConfig(url=receiver.url)}).values()
        async with sender.open("m", "a/0") as delivery:
            await delivery.send([batch(0)])
            ordered.fails = True
            with pytest.raises(RetryLaterError):
                await delivery.send([batch(1), batch(2)])
            ordered.fails = False

            report = await delivery.send([batch(1), batch(2), batch(3)])

    assert report.verdicts[batch(1).id] == Accepted(duplicate=True)
    assert sorted(set(ordered.stored)) == [0, 1, 2]
    assert batch(3).id not in report.verdicts, "one that is new is found, and the rest goes together"


async def test_what_is_too_old_for_a_receiver_that_took_the_last_write_is_refused() -> None:
    async with endpoint(Ordered()) as receiver:
        (sender,) = configured(FakeAgent(), {"it": RemoteWriteConfig(url=receiver.url)}).values()
        async with sender.open("m", "a/0") as delivery:
            await delivery.send([batch(5)])
            with pytest.raises(BatchesRefusedError, match="out of order"):
                await delivery.send([batch(4)])
