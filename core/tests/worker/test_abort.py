"""unless_aborted: what is there beats an abort, and neither is touched by giving up."""

from __future__ import annotations

import asyncio

import pytest

from undercroft import AbortedError, Stop, SystemClock
from undercroft.worker.abort import unless_aborted

E = RuntimeError


def future() -> asyncio.Future[str]:
    return asyncio.get_running_loop().create_future()


def fired() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


def aborts() -> list[tuple[asyncio.Event | Stop, object]]:
    event, stop = asyncio.Event(), Stop(SystemClock())
    return [(event, event.set), (stop, stop.fire)]


async def turns(n: int = 5) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


async def test_without_an_abort_it_is_the_future() -> None:
    waiting = future()
    task = asyncio.create_task(unless_aborted(waiting, None))
    await turns()

    waiting.set_result("here")

    assert await task == "here"


async def test_result_that_is_there_beats_an_abort_that_has_fired() -> None:
    waiting = future()
    waiting.set_result("here")

    assert await unless_aborted(waiting, fired()) == "here"


async def test_abort_that_has_fired_aborts_at_once() -> None:
    with pytest.raises(AbortedError):
        await unless_aborted(future(), fired())


async def test_result_comes_before_the_abort() -> None:
    for abort, _ in aborts():
        waiting = future()
        task = asyncio.create_task(unless_aborted(waiting, abort))
        await turns()
        waiting.set_result("here")

        assert await task == "here"


async def test_error_comes_before_the_abort() -> None:
    for abort, _ in aborts():
        waiting, error = future(), E("e")
        task = asyncio.create_task(unless_aborted(waiting, abort))
        await turns()
        waiting.set_exception(error)

        with pytest.raises(E) as caught:
            await task
        assert caught.value is error


async def test_abort_comes_first_and_leaves_the_future() -> None:
    for abort, fire in aborts():
        waiting = future()
        task = asyncio.create_task(unless_aborted(waiting, abort))
        await turns()
        assert callable(fire)
        fire()

        with pytest.raises(AbortedError):
            await task
        assert not waiting.done()


async def test_both_in_one_turn_give_the_result() -> None:
    for abort, fire in aborts():
        waiting = future()
        task = asyncio.create_task(unless_aborted(waiting, abort))
        await turns()
        assert callable(fire)
        fire()
        waiting.set_result("here")

        assert await task == "here"


async def test_cancelled_it_leaves_no_task_and_no_subscriber() -> None:
    for abort, _ in aborts():
        task = asyncio.create_task(unless_aborted(future(), abort))
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await turns()

        assert len(asyncio.all_tasks()) == 1
        if isinstance(abort, Stop):
            assert abort._subscribers is None or abort._subscribers == {}
