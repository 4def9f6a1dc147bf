"""Where this plugin's rooms meet: the collector records into the spool, and a pump for each sender reads from it.

`plugin.py` and `manifolds.py` take, from the rooms that send:

    undercroft_metrics.senders.config     SenderConfig, the tagged union; STORE, the default of `senders`
    undercroft_metrics.senders            configured(agent, senders: Mapping[str, SenderConfig])
                                              -> Mapping[str, MetricSender], for `undercroft_metric_senders`
    undercroft_metrics.sending.worker     MetricSending(unit, spool=SpoolReader, senders=Mapping[str, MetricSender],
                                              meter=MeterStatusFacade of `model`), the worker of `metric-sender`:
                                              `senders` is all that were collected; its `flush` sends now.
                                              sending_output, its output: SenderHealths, for the meter status
    undercroft_metrics.senders.embedded   StoreReader(path), what `undercroft metrics` reads; FILE, its name in the
                                              plugin's own folder
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.metrics import MetricBatch

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from undercroft_hookspecs import Clock, Meter


class MeteredUnit(Protocol):
    """Whose metrics they are: as much of a UnitAgent as the spool and the senders need, which outlive it."""

    @property
    def model(self) -> object:
        """The model's id."""
        ...

    @property
    def unit(self) -> object:
        """The unit's name."""
        ...

    @property
    def unit_dir(self) -> Path:
        """Where the socket of its spool is."""
        ...

    @property
    def data_dir(self) -> Path:
        """Where the state of its senders is kept."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock."""
        ...

    @property
    def rng(self) -> random.Random:
        """Randomness."""
        ...

    @property
    def meter(self) -> Meter:
        """Where instruments come from."""
        ...


class SpoolFullError(UndercroftError):
    """A queue is full, and its policy is to wait: nothing was published."""


@runtime_checkable
class SpoolWriter(Protocol):
    """The output of `metric-spool` for who records."""

    async def publish(self, batches: Sequence[MetricBatch]) -> Sequence[str]:
        """Keep batches for every sender, durably: once this has returned, they are lost no more. Returns their ids.

        All of one call are published or none; concurrent calls share their fsync of the folders. A sender whose queue
        is full has its policy applied (drop the oldest, drop the newest), each drop counted and in a gap record.

        Raises:
            SpoolFullError: the policy is to block, or the filesystem has too little room.
            OSError: the disk fails; nothing was published.
        """
        ...

    async def check_room(self) -> None:
        """Raise SpoolFullError where a queue is full whose policy is to block: nothing need be collected then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """How a sender's queue stands. Bytes are those that the files take on the disk."""

    batches: int
    bytes: int
    oldest: datetime | None
    dead: int
    quarantined: int


@runtime_checkable
class SpoolReader(Protocol):
    """The output of `metric-spool` for who sends: the queue of one sender, which has one reader at a time."""

    def queue(self, sender: str) -> AbstractAsyncContextManager[SpoolQueue]:
        """The queue of a sender, made if need be; what is published from then on is in it too."""
        ...


class SpoolQueue(Protocol):
    """What one sender has still to send, oldest first."""

    async def claim(self, *, max_batches: int, max_bytes: int) -> Sequence[MetricBatch]:
        """The oldest batches within the limits, at least one where there is any. Claiming again gives the same.

        A file that is torn, foreign or too large is put into quarantine with its reason, and holds up nothing.
        """
        ...

    async def acknowledge(self, ids: Sequence[str]) -> None:
        """Forget batches, for they have arrived. Ids that are not there are ignored."""

    async def bury(self, batch: str, reason: str) -> None:
        """Put a batch (by its id) to the dead letters, which can be looked at, requeued and purged."""

    async def wait(self) -> None:
        """Return when there is something to claim: at once, or at the next publication."""

    def stats(self) -> QueueStats:
        """How the queue stands; costs no look at the disk."""
        ...
