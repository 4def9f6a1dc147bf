"""What a process was doing when it was killed: it notes it in a file that it shares with whoever kills it."""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

from undercroft_hookspecs import MetricBatch, MetricDelivery, MetricSender, SendReport

KINDS = ("collect", "publish", "send")
_FILE = "marks"


class Marks:
    """The process' side."""

    def __init__(self, folder: Path) -> None:
        path = folder / _FILE
        path.write_bytes(bytes(len(KINDS)))
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), len(KINDS))

    @contextmanager
    def during(self, kind: str) -> Iterator[None]:
        """It does that while the block runs, perhaps several times at once."""
        self._shared[KINDS.index(kind)] += 1
        try:
            yield
        finally:
            self._shared[KINDS.index(kind)] -= 1

    def senders(self, senders: Mapping[str, MetricSender]) -> Mapping[str, MetricSender]:
        """The same senders, which note when they send."""
        return {name: self._sender(sender) for name, sender in senders.items()}

    def _sender(self, sender: MetricSender) -> MetricSender:
        @asynccontextmanager
        async def open_sender(model: str, unit: str, /) -> AsyncIterator[MetricDelivery]:
            async with sender.open(model, unit) as delivery:
                yield _Delivery(delivery, self)

        return replace(sender, open=open_sender)


class _Delivery:
    def __init__(self, delivery: MetricDelivery, marks: Marks) -> None:
        self._delivery, self._marks = delivery, marks

    async def send(self, batches: Sequence[MetricBatch]) -> SendReport:
        with self._marks.during("send"):
            return await self._delivery.send(batches)


def hit(folder: Path) -> Counter[str]:
    """What the process was doing when it was killed."""
    return Counter(kind for kind, number in zip(KINDS, (folder / _FILE).read_bytes(), strict=True) if number)
