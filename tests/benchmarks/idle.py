"""What workers cost that have nothing to do, or little."""

from __future__ import annotations

import asyncio
import contextlib
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import uvloop
from tests.benchmarks.measure import Scale, Table, percent, stopwatch
from tests.benchmarks.peers import Tally

from undercroft import PeriodicWorker, Runner, SimpleWorker, Stop

NUMBER = 10_000


@asynccontextmanager
async def idle_runner(number: int) -> AsyncIterator[None]:
    """A Runner with workers that wait to be stopped."""
    tally = Tally(number)

    async def work(stop: Stop) -> None:
        tally.count()
        await stop.wait()

    async def start() -> SimpleWorker:
        return SimpleWorker(work)

    async with Runner("benchmark") as supervisor:
        for index in range(number):
            await supervisor.start_worker(str(index), start)
        await tally.all
        yield


@asynccontextmanager
async def idle_tasks(number: int) -> AsyncIterator[None]:
    """Raw tasks that wait for ever."""
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(_forever()) for _ in range(number)]
    await asyncio.sleep(0)
    yield
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@asynccontextmanager
async def periodic_runner(number: int) -> AsyncIterator[None]:
    """A Runner with workers that do nothing once a second."""
    tally = Tally(number)

    def make() -> Callable[[], PeriodicWorker]:
        called = False

        async def call(_: Stop) -> None:
            nonlocal called
            if not called:
                called = True
                tally.count()

        return lambda: PeriodicWorker(call, 1.0)

    async with Runner("benchmark") as supervisor:
        for index in range(number):
            await supervisor.start_worker(str(index), make())
        await tally.all
        yield


@asynccontextmanager
async def periodic_calls(number: int) -> AsyncIterator[None]:
    """Raw `call_later`, each of which makes the next."""
    loop = asyncio.get_running_loop()
    handles: dict[int, asyncio.TimerHandle] = {}

    def tick(index: int) -> None:
        handles[index] = loop.call_later(1.0, tick, index)

    for index in range(number):
        tick(index)
    yield
    for handle in handles.values():
        handle.cancel()


async def _forever() -> None:
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.get_running_loop().create_future()


Side = Callable[[int], AbstractAsyncContextManager[None]]


async def _shares(rounds: int, seconds: float, *sides: Side, number: int) -> list[float]:
    """The share of a core that each side takes, in turns."""
    found: list[list[float]] = [[] for _ in sides]
    for side, shares in [*zip(sides, found, strict=True)] * rounds:
        async with side(number):
            await asyncio.sleep(seconds / 5)
            with stopwatch() as watch:
                await asyncio.sleep(seconds)
            shares.append(watch.cpu / watch.wall)
    return [statistics.median(shares) for shares in found]


def idle(scale: Scale, table: Table) -> None:
    """10,000 workers that wait."""
    number = scale.size(NUMBER)
    ours, raw = uvloop.run(_shares(scale.rounds(3), scale.seconds(4.0), idle_runner, idle_tasks, number=number))
    table.add(f"{number:,} idle workers", percent(ours), peer=f"raw tasks {percent(raw)}", result=percent(ours))


def periodic(scale: Scale, table: Table) -> None:
    """10,000 workers with a period of one second."""
    number = scale.size(NUMBER)
    sides = (periodic_runner, periodic_calls)
    ours, raw = uvloop.run(_shares(scale.rounds(3), scale.seconds(5.0), *sides, number=number))
    table.at_most(f"{number:,} workers, each called once a second", ours, raw, 1.5, show=percent, of="call_later")
