"""The store on SQLite against bare sqlite3 of the same durability and batch, and how long a watcher waits."""

from __future__ import annotations

import asyncio
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import closing
from pathlib import Path

import uvloop
from tests.benchmarks.measure import Scale, Table, in_turns, milliseconds, per_second, stopwatch

from undercroft.clock import SystemClock
from undercroft_hookspecs import Put, Revision, Store
from undercroft_model.schema import STEPS
from undercroft_model.sqlite_store import open_sqlite

VALUE = b"v" * 256
NEW = Revision(0)
WAITERS = (1, 32, 256)
HERE_LIMIT, ELSEWHERE_LIMIT = 0.010, 0.020

_ELSEWHERE = """
import sys, uvloop
from pathlib import Path
from tests.benchmarks.store import written
uvloop.run(written(Path(sys.argv[1]), int(sys.argv[2])))
"""


async def _ours(store: Store, number: int, at_once: int) -> tuple[float]:
    """Transactions a second, with so many waiting at once."""

    async def some(waiter: int) -> None:
        for _ in range(number // at_once):
            await store.transact([], [Put(f"/k/{waiter}", VALUE)])

    with stopwatch() as watch:
        await asyncio.gather(*(some(waiter) for waiter in range(at_once)))
    return (number // at_once * at_once / watch.wall,)


class _Bare:
    """The same rows in the same tables, written by a loop that does nothing else: one COMMIT for as many as wait.

    The file stays, as the store's does: a log that is written over is synced faster than one that grows.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        for statement in STEPS[0]:
            self._connection.execute(statement)
        self._revision = 0

    async def write(self, number: int, at_once: int) -> tuple[float]:
        """Transactions a second."""
        with stopwatch() as watch:
            for _ in range(number // at_once):
                self._batch(at_once)
        return (number // at_once * at_once / watch.wall,)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _batch(self, size: int) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for waiter in range(size):
            self._revision += 1
            row = (self._revision, b"/k/%d" % waiter, VALUE)
            self._connection.execute("INSERT OR REPLACE INTO entries VALUES (?2, ?3, ?1, NULL)", row)
            self._connection.execute("INSERT INTO changes VALUES (?1, 0, ?2, ?3, NULL)", row)
        self._connection.execute("UPDATE state SET revision = ?", (self._revision,))
        self._connection.execute("COMMIT")


async def _throughput(scale: Scale, table: Table) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(_Bare(Path(folder, "bare.db"))) as raw:
        async with open_sqlite("sqlite:", data_dir=Path(folder), clock=SystemClock()) as store:
            for at_once in WAITERS:
                number = max(scale.size(200 if at_once == 1 else 10_000), at_once)

                def ours(number: int = number, at_once: int = at_once) -> Awaitable[Sequence[float]]:
                    return _ours(store, number, at_once)

                def bare(number: int = number, at_once: int = at_once) -> Awaitable[Sequence[float]]:
                    return raw.write(number, at_once)

                ((rate,), (bare_rate,)) = await in_turns(scale.rounds(5), ours, bare)
                what = f"store: transactions, {at_once} at once"
                table.at_least(what, rate, bare_rate, 0.7, show=per_second, of="bare sqlite3")


async def _reaching_here(folder: Path, count: int) -> float:
    """The median time from the beginning of a write to a watcher's having it, in one process."""
    found: list[float] = []
    async with (
        open_sqlite("sqlite:", data_dir=folder, clock=SystemClock()) as store,
        store.watch("/w/", NEW) as commits,
    ):
        for _ in range(count):
            begun = time.perf_counter()
            writing = asyncio.ensure_future(store.transact([], [Put("/w/a", VALUE)]))
            await anext(commits)
            found.append(time.perf_counter() - begun)
            await writing
    return statistics.median(found)


async def written(folder: Path, count: int) -> None:
    """Write the time, so many times, for another process to see how late it gets it."""
    async with open_sqlite("sqlite:", data_dir=folder, clock=SystemClock()) as store:
        for _ in range(count):
            await store.transact([], [Put("/w/time", b"%d" % time.perf_counter_ns())])
            await asyncio.sleep(0.002)


async def _reaching_elsewhere(folder: Path, count: int) -> float:
    """The same, from one process to another."""
    found: list[float] = []
    async with (
        open_sqlite("sqlite:", data_dir=folder, clock=SystemClock()) as store,
        store.watch("/w/", NEW) as commits,
    ):
        argv = [sys.executable, "-c", _ELSEWHERE, str(folder), str(count)]
        with subprocess.Popen(argv) as process:
            while len(found) < count:
                (change,) = (await anext(commits)).changes
                assert isinstance(change, Put)
                found.append((time.perf_counter_ns() - int(change.value)) / 1e9)
            process.wait()
    return statistics.median(found)


def store(scale: Scale, table: Table) -> None:
    """Throughput, and how long a change takes to a watcher."""
    uvloop.run(_throughput(scale, table))
    measures: tuple[tuple[str, Callable[[Path, int], Coroutine[object, object, float]], float], ...] = (
        ("store: a change reaches a watcher in its process", _reaching_here, HERE_LIMIT),
        ("store: a change reaches a watcher in another process", _reaching_elsewhere, ELSEWHERE_LIMIT),
    )
    for what, measure, limit in measures:
        with tempfile.TemporaryDirectory() as folder:
            latency = uvloop.run(measure(Path(folder), scale.size(500)))
            table.within(what, latency, limit, show=milliseconds)
