"""The store on etcd against bare calls with the same requests and answers, and how long a watcher waits."""

from __future__ import annotations

import asyncio
import shutil
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop
from plugins.etcd.tests.cluster import INSTALL, running
from tests.benchmarks.measure import Scale, Table, in_turns, milliseconds, per_second, stopwatch

from undercroft.clock import SystemClock
from undercroft_etcd import messages
from undercroft_etcd.address import parse_address
from undercroft_etcd.opening import open_etcd
from undercroft_hookspecs import Put, Store

if TYPE_CHECKING:
    import grpc.aio

VALUE = b"v" * 256
HERE = Path()
AT_ONCE = 64

LEAST, LEAST_ROUNDS = 10, 3
"""How many operations in a row are measured at the least, and how often, so that a first connection is not counted."""

Operation = Callable[[], Awaitable[object]]


async def rate(operation: Operation, number: int, at_once: int) -> tuple[float]:
    """How many operations a second, so many at once."""

    async def some() -> None:
        for _ in range(number // at_once):
            await operation()

    with stopwatch() as watch:
        await asyncio.gather(*(some() for _ in range(at_once)))
    return (number // at_once * at_once / watch.wall,)


def bare_put(channel: grpc.aio.Channel) -> Operation:
    """A transaction of one write, as a client must at the least do it."""
    method = channel.unary_unary(messages.TXN)  # type: ignore[var-annotated]  # Bytes.

    async def put() -> int:
        request = messages.txn_request([], [messages.put_operation(b"/k", VALUE, 0)], [])
        return messages.txn_answer(await method(request, timeout=5.0)).revision

    return put


def bare_get(channel: grpc.aio.Channel) -> Operation:
    """A read of one key, as a client must at the least do it."""
    method = channel.unary_unary(messages.RANGE)  # type: ignore[var-annotated]  # Bytes.

    async def get() -> bytes:
        return messages.range_answer(await method(messages.range_request(b"/k"), timeout=5.0)).kvs[0].value

    return get


async def throughput(url: str, scale: Scale) -> dict[str, list[list[float]]]:
    """Writes and reads, one after the other and many at once; ours, and bare."""
    import grpc.aio

    (endpoint,) = parse_address(url, data_dir=HERE).endpoints
    async with (
        open_etcd(url, data_dir=HERE, clock=SystemClock()) as store,
        grpc.aio.insecure_channel(endpoint.target) as channel,
    ):
        write = Put("/k", VALUE)
        sides: dict[str, tuple[Operation, Operation]] = {
            "transactions": (lambda: store.transact([], [write]), bare_put(channel)),
            "reads": (lambda: store.get("/k"), bare_get(channel)),
        }
        found = {}
        for what, (ours, bare) in sides.items():
            for at_once, number in ((1, scale.size(2_000)), (AT_ONCE, scale.size(6_400))):
                name = f"{what}, {at_once} at once"
                runs = (partial(rate, side, max(number, LEAST * at_once), at_once) for side in (ours, bare))
                found[name] = await in_turns(max(scale.rounds(5), LEAST_ROUNDS), *runs)
        return found


async def reaching(url: str, scale: Scale) -> float:
    """The median time from the beginning of a write to a watcher's having it, each through a handle of its own."""
    async with (
        open_etcd(url, data_dir=HERE, clock=SystemClock()) as writer,
        open_etcd(url, data_dir=HERE, clock=SystemClock()) as reader,
    ):
        began = await writer.transact([], [Put("/w/a", VALUE)])
        async with reader.watch("/w/", began) as commits:
            return statistics.median([await _reaching(writer, anext, commits) for _ in range(scale.size(500))])


async def _reaching(writer: Store, take: Callable[..., Awaitable[object]], commits: object) -> float:
    begun = time.perf_counter()
    writing = asyncio.ensure_future(writer.transact([], [Put("/w/a", VALUE)]))
    await take(commits)
    taken = time.perf_counter() - begun
    await writing
    return taken


def etcd(scale: Scale, table: Table) -> None:
    """Throughput on one member, and a watcher on three; data in memory."""
    if shutil.which("etcd") is None:
        table.add("etcd", INSTALL)
        return
    with running(1) as cluster:
        for name, (ours, bare) in uvloop.run(throughput(cluster.url(), scale)).items():
            table.at_least(f"etcd: {name}", ours[0], bare[0], 0.85, show=per_second, of="bare calls")
    with running(3) as cluster:
        latency = uvloop.run(reaching(cluster.url(), scale))
        table.within("etcd: a change reaches a watcher, 3 members", latency, 0.030, show=milliseconds)
