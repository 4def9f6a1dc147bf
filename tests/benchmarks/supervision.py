"""Workers under one Runner, up and down, against raw tasks of uvloop."""

from __future__ import annotations

import asyncio
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop
from tests.benchmarks.measure import Scale, Table, in_turns, kilobytes, memory, milliseconds, stopwatch
from tests.benchmarks.peers import Tally, raw_tasks

from undercroft import NoOpWorker, Runner, SimpleWorker, Stop

Up = Callable[[int], Awaitable[tuple[float, float, float]]]
"""Bring so many workers up and down: seconds to start, seconds to stop, seconds of CPU for both."""


async def runner(number: int) -> tuple[float, float, float]:
    """Our Runner with its defaults: an async start function and a SimpleWorker each."""
    tally = Tally(number)

    async def work(stop: Stop) -> None:
        tally.count()
        await stop.wait()

    async def start() -> SimpleWorker:
        return SimpleWorker(work)

    with stopwatch() as all_of_it:
        began = time.process_time()
        supervisor = Runner("benchmark")
        for index in range(number):
            await supervisor.start_worker(str(index), start)
        await tally.all
        up = time.process_time()
        supervisor.kill()
        await supervisor.wait()
        down = time.process_time()
    return up - began, down - up, all_of_it.cpu


def supervision(scale: Scale, table: Table) -> None:
    """10,000 workers."""
    _compare(scale, table, 10_000, rounds=7, limits=(3.0, 2.0))


def hundred_thousand(scale: Scale, table: Table) -> None:
    """100,000 workers, and what each costs compared with one of 1,000."""
    _compare(scale, table, 100_000, rounds=3, limits=(None, None))
    gc.freeze()
    for name, threshold in (("", gc.get_threshold()), (", a patient collector", (100_000, 50, 1000))):
        gc.set_threshold(*threshold)
        for side, bring_up, limit in (("Runner", runner, 2.0), ("raw tasks", raw_tasks, None)):
            few, many = scale.size(1_000), scale.size(100_000)
            each_of_few, each_of_many = uvloop.run(_cpu_each(bring_up, few, many, scale.rounds(3)))
            table.at_most(
                f"CPU per worker, {side}, {many:,} against {few:,}{name}",
                each_of_many,
                each_of_few,
                limit if name else None,
                show=milliseconds,
                of="few",
            )


def _compare(scale: Scale, table: Table, full: int, *, rounds: int, limits: tuple[float | None, float | None]) -> None:
    number = scale.size(full)
    ours, raw = uvloop.run(in_turns(scale.rounds(rounds), lambda: runner(number), lambda: raw_tasks(number)))
    for index, verb in enumerate(("start", "stop")):
        table.at_most(
            f"{verb} {number:,} workers", ours[index], raw[index], limits[index], show=milliseconds, of="raw tasks"
        )


async def _cpu_each(bring_up: Up, few: int, many: int, rounds: int) -> tuple[float, float]:
    """Seconds of CPU for each of few workers, and each of many. Few are brought up often: the clock is coarse."""
    repeats = max(many // few // 5, 1)
    of_few, of_many = [], []
    for _ in range(rounds):
        gc.collect()
        of_few.append(sum([(await bring_up(few))[2] for _ in range(repeats)]) / repeats / few)
        gc.collect()
        of_many.append((await bring_up(many))[2] / many)
    return statistics.median(of_few), statistics.median(of_many)


def memory_per_worker(scale: Scale, table: Table) -> None:
    """The peak of a fresh process, above what it has before the first worker, for each of 10,000."""
    number = scale.size(10_000)
    kinds = ("runner", "raw", "runner-noop")
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(scale.rounds(3)):
        for kind in kinds:
            argv = [sys.executable, "-m", "tests.benchmarks.supervision", kind, str(number)]
            done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
            found[kind].append(json.loads(done.stdout))
    medians = {kind: statistics.median(values) for kind, values in found.items()}
    table.within(f"peak memory per worker, {number:,} SimpleWorkers", medians["runner"], 2.5 * 1024, show=kilobytes)
    table.within(f"peak memory per worker, {number:,} NoOpWorkers", medians["runner-noop"], None, show=kilobytes)
    table.within(f"peak memory per raw task, {number:,}", medians["raw"], None, show=kilobytes)


async def noop_runner(number: int) -> tuple[float, float, float]:
    """Our Runner with workers that do nothing at all."""
    started = asyncio.get_running_loop().create_future()
    supervisor = Runner("benchmark")
    made = 0

    async def start() -> NoOpWorker:
        nonlocal made
        made += 1
        if made == number:
            started.set_result(None)
        return NoOpWorker()

    for index in range(number):
        await supervisor.start_worker(str(index), start)
    await started
    supervisor.kill()
    await supervisor.wait()
    return 0.0, 0.0, 0.0


def _weigh(kind: str, number: int) -> float:
    bring_up = {"runner": runner, "raw": raw_tasks, "runner-noop": noop_runner}[kind]

    async def main() -> float:
        await bring_up(10)
        gc.collect()
        before = memory()
        await bring_up(number)
        return (memory("VmHWM") - before) / number

    return uvloop.run(main())


if __name__ == "__main__":
    print(json.dumps(_weigh(sys.argv[1], int(sys.argv[2]))))
