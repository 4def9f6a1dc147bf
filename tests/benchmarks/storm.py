"""One worker that always fails, restarted without a delay: how many restarts a second, and whether that holds."""

from __future__ import annotations

import asyncio
import random
import statistics
from collections.abc import Awaitable, Callable

import uvloop
from tests.benchmarks.measure import Scale, Table, in_turns, megabytes, memory, per_second, stopwatch
from tests.benchmarks.peers import silent

from undercroft import Runner, SimpleWorker, Stop
from undercroft.dependency import Engine, EngineConfig, Manifold
from undercroft_hookspecs import Context


class Tries:
    """Counts tries, each of which fails at once; the last one says so."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.all = asyncio.get_running_loop().create_future()

    async def fail(self) -> None:
        """One try."""
        self._left -= 1
        if self._left == 0:
            self.all.set_result(None)
        raise OSError("the storm")


async def raw(number: int) -> tuple[float]:
    """A task for each try; its callback makes the next."""
    tries = Tries(number)
    loop = asyncio.get_running_loop()
    running: set[asyncio.Task[None]] = set()

    def again(task: asyncio.Task[None]) -> None:
        running.discard(task)
        if task.exception() is not None and not tries.all.done():
            begin()

    def begin() -> None:
        task = loop.create_task(tries.fail())
        running.add(task)
        task.add_done_callback(again)

    with stopwatch() as watch:
        begin()
        await tries.all
    await asyncio.sleep(0)
    return (number / watch.cpu,)


async def runner(number: int) -> tuple[float]:
    """A Runner, its start function async, the worker a SimpleWorker."""
    tries = Tries(number)

    async def work(_: Stop) -> None:
        await tries.fail()

    async def start() -> SimpleWorker:
        return SimpleWorker(work)

    supervisor = Runner("benchmark", is_fatal=lambda _: False, restart_delay=0.0, logger=silent())
    with stopwatch() as watch:
        await supervisor.start_worker("worker", start)
        await tries.all
    supervisor.kill()
    await supervisor.wait()
    return (number / watch.cpu,)


async def failing_start(number: int) -> tuple[float]:
    """A Runner whose start function itself fails."""
    tries = Tries(number)

    async def start() -> SimpleWorker:
        await tries.fail()
        raise AssertionError

    supervisor = Runner("benchmark", is_fatal=lambda _: False, restart_delay=0.0, logger=silent())
    with stopwatch() as watch:
        await supervisor.start_worker("worker", start)
        await tries.all
    supervisor.kill()
    await supervisor.wait()
    return (number / watch.cpu,)


async def engine(number: int) -> tuple[float]:
    """An Engine with one manifold."""
    tries = Tries(number)

    async def work(_: Stop) -> None:
        await tries.fail()

    async def start(_: Context) -> SimpleWorker:
        return SimpleWorker(work)

    config = EngineConfig(
        error_delay=0.0, bounce_delay=0.0, backoff_factor=1.0, jitter=0.0, logger=silent(), rng=random.Random(1)
    )
    supervisor = Engine(config)
    with stopwatch() as watch:
        await supervisor.install("worker", Manifold(start=start))
        await tries.all
    supervisor.kill()
    await supervisor.wait()
    return (number / watch.cpu,)


def storm(scale: Scale, table: Table) -> None:
    """2,000 and 50,000 restarts."""
    few, many = scale.size(2_000), scale.size(50_000)
    sides: dict[str, Callable[[int], Awaitable[tuple[float]]]] = {
        "raw": raw,
        "Runner": runner,
        "Runner, start fails": failing_start,
        "Engine": engine,
    }
    rates = {}
    for number in (few, many):
        found = uvloop.run(
            in_turns(
                scale.rounds(5 if number == many else 21), *(lambda s=side, n=number: s(n) for side in sides.values())
            )
        )
        rates[number] = {name: figures[0] for name, figures in zip(sides, found, strict=True)}
    for name, limit in (("Runner", 0.5), ("Runner, start fails", None), ("Engine", 0.35)):
        table.at_least(
            f"restarts, {name}", rates[many][name], rates[many]["raw"], limit, show=per_second, of="raw tasks"
        )
    for name in ("Runner", "Engine"):
        table.at_least(
            f"restarts, {name}, {many:,} against {few:,}",
            rates[many][name],
            rates[few][name],
            0.8,
            show=per_second,
            of="few",
        )
    for name in ("Runner", "Engine"):
        table.add(
            f"memory grown in {many:,} restarts, {name}", megabytes(_growth(sides[name], many, scale)), target="flat"
        )


def _growth(side: Callable[[int], Awaitable[tuple[float]]], number: int, scale: Scale) -> float:
    """How much more memory the process has after each storm; the first has made room already."""

    async def main() -> float:
        await side(number)
        grown = []
        for _ in range(scale.rounds(3)):
            before = memory()
            await side(number)
            grown.append(memory() - before)
        return statistics.median(grown)

    return uvloop.run(main())
