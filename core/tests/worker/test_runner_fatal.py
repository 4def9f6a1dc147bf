"""What is fatal to a runner, which error it keeps, and what its callbacks may do."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from undercroft.errors import DeadError, WorkerCancelled
from undercroft.worker.lifecycle import outcome
from undercroft.worker.runner import Runner
from undercroft.worker.small import NoOpWorker, SimpleWorker
from undercroft_hookspecs import NotValidError, Worker

if TYPE_CHECKING:
    from core.tests.worker.conftest import Bench

Settle = Callable[[], Awaitable[None]]


class LevelError(Exception):
    """An error of some importance."""

    def __init__(self, level: int) -> None:
        super().__init__(f"level {level}")
        self.level = level


def level(error: BaseException) -> int:
    assert isinstance(error, LevelError)
    return error.level


async def test_by_default_everything_is_fatal(bench: Bench) -> None:
    """TestOneWorkerDieFatalError."""
    runner = bench.runner(is_fatal=None)
    job = await bench.up(runner)
    error = ValueError("of the worker")

    job.worker.end(error)

    for _ in range(2):
        with pytest.raises(ValueError, match="of the worker") as caught:
            await runner.wait()
        assert caught.value is error
    assert runner.worker_names() == []


async def test_an_error_of_a_start_may_be_fatal(bench: Bench) -> None:
    """TestOneWorkerStartFatalError."""
    runner = bench.runner(is_fatal=None)
    error = ValueError("of the start")

    await runner.start_worker("one", bench.job(fails=error))

    with pytest.raises(ValueError, match="of the start") as caught:
        await runner.wait()
    assert caught.value is error


async def test_all_workers_are_stopped_when_one_dies_of_a_fatal_error(bench: Bench, settle: Settle) -> None:
    """TestAllWorkersStoppedWhenOneDiesWithFatalError."""
    runner = bench.runner(is_fatal=None)
    jobs = [await bench.up(runner, str(number)) for number in range(10)]

    jobs[4].worker.end(ValueError("fatal"))

    with pytest.raises(ValueError, match="fatal"):
        await runner.wait()
    assert all(job.worker.is_dead for job in jobs)
    assert [job.worker.kills for job in jobs] == [1] * 4 + [0] + [1] * 5


async def test_the_first_fatal_error_is_kept(bench: Bench) -> None:
    """DEFECT-4 upstream: there it was the last."""
    runner = bench.runner(is_fatal=None)
    first = await bench.up(runner, "first")
    await bench.up(runner, "second", error_at_kill=ValueError("second"))

    first.worker.end(ValueError("first"))

    with pytest.raises(ValueError, match="first"):
        await runner.wait()


async def test_the_most_important_error_wins(bench: Bench) -> None:
    """TestErrorImportance: errors that come while the runner is dying compete, too."""
    runner = bench.runner(is_fatal=None, more_important=lambda new, kept: level(new) > level(kept))
    for number in range(10):
        await bench.up(runner, str(number), error_at_kill=LevelError(number))

    await runner.stop_worker("4")

    with pytest.raises(LevelError, match="level 9"):
        await runner.wait()


async def test_more_important_is_asked_with_the_new_and_the_kept(bench: Bench) -> None:
    asked: list[tuple[int, int]] = []

    def more_important(new: Exception, kept: Exception) -> bool:
        asked.append((level(new), level(kept)))
        return level(new) > level(kept)

    runner = bench.runner(is_fatal=None, more_important=more_important)
    jobs = [await bench.up(runner, str(number), stubborn=True) for number in range(3)]

    for number in (1, 0, 2):
        jobs[number].worker.end(LevelError(number))
        for _ in range(10):
            await asyncio.sleep(0)

    with pytest.raises(LevelError, match="level 2"):
        await runner.wait()
    assert asked == [(0, 1), (2, 1)]


async def test_a_fatal_error_after_a_kill_is_the_result(bench: Bench) -> None:
    runner = bench.runner(is_fatal=None)
    await bench.up(runner, error_at_kill=ValueError("in stopping"))

    runner.kill()

    with pytest.raises(ValueError, match="in stopping"):
        await runner.wait()


async def test_every_error_is_put_to_is_fatal(bench: Bench, settle: Settle) -> None:
    """Of starts, of running workers, of those that are being stopped, and of those that end while it dies."""
    asked: list[str] = []

    def is_fatal(error: Exception) -> bool:
        asked.append(str(error))
        return False

    runner = bench.runner(is_fatal=is_fatal)
    await bench.up(runner, "start", fails=ValueError("start"))
    running = await bench.up(runner, "running")
    running.worker.end(ValueError("running"))
    await bench.up(runner, "stopped", error_at_kill=ValueError("stopped"))
    await runner.stop_worker("stopped")
    await bench.up(runner, "dying", error_at_kill=ValueError("dying"))
    await settle()
    runner.kill()
    await runner.wait()

    assert asked == ["start", "running", "stopped", "dying"]


async def test_what_is_no_exception_is_fatal_without_asking(bench: Bench) -> None:
    asked: list[object] = []
    runner = bench.runner(is_fatal=asked.append)
    job = await bench.up(runner)
    group = BaseExceptionGroup("severe", [KeyboardInterrupt()])

    job.worker.end(group)

    assert await outcome(runner) is group
    assert asked == []


async def test_a_start_that_calls_its_runner_while_it_dies_gets_dead_error(bench: Bench, settle: Settle) -> None:
    """TestFatalErrorWhileSelfStartWorker."""
    runner = bench.runner(is_fatal=lambda error: isinstance(error, ValueError))
    gate = asyncio.Event()
    seen: list[BaseException] = []

    async def start() -> Worker:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            try:
                await runner.start_worker("other", NoOpWorker)
            except DeadError as error:
                seen.append(error)
        return NoOpWorker()

    await runner.start_worker("one", start)
    await settle()
    await runner.start_worker("bad", bench.job(fails=ValueError("fatal")))

    with pytest.raises(ValueError, match="fatal"):
        await runner.wait()
    assert [type(error) for error in seen] == [DeadError]


async def test_a_worker_may_start_others_on_its_own_runner(bench: Bench, settle: Settle) -> None:
    runner = bench.runner()

    async def work(_: object) -> None:
        await runner.start_worker("other", NoOpWorker)

    await runner.start_worker("one", lambda: SimpleWorker(work))
    await settle()

    assert runner.worker_names() == ["other"]


# Deciding callbacks that raise.


def explode(*_: object) -> bool:
    raise ZeroDivisionError("in a callback")


@pytest.mark.parametrize("callback", ["is_fatal", "should_restart", "restart_delay"])
@pytest.mark.parametrize("fails", ["start", "worker"])
async def test_a_deciding_callback_that_raises_is_the_runners_death(bench: Bench, callback: str, fails: str) -> None:
    runner = bench.runner(**{callback: explode})
    other = await bench.up(runner, "other")
    job = await bench.up(runner, fails=ValueError() if fails == "start" else None)
    if fails == "worker":
        job.worker.end(ValueError())

    with pytest.raises(ZeroDivisionError, match="in a callback"):
        await runner.wait()
    assert other.worker.is_dead


async def test_an_internal_error_outranks_every_fatal_one(bench: Bench) -> None:
    runner = bench.runner(is_fatal=None, more_important=explode)
    for number in range(3):
        await bench.up(runner, str(number), error_at_kill=LevelError(number))

    runner.kill()

    with pytest.raises(ZeroDivisionError):
        await runner.wait()
    assert runner.report()["error"] == "in a callback"


async def test_the_first_internal_error_is_kept(bench: Bench) -> None:
    errors = [ZeroDivisionError("first"), ZeroDivisionError("second")]

    def is_fatal(_: Exception) -> bool:
        raise errors.pop(0)

    runner = bench.runner(is_fatal=is_fatal)
    for number in range(2):
        await bench.up(runner, str(number), error_at_kill=ValueError())
    runner.kill()

    with pytest.raises(ZeroDivisionError, match="first"):
        await runner.wait()


async def test_stop_and_remove_raises_the_workers_own_error_beside_an_internal_one(bench: Bench) -> None:
    runner = bench.runner(is_fatal=explode)
    await bench.up(runner, error_at_kill=ValueError("own"))

    with pytest.raises(ValueError, match="own"):
        await runner.stop_and_remove_worker("one")

    with pytest.raises(ZeroDivisionError):
        await runner.wait()


@pytest.mark.parametrize(("answer", "kind"), [(math.nan, NotValidError), ("soon", ValueError), (None, TypeError)])
async def test_a_delay_that_is_none_is_an_internal_error(bench: Bench, answer: object, kind: type[Exception]) -> None:
    runner = bench.runner(restart_delay=lambda *_: answer)

    await bench.up(runner, fails=OSError())

    with pytest.raises(kind):
        await runner.wait()


@pytest.mark.loop_errors
def test_a_callback_that_exits_leaves_the_loop() -> None:
    def is_fatal(_: Exception) -> bool:
        raise SystemExit(5)

    async def start() -> Worker:
        raise ValueError

    async def main() -> None:
        await Runner("runner", is_fatal=is_fatal).start_worker("one", start)
        await asyncio.Event().wait()

    with pytest.raises(SystemExit) as caught:
        asyncio.run(main())

    assert caught.value.code == 5


# Deciding callbacks that call back in.


@pytest.mark.parametrize("callback", ["is_fatal", "should_restart", "restart_delay"])
@pytest.mark.parametrize("fails", ["start", "worker"])
async def test_a_callback_may_kill_the_runner(bench: Bench, settle: Settle, callback: str, fails: str) -> None:
    def kill(*_: object) -> float:
        runner.kill()
        return 0 if callback == "is_fatal" else 1

    runner = bench.runner(**{callback: kill})
    other = await bench.up(runner, "other")
    job = await bench.up(runner, fails=ValueError("judged") if fails == "start" else None)
    if fails == "worker":
        job.worker.end(ValueError("judged"))

    await runner.wait()

    assert other.worker.is_dead
    assert job.starts == 1


async def test_what_is_being_judged_is_judged_to_the_end_though_the_callback_kills(bench: Bench) -> None:
    def is_fatal(_: Exception) -> bool:
        runner.kill()
        return True

    runner = bench.runner(is_fatal=is_fatal)
    await bench.up(runner, fails=ValueError("judged"))

    with pytest.raises(ValueError, match="judged"):
        await runner.wait()


async def test_more_important_may_kill_the_runner(bench: Bench) -> None:
    def more_important(new: Exception, _: Exception) -> bool:
        runner.kill()
        return level(new) == 1

    runner = bench.runner(is_fatal=None, more_important=more_important)
    jobs = [await bench.up(runner, str(number), stubborn=True) for number in range(2)]
    for number, job in enumerate(jobs):
        job.worker.end(LevelError(number))

    with pytest.raises(LevelError, match="level 1"):
        await runner.wait()


@pytest.mark.parametrize("callback", ["is_fatal", "should_restart", "restart_delay"])
async def test_a_callback_may_stop_the_id_that_is_being_judged(bench: Bench, settle: Settle, callback: str) -> None:
    def stop(*_: object) -> float:
        with pytest.raises(StopIteration):
            runner.stop_worker("one").send(None)
        return 0 if callback == "is_fatal" else 1

    runner = bench.runner(**{callback: stop})
    job = await bench.up(runner, fails=ValueError())
    await settle()

    assert runner.worker_names() == []
    assert bench.clock.pending == 0
    assert job.starts == 1


async def test_a_callback_may_start_and_stop_others(bench: Bench, settle: Settle) -> None:
    def is_fatal(_: Exception) -> bool:
        with pytest.raises(StopIteration):
            runner.start_worker("new", NoOpWorker).send(None)
        with pytest.raises(StopIteration):
            runner.stop_worker("other").send(None)
        return False

    runner = bench.runner(is_fatal=is_fatal)
    other = await bench.up(runner, "other")
    await bench.up(runner, fails=ValueError())
    await settle()

    assert other.worker.is_dead
    assert runner.worker_names() == ["one", "new"]


# Cancellation says nothing of failure.


async def test_a_foreign_workers_cancelled_error_is_a_failure(bench: Bench) -> None:
    runner = bench.runner(is_fatal=None)
    job = await bench.up(runner)

    job.worker.end(asyncio.CancelledError())

    with pytest.raises(WorkerCancelled):
        await runner.wait()


async def test_a_foreign_workers_cancelled_error_is_clean_if_it_had_been_asked_to_stop(bench: Bench) -> None:
    runner = bench.runner(is_fatal=None)
    await bench.up(runner, "one", error_at_kill=asyncio.CancelledError())
    await bench.up(runner, "two", error_at_kill=asyncio.CancelledError())

    await runner.stop_and_remove_worker("one")
    runner.kill()

    await runner.wait()
