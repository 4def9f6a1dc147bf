"""Being stopped, in each phase: by stop_worker, by stop_and_remove_worker, by kill, by a fatal error elsewhere."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from undercroft.errors import AbortedError, DeadError
from undercroft.worker.lifecycle import outcome
from undercroft.worker.runner import Runner
from undercroft.worker.small import NoOpWorker
from undercroft_hookspecs import NotFoundError, Worker

if TYPE_CHECKING:
    from core.tests.worker.conftest import Bench

Settle = Callable[[], Awaitable[None]]


class Elsewhere(Exception):
    """The error that is fatal in these tests."""


@pytest.fixture
async def runner(bench: Bench) -> Runner:
    return bench.runner(is_fatal=lambda error: isinstance(error, Elsewhere))


Stop = Callable[[Runner, "Bench"], Awaitable[None]]


async def _stop_worker(runner: Runner, _: Bench) -> None:
    await runner.stop_worker("one")


async def _stop_and_remove(runner: Runner, _: Bench) -> None:
    with pytest.raises(AbortedError):  # Or it is gone already, which is fine.
        fired = asyncio.Event()
        fired.set()
        await runner.stop_and_remove_worker("one", abort=fired)
        raise AbortedError


async def _kill(runner: Runner, _: Bench) -> None:
    runner.kill()


async def _fatal_elsewhere(runner: Runner, bench: Bench) -> None:
    bad = bench.job(fails=Elsewhere("elsewhere"))
    await runner.start_worker("bad", bad)
    for _ in range(10):
        await asyncio.sleep(0)


STOPS = [_stop_worker, _stop_and_remove, _kill, _fatal_elsewhere]


@pytest.fixture(params=STOPS, ids=lambda stop: stop.__name__.strip("_"))
def stop(request: pytest.FixtureRequest) -> Stop:
    found: Stop = request.param
    return found


# The phases.


@pytest.mark.parametrize("how", STOPS[:3], ids=lambda stop: stop.__name__.strip("_"))
async def test_not_begun_it_is_removed_now_and_never_started(
    bench: Bench, runner: Runner, settle: Settle, how: Stop
) -> None:
    job = bench.job()
    await runner.start_worker("one", job)

    await how(runner, bench)

    assert runner.worker_names() == []
    await settle()
    assert job.starts == 0


async def test_not_begun_among_many_it_is_never_started(bench: Bench, runner: Runner, settle: Settle) -> None:
    jobs = [bench.job() for _ in range(300)]
    for number, job in enumerate(jobs):
        await runner.start_worker(str(number), job)

    for number in range(0, 300, 2):
        await runner.stop_worker(str(number))
    await settle()

    assert [job.starts for job in jobs] == [0, 1] * 150


async def test_delayed_it_is_removed_now_and_not_started_again(
    bench: Bench, runner: Runner, settle: Settle, stop: Stop
) -> None:
    job = await bench.up(runner, fails=ValueError("late"))
    assert bench.entry(runner)["delay"] == 3.0

    await stop(runner, bench)

    assert "one" not in runner.worker_names()
    await settle()
    assert bench.clock.pending == 0
    await bench.clock.advance(100.0)
    assert job.starts == 1


async def test_a_start_that_runs_is_cancelled_and_its_id_removed(
    bench: Bench, runner: Runner, settle: Settle, stop: Stop
) -> None:
    job = bench.job()
    job.block()
    await runner.start_worker("one", job)
    await settle()

    await stop(runner, bench)
    assert bench.entry(runner)["state"] == "stopping" if "one" in runner.worker_names() else True
    await settle()

    assert (job.starts, job.cancels, job.workers) == (1, 1, [])
    assert "one" not in runner.worker_names()


async def test_a_start_is_cancelled_once_only(bench: Bench, runner: Runner, settle: Settle, stop: Stop) -> None:
    job = bench.job(insists=True)
    gate = job.block()
    await runner.start_worker("one", job)
    await settle()

    await stop(runner, bench)
    await settle()
    runner.kill()
    await settle()
    assert job.cancels == 1

    gate.set()
    await settle()
    assert "one" not in runner.worker_names()


async def test_a_worker_that_comes_up_anyway_is_killed_awaited_and_shown_to_nobody(
    bench: Bench, runner: Runner, settle: Settle, stop: Stop
) -> None:
    """TestFatalErrorWhileStarting."""
    job = bench.job(insists=True, stubborn=True)
    gate = job.block()
    await runner.start_worker("one", job)
    asking = asyncio.ensure_future(runner.worker("one"))
    await settle()

    await stop(runner, bench)
    gate.set()
    await settle()
    assert job.worker.kills == 1
    assert bench.entry(runner) == {"state": "stopping"}

    job.worker.end()
    await settle()
    assert "one" not in runner.worker_names()
    with pytest.raises((NotFoundError, DeadError)):
        await asking


async def test_a_start_that_answers_its_cancellation_with_an_error_is_judged(
    bench: Bench, runner: Runner, settle: Settle, stop: Stop
) -> None:
    judged: list[Exception] = []

    def is_fatal(error: Exception) -> bool:
        judged.append(error)
        return isinstance(error, Elsewhere)

    runner = bench.runner(is_fatal=is_fatal)
    error = ValueError("while being cancelled")
    job = bench.job(insists=True, fails=error)
    gate = job.block()
    await runner.start_worker("one", job)
    await settle()

    await stop(runner, bench)
    gate.set()
    await settle()

    assert error in judged
    assert "one" not in runner.worker_names()
    assert job.starts == 1


async def test_a_worker_is_killed_and_removed_at_its_death(
    bench: Bench, runner: Runner, settle: Settle, stop: Stop
) -> None:
    job = await bench.up(runner, stubborn=True)

    await stop(runner, bench)
    await settle()
    assert job.worker.kills == 1
    assert bench.entry(runner)["state"] == "stopping"

    job.worker.end()
    await settle()
    assert "one" not in runner.worker_names()
    assert job.starts == 1


async def test_a_worker_that_fails_while_it_is_stopped_is_not_restarted(
    bench: Bench, runner: Runner, settle: Settle, stop: Stop
) -> None:
    job = await bench.up(runner, error_at_kill=ValueError("in stopping"))

    await stop(runner, bench)
    await settle()
    await bench.clock.advance(100.0)

    assert "one" not in runner.worker_names()
    assert job.starts == 1


async def test_a_stopping_id_is_left_alone(bench: Bench, runner: Runner, settle: Settle, stop: Stop) -> None:
    job = await bench.up(runner, stubborn=True)
    await runner.stop_worker("one")

    await stop(runner, bench)
    await settle()

    assert job.worker.kills == 1


# stop_worker.


async def test_stop_worker_leaves_the_runner_alive(bench: Bench, settle: Settle) -> None:
    """TestOneWorkerStartStop."""
    runner = bench.runner(is_fatal=None)
    job = await bench.up(runner)

    await runner.stop_worker("one")
    await settle()

    assert job.worker.is_dead
    assert runner.report()["state"] == "started"
    runner.kill()
    await runner.wait()


async def test_an_error_of_a_worker_that_is_stopped_politely_may_be_fatal(bench: Bench) -> None:
    """TestOneWorkerStopFatalError."""
    runner = bench.runner(is_fatal=None)
    error = ValueError("in stopping")
    await bench.up(runner, error_at_kill=error)

    await runner.stop_worker("one")

    with pytest.raises(ValueError, match="in stopping") as caught:
        await runner.wait()
    assert caught.value is error


async def test_stop_worker_does_not_suspend(bench: Bench, runner: Runner) -> None:
    await bench.up(runner, stubborn=True)

    with pytest.raises(StopIteration):
        runner.stop_worker("one").send(None)


async def test_stopping_an_unknown_id_is_nothing(runner: Runner) -> None:
    await runner.stop_worker("unknown")
    await runner.stop_worker("")


# stop_and_remove_worker.


async def test_stop_and_remove_waits_until_the_id_is_gone(bench: Bench, runner: Runner, settle: Settle) -> None:
    """v4: TestStopAndWaitWorker."""
    job = await bench.up(runner, stubborn=True)
    removing = asyncio.ensure_future(runner.stop_and_remove_worker("one"))
    await settle()
    assert not removing.done()
    assert job.worker.kills == 1

    job.worker.end()
    await removing

    assert runner.worker_names() == []
    with pytest.raises(NotFoundError) as caught:
        await runner.stop_and_remove_worker("one")
    assert caught.value.name == "one"


@pytest.mark.parametrize("is_fatal", [True, False])
async def test_stop_and_remove_raises_what_the_worker_ended_with(bench: Bench, is_fatal: bool) -> None:
    """v4: TestStopAndWaitWorkerReturnsWorkerError."""
    runner = bench.runner(is_fatal=lambda _: is_fatal)
    error = ValueError("in stopping")
    await bench.up(runner, error_at_kill=error)

    with pytest.raises(ValueError, match="in stopping") as caught:
        await runner.stop_and_remove_worker("one")

    assert caught.value is error


async def test_stop_and_remove_raises_what_the_start_ended_with(bench: Bench, runner: Runner, settle: Settle) -> None:
    job = bench.job(insists=True, fails=ValueError("in starting"))
    gate = job.block()
    await runner.start_worker("one", job)
    await settle()
    removing = asyncio.ensure_future(runner.stop_and_remove_worker("one"))
    await settle()

    gate.set()

    with pytest.raises(ValueError, match="in starting"):
        await removing


async def test_stop_and_remove_of_a_start_that_gives_in_is_clean(bench: Bench, runner: Runner, settle: Settle) -> None:
    job = bench.job()
    job.block()
    await runner.start_worker("one", job)
    await settle()

    await runner.stop_and_remove_worker("one")

    assert runner.worker_names() == []


async def test_stop_and_remove_of_a_delayed_id_is_clean(bench: Bench, runner: Runner) -> None:
    await bench.up(runner, fails=ValueError("before"))

    await runner.stop_and_remove_worker("one")

    assert runner.worker_names() == []


async def test_stop_and_remove_of_what_is_gone_at_once_beats_an_abort(bench: Bench, runner: Runner) -> None:
    fired = asyncio.Event()
    fired.set()
    await bench.up(runner, fails=ValueError())

    await runner.stop_and_remove_worker("one", abort=fired)


async def test_all_concurrent_callers_return(bench: Bench, runner: Runner, settle: Settle) -> None:
    """DEFECT-6 upstream: only one of them did."""
    job = await bench.up(runner, stubborn=True)
    callers = [asyncio.ensure_future(runner.stop_and_remove_worker("one")) for _ in range(3)]
    await settle()
    error = ValueError("for all")

    job.worker.end(error)
    results = await asyncio.gather(*callers, return_exceptions=True)

    assert results == [error] * 3


async def test_an_abort_ends_the_waiting_and_not_the_stop(bench: Bench, runner: Runner, settle: Settle) -> None:
    """v4: TestStopAndWaitWorkerWithAbort."""
    job = await bench.up(runner, stubborn=True)
    abort = asyncio.Event()
    removing = asyncio.ensure_future(runner.stop_and_remove_worker("one", abort=abort))
    await settle()
    assert not removing.done()

    abort.set()
    with pytest.raises(AbortedError):
        await removing

    assert job.worker.kills == 1
    job.worker.end()
    await settle()
    assert runner.worker_names() == []


async def test_an_abort_that_has_fired_before_still_asks_for_the_stop(bench: Bench, runner: Runner) -> None:
    job = await bench.up(runner, stubborn=True)
    fired = asyncio.Event()
    fired.set()

    with pytest.raises(AbortedError):
        await runner.stop_and_remove_worker("one", abort=fired)

    assert job.worker.kills == 1


async def test_a_cancelled_caller_leaves_the_stop_asked_for(bench: Bench, runner: Runner, settle: Settle) -> None:
    job = await bench.up(runner, stubborn=True)
    removing = asyncio.ensure_future(runner.stop_and_remove_worker("one"))
    await settle()

    removing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await removing

    assert bench.entry(runner)["state"] == "stopping"
    job.worker.end()
    await settle()
    assert runner.worker_names() == []


async def test_once_accepted_it_completes_while_the_runner_dies(bench: Bench, runner: Runner, settle: Settle) -> None:
    job = await bench.up(runner, stubborn=True)
    error = ValueError("at last")
    removing = asyncio.ensure_future(runner.stop_and_remove_worker("one"))
    await settle()

    runner.kill()
    await settle()
    assert not removing.done()
    job.worker.end(error)

    with pytest.raises(ValueError, match="at last"):
        await removing


# kill.


async def test_kill_stops_everything_at_once(bench: Bench, runner: Runner, settle: Settle) -> None:
    jobs = [await bench.up(runner, str(number), stubborn=True) for number in range(10)]

    runner.kill()

    assert [job.worker.kills for job in jobs] == [1] * 10
    waiting = asyncio.ensure_future(runner.wait())
    await settle()
    assert not waiting.done()
    for job in jobs:
        job.worker.end()
    await waiting


async def test_nothing_is_started_after_a_kill(bench: Bench, runner: Runner, settle: Settle) -> None:
    jobs = [bench.job() for _ in range(5)]
    for number, job in enumerate(jobs):
        await runner.start_worker(str(number), job)

    runner.kill()
    await runner.wait()
    await settle()

    assert [job.starts for job in jobs] == [0] * 5


async def test_other_errors_are_not_the_runners(bench: Bench, runner: Runner) -> None:
    await bench.up(runner, error_at_kill=ValueError("only logged"))

    runner.kill()

    await runner.wait()


@pytest.mark.slow_callbacks  # A full collection.
async def test_nothing_stays_behind_of_what_is_gone(bench: Bench, runner: Runner, settle: Settle) -> None:
    def start() -> Worker:
        worker = NoOpWorker()
        references.append(weakref.ref(worker))
        return worker

    references: list[weakref.ref[NoOpWorker]] = []
    await runner.start_worker("one", start)
    start_reference = weakref.ref(start)
    del start
    await settle()
    await runner.stop_and_remove_worker("one")
    await settle()
    gc.collect()

    assert references[0]() is None
    assert start_reference() is None


async def test_a_start_that_stops_its_own_id(bench: Bench, runner: Runner, settle: Settle) -> None:
    worker = NoOpWorker()

    async def start() -> Worker:
        await runner.stop_worker("one")
        return worker

    await runner.start_worker("one", start)
    await settle()

    assert runner.worker_names() == []
    assert await outcome(worker) is None


async def test_a_start_that_kills_its_own_runner(bench: Bench, runner: Runner) -> None:
    async def start() -> Worker:
        runner.kill()
        await asyncio.sleep(0)
        raise AssertionError("it was cancelled")

    await runner.start_worker("one", start)

    await runner.wait()
