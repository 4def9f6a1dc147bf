"""A spool to test, and batches to put into it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from undercroft.testing import FakeClock
from undercroft_hookspecs import MetricBatch, MetricSample
from undercroft_metrics.spool.folders import Folders
from undercroft_metrics.spool.limits import Limits
from undercroft_metrics.spool.queue import Owner, Queue
from undercroft_metrics.spool.spool import Spool

START = datetime(2026, 1, 1, tzinfo=UTC)
MODEL = "00000000-0000-0000-0000-000000000000"
NO_RESERVE = 0.0


def batch(number: int, *, samples: int = 1, value: str = "1") -> MetricBatch:
    """The batch of that number."""
    created = START + timedelta(seconds=number)
    given = [MetricSample(key="pings", value=value, time=created) for _ in range(samples)]
    return MetricBatch(
        id=str(UUID(int=number)), model=MODEL, unit="specimen/0", charm="mysql-1", created=created, samples=given
    )


def numbers(batches: object) -> list[int]:
    """The numbers of batches, leaving out gaps."""
    assert isinstance(batches, (list, tuple))
    return [UUID(each.id).int for each in batches if each.gap is None]


def missing(batches: object) -> int:
    """How many batches the gaps among these speak of."""
    assert isinstance(batches, (list, tuple))
    return sum(each.gap.batches for each in batches if each.gap is not None)


@dataclass
class Bench:
    """A folder in which spools are opened, one after the other, as after crashes."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    dropped: list[tuple[str, str, int]] = field(default_factory=list)
    opened: list[Spool] = field(default_factory=list)

    def open(self, *senders: str, limits: Limits | None = None) -> Spool:
        """A spool, as a process that has just started has it; the one before is closed, as by a kill."""
        self.close()
        on_drop: Callable[[str, str, int], None] = lambda sender, reason, count: self.dropped.append(  # noqa: E731
            (sender, reason, count)
        )
        owner = Owner(
            model=MODEL,
            unit="specimen/0",
            folders=Folders(self.folder),
            limits=limits if limits is not None else Limits(free_megabytes=NO_RESERVE),
            clock=self.clock,
            rng=random.Random(1),
            on_drop=on_drop,
        )
        spool = Spool(owner, senders or ("store",))
        spool.open()
        self.opened.append(spool)
        return spool

    def close(self) -> None:
        """Close what is open."""
        while self.opened:
            self.opened.pop().close()


def take(queue: Queue, *, most: int = 1000) -> list[MetricBatch]:
    """Claim and acknowledge."""
    found = list(queue.claim(most, 1 << 20))
    queue.acknowledge({each.id for each in found})
    return found


def take_all(queue: Queue) -> list[MetricBatch]:
    """Until there is nothing left."""
    found: list[MetricBatch] = []
    while more := take(queue):
        found += more
    return found
