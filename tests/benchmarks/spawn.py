"""Spawning a program, with a small and with a large heap."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop
from tests.benchmarks.measure import Scale, Table, milliseconds

from undercroft.process import Lines, Program, SystemProcess

TRUE = "/bin/true"
GIB = 1024**3

Spawn = Callable[[], Awaitable[None]]


async def _ours() -> None:
    await SystemProcess().run([TRUE], timeout=30.0)


async def _streamed() -> None:
    await Program([TRUE], environment={}, cwd=Path("/"), stdout=Lines(_drop), stderr=Lines(_drop)).wait()


def _drop(_: str) -> None:
    """A line that nobody wants."""


async def _popen() -> None:
    process = subprocess.Popen([TRUE], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.communicate()


async def _loop() -> None:
    process = await asyncio.create_subprocess_exec(
        TRUE, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    await process.communicate()


async def _medians(rounds: int, *sides: Spawn) -> list[float]:
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(rounds):
        for side, found in zip(sides, times, strict=True):
            began = time.perf_counter()
            await side()
            found.append(time.perf_counter() - began)
    return [statistics.median(found) for found in times]


def spawn(scale: Scale, table: Table) -> None:
    """/bin/true, with its output collected."""
    rounds = 5 if scale.short else 200
    for heap in (0, GIB // 16 if scale.short else GIB):
        ballast = bytearray(heap)
        ballast[::4096] = b"x" * len(ballast[::4096])
        name = f"spawn {TRUE}, heap of {heap // 1024**2:,} MiB"
        ours, streamed, popen = uvloop.run(_medians(rounds, _ours, _streamed, _popen))
        (by_asyncio,) = asyncio.run(_medians(rounds, _loop))
        # Last, not in turns: it forks, and whoever comes next pays for the pages that are copy-on-write then.
        (by_uvloop,) = uvloop.run(_medians(rounds, _loop))
        table.at_most(name, ours, popen, None, show=milliseconds, of="blocking Popen")
        table.at_most(f"{name}, streamed", streamed, ours, 1.15, show=milliseconds, of="collected")
        table.at_most(name, ours, by_uvloop, None, show=milliseconds, of="uvloop's own")
        table.at_most(name, ours, by_asyncio, None, show=milliseconds, of="asyncio's own")
