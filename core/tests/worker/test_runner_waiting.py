"""Asking a runner for the worker of an id."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from undercroft.errors import AbortedError, DeadError
from undercroft.testing import DeadWorker, ErrorWorker
from undercroft.worker.tomb import Tomb
from undercroft_hookspecs import NotFoundError, Worker

if TYPE_CHECKING:
    from core.tests.worker.conftest import Bench

Settle = Callable[[], Awaitable[None]]


@pytest.fixture
def fired() -> asyncio.Event:
    """An abort that has fired."""
    event = asyncio.Event()
    event.set()
    return event


async def test_an_unknown_id_is_not_found(bench: Bench) -> None:
    """v4: TestWorkerWithNoWorker."""
    runner = bench.runner()

    with pytest.raises(NotFoundError) as caught:
        await runner.worker("unknown")

    assert caught.value.name == "unknown"


async def test_a_started_worker_is_given_at_once(bench: Bench, fired: asyncio.Event) -> None:
    """v4: TestWorkerWithWorkerImmediatelyAvailable; it beats an abort that has fired."""
    runner = bench.runner()
    job = await bench.up(runner)

    assert await runner.worker("one") is job.worker
    assert await runner.worker("one", abort=fired) is job.worker


async def test_a_worker_that_is_starting_is_waited_for(bench: Bench, settle: Settle) -> None:
    """v4: TestWorkerWithWorkerNotImmediatelyAvailable."""
    runner, job = bench.runner(), bench.job()
    gate = job.block()
    await runner.start_worker("one", job)
    asking = [asyncio.ensure_future(runner.worker("one")) for _ in range(3)]
    await settle()
    assert not any(one.done() for one in asking)

    gate.set()

    assert await asyncio.gather(*asking) == [job.worker] * 3


async def test_the_next_incarnation_is_waited_for(bench: Bench, settle: Settle) -> None:
    """DEFECT-7 upstream: the dead worker was handed out during the delay."""
    runner = bench.runner()
    job = await bench.up(runner)
    first = job.worker
    first.end(ValueError())
    await settle()

    asking = asyncio.ensure_future(runner.worker("one"))
    await settle()
    assert not asking.done()
    await bench.clock.advance(3.0)

    assert await asking is job.worker
    assert job.worker is not first


async def test_a_dead_worker_is_never_given_not_even_in_the_turn_of_its_death(bench: Bench, settle: Settle) -> None:
    runner = bench.runner(restart_delay=0)
    made: list[Tomb] = []

    def start() -> Worker:
        worker = ErrorWorker(ValueError("killed"))
        made.append(worker._tomb)
        return worker

    await runner.start_worker("one", start)
    first = await runner.worker("one")

    first.kill()
    second = await runner.worker("one")

    assert second is not first
    assert made[-1].state == "alive"


async def test_a_worker_that_is_born_dead_is_never_given(bench: Bench, settle: Settle) -> None:
    runner = bench.runner(restart_delay=10.0)
    await runner.start_worker("ours", lambda: DeadWorker(ValueError()))
    foreign = bench.job()
    gate = foreign.block()
    foreign.fails = None
    await runner.start_worker("foreign", foreign)
    asking = [asyncio.ensure_future(runner.worker(name)) for name in ("ours", "foreign")]
    await settle()
    make = foreign._make

    def born_dead(**options: object) -> object:
        worker = make(**options)
        worker.end(ValueError())
        return worker

    foreign._make = born_dead  # type: ignore[assignment]
    gate.set()
    await settle()

    assert [one.done() for one in asking] == [False, False]
    runner.kill()
    for one in asking:
        with pytest.raises(DeadError):
            await one


async def test_an_abort_ends_the_waiting(bench: Bench, settle: Settle, fired: asyncio.Event) -> None:
    """v4: TestWorkerWithAbort."""
    runner = bench.runner()
    await bench.up(runner, fails=ValueError())
    abort = asyncio.Event()
    asking = asyncio.ensure_future(runner.worker("one", abort=abort))
    await settle()
    assert not asking.done()

    abort.set()

    with pytest.raises(AbortedError):
        await asking
    with pytest.raises(AbortedError):
        await runner.worker("one", abort=fired)
    with pytest.raises(NotFoundError):
        await runner.worker("unknown", abort=fired)


async def test_a_cancelled_caller_disturbs_nobody(bench: Bench, settle: Settle) -> None:
    runner, job = bench.runner(), bench.job()
    gate = job.block()
    await runner.start_worker("one", job)
    first, second = (asyncio.ensure_future(runner.worker("one")) for _ in range(2))
    await settle()

    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.set()

    assert await second is job.worker


async def test_waiting_callers_that_gave_up_leave_nothing_behind(bench: Bench, settle: Settle) -> None:
    runner = bench.runner()
    await bench.up(runner, fails=ValueError())
    for _ in range(50):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await runner.worker("one")

    changed = runner._crew.ids["one"].changed
    assert changed is not None
    assert not changed._subscribers


async def test_a_kill_ends_the_waiting(bench: Bench, settle: Settle) -> None:
    """v4: TestWorkerWhenRunnerKilledWhileWaiting."""
    runner = bench.runner()
    await bench.up(runner, fails=ValueError())
    asking = asyncio.ensure_future(runner.worker("one"))
    await settle()

    runner.kill()

    with pytest.raises(DeadError):
        await asking


async def test_a_kill_ends_the_waiting_for_what_does_not_end(bench: Bench, settle: Settle) -> None:
    runner, job = bench.runner(), bench.job(insists=True)
    job.block()
    await runner.start_worker("one", job)
    asking = asyncio.ensure_future(runner.worker("one"))
    await settle()

    runner.kill()

    with pytest.raises(DeadError):
        await asking


async def test_a_removal_ends_the_waiting(bench: Bench, settle: Settle) -> None:
    """v4: TestWorkerWhenWorkerRemovedWhileWaiting, without any advance of the clock."""
    runner = bench.runner()
    await bench.up(runner, fails=ValueError())
    asking = asyncio.ensure_future(runner.worker("one"))
    await settle()

    await runner.stop_worker("one")

    with pytest.raises(NotFoundError):
        await asking


async def test_a_removal_ends_the_waiting_though_the_id_is_used_again(bench: Bench, settle: Settle) -> None:
    runner = bench.runner()
    await bench.up(runner, fails=ValueError())
    asking = asyncio.ensure_future(runner.worker("one"))
    await settle()

    await runner.stop_worker("one")
    await runner.start_worker("one", bench.job())

    with pytest.raises(NotFoundError):
        await asking


async def test_a_stopping_worker_is_not_given(bench: Bench, settle: Settle) -> None:
    runner = bench.runner()
    job = await bench.up(runner, stubborn=True)
    await runner.stop_worker("one")
    asking = asyncio.ensure_future(runner.worker("one"))
    await settle()
    assert not asking.done()

    job.worker.end()

    with pytest.raises(NotFoundError):
        await asking


async def test_many_ask_while_workers_come_and_go(bench: Bench) -> None:
    """v4: TestWorkerConcurrent."""
    runner = bench.runner(restart_delay=0)
    jobs = {str(number): await bench.up(runner, str(number)) for number in range(5)}
    progress = dict.fromkeys(jobs, 0)

    async def ask(name: str) -> None:
        while progress[name] < 30:
            worker = await runner.worker(name)
            assert worker in jobs[name].workers
            progress[name] += 1
            jobs[name].worker.end(ValueError())

    await asyncio.wait_for(asyncio.gather(*map(ask, jobs)), 10)
