"""What ours is measured against, and what both sides share."""

from __future__ import annotations

import asyncio
import logging
import time

from tests.benchmarks.measure import stopwatch


class Tally:
    """Counts workers whose code has begun to run."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.all = asyncio.get_running_loop().create_future()

    def count(self) -> None:
        """One more."""
        self._left -= 1
        if self._left == 0:
            self.all.set_result(None)


async def raw_tasks(number: int) -> tuple[float, float, float]:
    """What Python can do: a task each, in a TaskGroup."""
    tally = Tally(number)
    loop = asyncio.get_running_loop()

    async def work() -> None:
        tally.count()
        await loop.create_future()

    with stopwatch() as all_of_it:
        began = time.process_time()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work()) for _ in range(number)]
            await tally.all
            up = time.process_time()
            for task in tasks:
                task.cancel()
        down = time.process_time()
    return up - began, down - up, all_of_it.cpu


def silent() -> logging.Logger:
    """A logger that takes nothing: what a terminal costs is not measured."""
    logger = logging.getLogger("undercroft.benchmark")
    logger.setLevel(logging.CRITICAL + 1)
    return logger
