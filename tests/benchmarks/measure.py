"""How things are measured: both sides in one process, taking turns, and the medians compared."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

Measurement = Callable[[], Awaitable[Sequence[float]]]
"""One run, which gives one or several figures: seconds, say, to start and to stop."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured: `short` is for CI, which wants to know that everything runs."""

    short: bool = False

    def size(self, full: int) -> int:
        """How many workers or manifolds, instead of `full`."""
        return max(full // 50, 20) if self.short else full

    def rounds(self, full: int) -> int:
        """How often, instead of `full`."""
        return 1 if self.short else full

    def seconds(self, full: float) -> float:
        """How long, instead of `full`."""
        return 0.5 if self.short else full


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `met` is None where there is no target."""

    what: str
    ours: str
    peer: str
    result: str
    target: str
    met: bool | None

    def document(self) -> dict[str, object]:
        """The row as JSON has it."""
        return asdict(self)


@dataclass
class Table:
    """The rows of one benchmark, in the order in which they were measured."""

    rows: list[Row] = field(default_factory=list)

    def add(
        self, what: str, ours: str, *, peer: str = "", result: str = "", target: str = "", met: bool | None = None
    ) -> None:
        """Add any row."""
        self.rows.append(Row(what, ours, peer, result, target, met))

    def at_most(
        self, what: str, ours: float, peer: float, limit: float | None, *, show: Callable[[float], str], of: str
    ) -> None:
        """A cost, as a ratio to the peer's that may be `limit` at most; None: for information."""
        ratio = ours / peer if peer else float("inf")
        target = "" if limit is None else f"<= {limit:g}x"
        self.add(
            what,
            show(ours),
            peer=f"{of} {show(peer)}",
            result=f"{ratio:.2f}x",
            target=target,
            met=None if limit is None else ratio <= limit,
        )

    def at_least(
        self, what: str, ours: float, peer: float, limit: float | None, *, show: Callable[[float], str], of: str
    ) -> None:
        """A rate, as a ratio to the peer's that must be `limit` at least; None: for information."""
        ratio = ours / peer if peer else float("inf")
        target = "" if limit is None else f">= {limit:g}x"
        self.add(
            what,
            show(ours),
            peer=f"{of} {show(peer)}",
            result=f"{ratio:.2f}x",
            target=target,
            met=None if limit is None else ratio >= limit,
        )

    def within(self, what: str, ours: float, limit: float | None, *, show: Callable[[float], str]) -> None:
        """A figure that has a limit of its own."""
        target = "" if limit is None else f"<= {show(limit)}"
        self.add(what, show(ours), result=show(ours), target=target, met=None if limit is None else ours <= limit)


def milliseconds(seconds: float) -> str:
    """Seconds, as a person reads short times."""
    return f"{seconds * 1e6:.0f} us" if seconds < 1e-3 else f"{seconds * 1e3:.{1 if seconds < 0.1 else 0}f} ms"


def kilobytes(size: float) -> str:
    """Bytes, as KB."""
    return f"{size / 1024:.2f} KB"


def megabytes(size: float) -> str:
    """Bytes, as MB."""
    return f"{size / 1024 / 1024:.1f} MB"


def per_second(rate: float) -> str:
    """A rate."""
    return f"{rate:,.0f}/s"


def percent(share: float) -> str:
    """A share of a core."""
    return f"{share * 100:.3f} %"


async def in_turns(rounds: int, *sides: Measurement) -> list[list[float]]:
    """Run the sides in turn, `rounds` times; for each, the median of each of its figures.

    One round more comes first and is not counted, unless there is but one: it warms up. The collector runs before each
    measurement.
    """
    figures: list[list[Sequence[float]]] = [[] for _ in sides]
    warming = int(rounds > 1)
    for number in range(rounds + warming):
        for side, found in zip(sides, figures, strict=True):
            gc.collect()
            figure = await side()
            if number >= warming:
                found.append(figure)
    return [[statistics.median(column) for column in zip(*found, strict=True)] for found in figures]


class Stopwatch:
    """Wall-clock and CPU time of a block."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Measure the block."""
    watch = Stopwatch()
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        yield watch
    finally:
        watch.wall, watch.cpu = time.perf_counter() - wall, time.process_time() - cpu


def memory(key: str = "VmRSS", pid: int | str = "self") -> int:
    """The bytes of memory that a process has (VmRSS), or had at most (VmHWM)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(key)
