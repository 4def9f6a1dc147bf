"""Run a check on a loop of its own that is thrown away afterwards, whatever the subject does to it."""

from __future__ import annotations

import asyncio
import gc
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from undercroft_conformance.leaks import Kind, Leak, Snapshot, difference, snapshot
from undercroft_conformance.stalls import LoopWatch, loop_factories, watching
from undercroft_conformance.verdict import Broken, Check, RuleBroken, Unjudged, describe

S = TypeVar("S")

DEADLINE = 5.0
"""How many seconds a start, or a death, may take."""

_deadline: ContextVar[float] = ContextVar("deadline", default=DEADLINE)

TIMEOUT = 120.0
"""How many seconds a whole check may take."""

TURNS = 20
"""How often the loop turns before tasks count as left behind."""

PATIENCE = 2.0
"""How many seconds what ends by itself, like a thread, has to do so."""

_NEVER_FREED = ("'asyncio_",)
_AT_ONCE: frozenset[Kind] = frozenset({"task"})


@dataclass(frozen=True, slots=True)
class Bench:
    """What a check works on: the watch over its loop."""

    watch: LoopWatch = field(default_factory=LoopWatch)


def deadline() -> float:
    """How many seconds a start, or a death, may take in the check that is running."""
    return _deadline.get()


def judge(check: Check[S], make: Callable[[Bench], S], *, loop: str, seconds: float = DEADLINE) -> None:
    """Run a check of what `make` gives on the loop of that name; a start, or a death, may take so many seconds.

    Raises:
        RuleBroken: the rule is broken.
        Unjudged: it could not be judged.
    """
    made = loop_factories()[loop]()
    made.set_debug(True)
    token = _deadline.set(seconds)
    try:
        with watching(made) as watch:
            made.run_until_complete(_bounded(lambda: check.run(make(Bench(watch)))))
    except Broken as broken:
        raise RuleBroken(check.rule, str(broken)) from broken.__cause__
    except TimeoutError as error:
        raise RuleBroken(check.rule, f"the check did not end within {TIMEOUT:.0f} s") from error
    except Unjudged:
        raise
    except Exception as error:  # The subject's code may raise anything, and here it was not to.
        raise RuleBroken(check.rule, f"{describe(error)} was raised {_place(error)}") from error
    finally:
        _deadline.reset(token)
        _throw_away(made)


def _place(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"in {frame.name}, {frame.filename}:{frame.lineno}"


async def _bounded(main: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(TIMEOUT):
        await main()


def _throw_away(loop: asyncio.AbstractEventLoop) -> None:
    """Close a loop; tasks that refuse to end are given up, so that one bad subject does not hang the run."""
    try:
        loop.run_until_complete(_cancel_everything())
    finally:
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # asyncio's own switch for this.
        loop.close()


async def _cancel_everything() -> None:
    loop = asyncio.get_running_loop()
    for _ in range(3):
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if not tasks:
            break
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=0.5)
        for task in tasks:
            if task.done() and not task.cancelled():
                task.exception()
    await loop.shutdown_asyncgens()
    ending = loop.create_task(loop.shutdown_default_executor())
    await asyncio.wait([ending], timeout=PATIENCE)


async def turns(count: int) -> None:
    """Let the loop turn some times."""
    for _ in range(count):
        await asyncio.sleep(0)


async def within(coroutine: Coroutine[object, object, None], what: str) -> None:
    """Wait for something (`what` is a clause) that has to end in time; it is cancelled if it does not.

    Raises:
        Broken: it did not, or raised.
    """
    task = asyncio.get_running_loop().create_task(coroutine)
    done, _ = await asyncio.wait([task], timeout=deadline())
    if not done:
        task.cancel()
        raise Broken(f"{what}, which takes longer than {deadline():g} s")
    if task.cancelled():
        raise Broken(f"{what}, and CancelledError came out of it")
    if (error := task.exception()) is not None:
        raise Broken(f"{what}, which raises {describe(error)}") from error


def look(below: Sequence[Path] | None = None) -> Snapshot:
    """What this process and the running loop hold now."""
    return snapshot(asyncio.get_running_loop(), below=below)


async def left_behind(before: Snapshot, below: Sequence[Path] | None = None) -> tuple[Leak, ...]:
    """What is held on top of `before`, once the loop has turned some times and what ends by itself has had its time."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + PATIENCE
    while True:
        await turns(TURNS)
        gc.collect()
        await turns(2)
        found = tuple(leak for leak in difference(before, look(below)) if not leak.what.startswith(_NEVER_FREED))
        if not found or any(leak.kind in _AT_ONCE for leak in found) or loop.time() > give_up:
            return found
        await asyncio.sleep(0.02)
