"""Blocking work takes turns, in a thread, and tells the loop of each."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from undercroft_metrics.spool.turns import Turns


async def test_work_is_done_one_at_a_time_in_the_order_that_it_was_asked_for() -> None:
    turns, done, at_work = Turns(), list[int](), threading.Lock()

    def work(number: int) -> int:
        with at_work:
            assert not at_work.acquire(blocking=False)
            done.append(number)
        return number

    assert await asyncio.gather(*(turns.take(partial(work, number)) for number in range(50))) == list(range(50))
    assert done == list(range(50))


async def test_what_work_raises_is_its_callers_and_the_next_has_its_turn() -> None:
    turns = Turns()

    def fail() -> int:
        raise OSError("no disk")

    results = await asyncio.gather(turns.take(fail), turns.take(lambda: 2), return_exceptions=True)
    assert isinstance(results[0], OSError)
    assert results[1] == 2


async def test_cancelled_caller_waits_for_its_work() -> None:
    turns, began, let_go = Turns(), asyncio.Event(), threading.Event()
    loop, done = asyncio.get_running_loop(), list[str]()

    def work() -> None:
        loop.call_soon_threadsafe(began.set)
        let_go.wait(10)
        done.append("whole")

    task = asyncio.create_task(turns.take(work))
    await began.wait()
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["whole"]


async def test_work_may_ask_for_more_work() -> None:
    turns, over = Turns(), asyncio.Event()
    loop = asyncio.get_running_loop()
    await turns.take(lambda: turns.add(lambda: loop.call_soon_threadsafe(over.set)))
    await asyncio.wait_for(over.wait(), 10)
