"""Metric batches, and where they are sent: what a sender is, what it is given, and what it answers.

A sender is declared by `undercroft_metric_senders`, opened by each unit's `metric-sender`, and given batches that stay
in that unit's spool until it has answered for them. Everything is sent at least once: what makes it once is the batch's
id, by which a receiver knows it again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.records import Record
from undercroft_hookspecs.state import MeterStatus

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

MetricKind: TypeAlias = Literal["gauge", "absolute", "counter"]
"""gauge: the value as it stands; absolute: what was added since the last batch; counter: the sum since some start."""


class MetricSample(Record, frozen=True, kw_only=True):
    """One value of one metric. `value` is the text that was recorded, which is a finite decimal number."""

    key: str
    value: str
    time: datetime
    kind: MetricKind = "gauge"
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)


class MetricGap(Record, frozen=True, kw_only=True):
    """Batches that were dropped before they could be sent: how many, made in which time, and why."""

    first: datetime
    last: datetime
    batches: int
    samples: int
    reason: str


class MetricBatch(Record, frozen=True, kw_only=True):
    """What one collection of one unit has recorded, in the order it was recorded; or, with `gap`, what is missing.

    `id` is a UUID of the time-ordered layout. `charm` says which charm declared the metrics, as `name-revision`.
    A collection that was too large for one batch is in several, of which `part` (from 1) of `parts` is this.
    `hook_status` is the exit status of the collect-metrics hook, or None where there was none.
    """

    id: str
    model: str
    unit: str
    charm: str
    created: datetime
    samples: Sequence[MetricSample]
    part: int = 1
    parts: int = 1
    hook_status: int | None = None
    gap: MetricGap | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The receiver has the batch; `duplicate` if it had it before."""

    duplicate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """The receiver cannot take the batch now. It may be sent again in `after` seconds, or when the sender sees fit."""

    reason: str
    after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """The receiver will never take the batch: it goes to the dead letters."""

    reason: str


Verdict: TypeAlias = Accepted | Retry | Rejected


class BatchesRefusedError(UndercroftError):
    """The receiver refuses what it was sent, for good, and does not say which batch is to blame."""


class TooMuchError(UndercroftError):
    """The receiver would take less at a time: fewer batches, or smaller ones."""


class RetryLaterError(UndercroftError):
    """The receiver asks for patience, with everything: for `after` seconds where it said so."""

    def __init__(self, reason: str, *, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


@dataclass(frozen=True, slots=True, kw_only=True)
class SendReport:
    """What became of the batches that were sent, and what the receiver has to say about the unit's metering.

    A batch that `verdicts` does not name is sent again; ids that were not sent are ignored. `statuses` are meter
    statuses by unit name, `model_status` that of all the model's units. `grace` is for how many seconds the receiver
    bears not to hear from us.
    """

    verdicts: Mapping[str, Verdict]
    statuses: Mapping[str, MeterStatus] = field(default_factory=dict)
    model_status: MeterStatus | None = None
    grace: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderHealth:
    """How a sender of a unit fares.

    `failures` counts those since the last success, `since` is when the first of them was, `error` what the last one
    said. `trying_since` is when the sender was first tried at all; what has never succeeded counts from there. `grace`
    is for how many seconds the receiver bears not to hear from us, `oldest` the time of the oldest batch that waits.
    """

    sender: str
    failures: int = 0
    error: str = ""
    trying_since: datetime | None = None
    since: datetime | None = None
    last_success: datetime | None = None
    grace: float = 7 * 86400.0
    waiting: int = 0
    dead: int = 0
    oldest: datetime | None = None


@runtime_checkable
class SenderHealths(Protocol):
    """How all senders of a unit fare: what the unit manifold `metric-sender` puts out for the meter status."""

    def senders(self) -> Sequence[SenderHealth]:
        """Their present state, by name."""
        ...

    def watch_senders(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[SenderHealth]]]:
        """Their state, and again whenever a try has succeeded after a failure, or failed."""
        ...


@runtime_checkable
class MeterSources(Protocol):
    """Where any worker of a unit says how its metering stands: what the unit manifold `meter-status` puts out."""

    def set(self, source: str, status: MeterStatus | None) -> None:
        """From now on a source says this; None: it has nothing to say. The most severe that any says is the unit's."""


class MetricDelivery(Protocol):
    """An open sender of one unit."""

    async def send(self, batches: Sequence[MetricBatch]) -> SendReport:
        """Send batches, oldest first, within the sender's limits, and say what became of each.

        Bounded in time by itself. Cancelled: the batches are sent again.

        Raises:
            OSError, TimeoutError, RetryLaterError: all are sent again, later.
            TooMuchError: all are sent again, fewer at a time; one that is alone is rejected.
            BatchesRefusedError: they are sent again in halves, until the one to blame is found.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSender:
    """A destination of metric batches.

    `open` gives an open sender for one unit's batches, used by one task. `max_batches` and `max_bytes` (of the batches'
    JSON) bound one `send`. `keeps_history` is False where only the newest values count: then old batches are not sent
    before newer ones, but acknowledged unsent. A `send` that is not done in `timeout` seconds is cancelled.
    """

    open: MetricSenderOpener
    max_batches: int = 1000
    max_bytes: int = 1 << 20
    keeps_history: bool = True
    timeout: float = 60.0


class MetricSenderOpener(Protocol):
    """How a sender is opened for a unit."""

    def __call__(self, model: str, unit: str, /) -> AbstractAsyncContextManager[MetricDelivery]:
        """The sender, open while the block lasts."""
        ...
