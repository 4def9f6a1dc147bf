"""Prometheus' remote write 1.0: series with sorted labels, samples by time, one per millisecond, in snappy.

Receivers differ in what they make of anything else: unsorted samples are dropped without a word, an empty label makes
a whole request fail. What is sent here is what all of them take.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from cramjam import snappy

from undercroft.files import in_thread
from undercroft_hookspecs import Accepted, BatchesRefusedError, Rejected, SendReport, TooMuchError
from undercroft_metrics.senders.samples import labels_of, metric_name, samples_of
from undercroft_metrics.senders.transport import poster

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft_hookspecs import Agent, Clock, MetricBatch, MetricDelivery, MetricSenderOpener, Verdict
    from undercroft_metrics.senders.config import RemoteWriteConfig
    from undercroft_metrics.senders.transport import Poster

Series: TypeAlias = tuple[tuple[str, str], ...]

_HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "snappy",
    "X-Prometheus-Remote-Write-Version": "0.1.0",
}
RESUME_SECONDS = 10.0

_TOO_LATE = re.compile(r"out[ -]of[ -]order|duplicate[ -](sample|timestamp)", re.IGNORECASE)
_DOUBLE = struct.Struct("<d")


class RemoteWriteDelivery:
    """The open sender of one unit.

    Receivers refuse what is older than what they have, and thereby also what they have got already, unless it is their
    newest. So where it is not known what came of the last write (at the start, and after a failure), batches are sent
    one by one until one is new, and those refused for being old are taken as arrived: this unit's samples come from
    here alone, and in their order.
    """

    def __init__(self, receiver: Poster, labels: Mapping[str, str], clock: Clock) -> None:
        self._receiver, self._labels, self._clock = receiver, labels, clock
        self._sure = False

    async def send(self, batches: Sequence[MetricBatch]) -> SendReport:
        """Write batches, merged into one request."""
        try:
            await self._write(batches)
        except BatchesRefusedError as refused:
            if self._sure or not _TOO_LATE.search(str(refused)):
                raise
            return SendReport(verdicts=await self._resume(batches))
        return SendReport(verdicts={batch.id: Accepted() for batch in batches})

    async def _resume(self, batches: Sequence[MetricBatch]) -> Mapping[str, Verdict]:
        """Go past what the receiver has, for a while: what there is no time for is sent again."""
        verdicts: dict[str, Verdict] = {}
        until = self._clock.monotonic() + RESUME_SECONDS
        for batch in batches:
            if self._sure or self._clock.monotonic() >= until:
                break
            try:
                await self._write([batch])
            except BatchesRefusedError as refused:
                if not _TOO_LATE.search(str(refused)):
                    verdicts[batch.id] = Rejected(reason=str(refused))
                else:
                    verdicts[batch.id] = Accepted(duplicate=True)
            else:
                verdicts[batch.id] = Accepted()
        return verdicts

    async def _write(self, batches: Sequence[MetricBatch]) -> None:
        if not (body := await in_thread(self._encoded, batches)):
            return
        try:
            await self._receiver.post(body, _HEADERS)
        except (BatchesRefusedError, TooMuchError):
            raise  # Nothing of it was stored.
        except BaseException:
            self._sure = False
            raise
        self._sure = True

    def _encoded(self, batches: Sequence[MetricBatch]) -> bytes:
        found = merged(batches, self._labels)
        return bytes(snappy.compress_raw(encode(found))) if found else b""


def merged(batches: Sequence[MetricBatch], more: Mapping[str, str]) -> Mapping[Series, Mapping[int, float]]:
    """All samples by series and millisecond, both sorted; of several in one millisecond the last counts."""
    found: dict[Series, dict[int, float]] = {}
    for batch in batches:
        own = {**more, "model": batch.model, "unit": batch.unit}
        for sample in samples_of(batch):
            labels = {**labels_of(own, sample.labels), "__name__": metric_name(sample.key)}
            moment = round(sample.time.timestamp() * 1000)
            found.setdefault(tuple(sorted(labels.items())), {})[moment] = float(sample.value)
    return {series: dict(sorted(samples.items())) for series, samples in sorted(found.items())}


def encode(found: Mapping[Series, Mapping[int, float]]) -> bytes:
    """The protobuf message WriteRequest, by hand: it has four kinds of field, and no library knows only these."""
    return b"".join(_field(1, b"".join(_series(series, samples))) for series, samples in found.items())


def _series(series: Series, samples: Mapping[int, float]) -> Iterator[bytes]:
    for name, value in series:
        yield _field(1, _field(1, name.encode()) + _field(2, value.encode("utf-8", "replace")))
    for moment, number in samples.items():
        # Negative numbers are ten bytes long: as unsigned ones of 64 bits.
        yield _field(2, b"\x09" + _DOUBLE.pack(number) + b"\x10" + _varint(moment & (2**64 - 1)))


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def opener(agent: Agent, _name: str, config: RemoteWriteConfig) -> MetricSenderOpener:
    """A receiver of remote write as a sender."""

    @asynccontextmanager
    async def open_sender(_model: str, _unit: str, /) -> AsyncIterator[MetricDelivery]:
        async with poster(config, agent.clock) as receiver:
            yield RemoteWriteDelivery(receiver, config.labels, agent.clock)

    return open_sender
