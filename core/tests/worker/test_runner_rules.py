"""The ground rules, as they bind a runner: threads, closed loops, exits, contexts, workers that must not be lost."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest

from undercroft.worker.lifecycle import outcome
from undercroft.worker.runner import Runner
from undercroft.worker.small import NoOpWorker, SimpleWorker
from undercroft.worker.start import current_worker
from undercroft_hookspecs import Worker

if TYPE_CHECKING:
    from core.tests.worker.conftest import Bench

    from undercroft.worker.tomb import Stop

Settle = Callable[[], Awaitable[None]]


# kill, from anywhere.


async def test_kill_from_a_thread(bench: Bench) -> None:
    runner = bench.runner()
    jobs = [await bench.up(runner, str(number)) for number in range(5)]

    thread = threading.Thread(target=runner.kill)
    thread.start()
    await asyncio.wait_for(runner.wait(), 5)
    thread.join()

    assert all(job.worker.is_dead for job in jobs)


async def until_stop(stop: Stop) -> None:
    await stop.wait()


def test_kill_between_two_runs_of_the_loop() -> None:
    async def begin() -> Runner:
        runner = Runner("runner", kill_timeout=5.0)
        await runner.start_worker("one", lambda: SimpleWorker(until_stop))
        await runner.worker("one")
        return runner

    with asyncio.Runner() as loop:
        runner = loop.run(begin())
        runner.kill()
        loop.run(runner.wait())

    assert runner.report()["state"] == "stopped"


def test_kill_after_the_loop_is_closed() -> None:
    async def begin() -> Runner:
        runner = Runner("runner", is_fatal=lambda _: False, kill_timeout=5.0)
        await runner.start_worker("up", NoOpWorker)
        await runner.start_worker("delayed", lambda: None)  # type: ignore[arg-type, return-value]
        await runner.worker("up")
        return runner

    loop = asyncio.new_event_loop()
    runner = loop.run_until_complete(begin())
    loop.close()

    thread = threading.Thread(target=runner.kill)
    thread.start()
    thread.join()
    runner.kill()

    assert runner.report()["state"] == "stopped"


# Exits.


@pytest.mark.parametrize("where", ["start", "worker"])
def test_system_exit_is_recorded_and_leaves_the_loop(where: str) -> None:
    asked: list[Exception] = []
    error = SystemExit(3)
    runners: list[Runner] = []

    async def work(_: Stop) -> None:
        raise error

    async def start() -> Worker:
        if where == "start":
            raise error
        return SimpleWorker(work)

    async def main() -> None:
        runners.append(Runner("runner", is_fatal=lambda error: bool(asked.append(error))))  # type: ignore[func-returns-value]
        await runners[0].start_worker("one", start)
        await asyncio.Event().wait()

    with asyncio.Runner() as loop:
        with pytest.raises(SystemExit):
            loop.run(main())
        assert loop.run(outcome(runners[0])) is error

    assert asked == []


# Context.

variable: ContextVar[str] = ContextVar("variable", default="nobody")


async def test_each_start_runs_in_a_copy_of_the_registrations_context(bench: Bench, settle: Settle) -> None:
    runner = bench.runner(restart_delay=0)
    seen: list[tuple[str, str | None]] = []

    async def start() -> Worker:
        seen.append((variable.get(), current_worker.get()))
        variable.set("left by a start")
        if len(seen) < 3:
            raise ValueError
        return NoOpWorker()

    variable.set("registrar")
    await runner.start_worker("one", start)
    variable.set("later")
    await runner.worker("one")

    assert seen == [("registrar", "runner/one")] * 3
    assert current_worker.get() is None


async def test_a_worker_runs_in_the_context_of_its_start(bench: Bench) -> None:
    runner = bench.runner(name="outer")
    seen: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()

    async def work(_: Stop) -> None:
        seen.set_result(current_worker.get())

    await runner.start_worker("inner", lambda: SimpleWorker(work))

    assert await seen == "outer/inner"


# Ownership.


async def test_workers_do_not_belong_to_the_scope_that_started_them(bench: Bench, settle: Settle) -> None:
    runner, job = bench.runner(), bench.job()
    gate = job.block()

    with pytest.raises(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            await group.create_task(runner.start_worker("one", job))
            await settle()
            raise ValueError
    gate.set()

    assert await runner.worker("one") is job.worker


async def test_a_runner_that_nobody_refers_to_goes_on(bench: Bench, settle: Settle) -> None:
    up = asyncio.Event()
    stops: list[Worker] = []

    async def start() -> Worker:
        await asyncio.sleep(0)
        stops.append(NoOpWorker())
        up.set()
        return stops[0]

    async def begin() -> None:
        await Runner("dropped").start_worker("one", start)

    await begin()
    await asyncio.wait_for(up.wait(), 5)

    stops[0].kill()
    await settle()


# Workers that must not be lost.


class Late:
    """A start whose task is cancelled in the very step in which it returns its worker."""

    def __init__(self) -> None:
        self.worker = NoOpWorker()
        self.ready = asyncio.Event()
        self.task: asyncio.Task[object] | None = None

    async def __call__(self) -> Worker:
        self.task = asyncio.current_task()
        await self.ready.wait()
        return self.worker


@pytest.mark.parametrize("order", ["ready, stop", "stop, ready"])
async def test_a_worker_made_in_the_turn_of_the_stop_is_killed_and_awaited(
    bench: Bench, settle: Settle, order: str
) -> None:
    runner, start = bench.runner(), Late()
    await runner.start_worker("one", start)
    await settle()

    for step in order.split(", "):
        if step == "ready":
            start.ready.set()
        else:
            await runner.stop_worker("one")
    await settle()

    assert runner.worker_names() == []
    start.worker.kill()


async def test_a_worker_returned_in_the_step_in_which_the_stop_arrives_is_killed_and_awaited(
    bench: Bench, settle: Settle
) -> None:
    """asyncio throws away what a task returns if `cancel()` reached it during its last step."""
    runner = bench.runner()
    worker = NoOpWorker()

    async def start() -> Worker:
        await asyncio.sleep(0)
        task = asyncio.current_task()
        assert task is not None
        await runner.stop_worker("one")
        assert task.cancelling() == 1
        return worker

    await runner.start_worker("one", start)
    await settle()

    assert runner.worker_names() == []
    assert worker._tomb.state == "dead"


async def test_a_start_cancelled_by_a_stranger_in_its_last_step_still_gives_its_worker(bench: Bench) -> None:
    runner = bench.runner()
    worker = NoOpWorker()

    async def start() -> Worker:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return worker

    await runner.start_worker("one", start)

    assert await runner.worker("one") is worker


async def test_a_start_that_ends_between_its_last_step_and_the_stop(bench: Bench, settle: Settle) -> None:
    """The stop finds a start that has ended, and whose end the runner has not been told of yet."""
    runner = bench.runner()
    worker = NoOpWorker()

    async def start() -> Worker:
        asyncio.get_running_loop().call_soon(lambda: _run(runner.stop_worker("one")))
        return worker

    await runner.start_worker("one", start)
    await settle()

    assert runner.worker_names() == []
    assert worker._tomb.state == "dead"


def _run(call: Awaitable[None]) -> None:
    with pytest.raises(StopIteration):
        call.__await__().__next__()


# Workers that break their promises.


class Bad:
    """A foreign worker whose `kill` raises."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def kill(self) -> None:
        self.ended.set()
        raise ValueError("kill raised")

    async def wait(self) -> None:
        await self.ended.wait()


async def test_a_kill_that_raises_is_logged_and_the_death_awaited(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    runner = bench.runner()
    for name in ("one", "two"):
        await runner.start_worker(name, Bad)
        await runner.worker(name)

    runner.kill()
    await runner.wait()

    assert "kill raised" in caplog.text


async def test_a_worker_whose_wait_awaits_its_own_task_is_not_disturbed(bench: Bench, settle: Settle) -> None:
    class Tasked:
        def __init__(self) -> None:
            self.stop = asyncio.Event()
            self.task = asyncio.create_task(self.run())

        async def run(self) -> None:
            await self.stop.wait()

        def kill(self) -> None:
            self.stop.set()

        async def wait(self) -> None:
            await self.task

    runner = bench.runner()
    await runner.start_worker("one", Tasked)
    worker = await runner.worker("one")
    removing = asyncio.ensure_future(runner.stop_and_remove_worker("one"))
    removing.cancel()
    await settle()

    assert isinstance(worker, Tasked)
    assert not worker.task.cancelled()


# Cost.


async def test_an_idle_worker_has_one_task_and_nothing_else(bench: Bench, settle: Settle) -> None:
    before = asyncio.all_tasks()
    runner = bench.runner()
    for number in range(20):
        await runner.start_worker(str(number), lambda: SimpleWorker(until_stop))
    await settle()

    assert len(asyncio.all_tasks() - before) == 20
    runner.kill()
    await runner.wait()
    await settle()
    assert asyncio.all_tasks() == before


async def test_a_crowd_does_not_hold_up_the_loop(settle: Settle) -> None:
    """Starts are let in a few per turn, in order."""
    runner = Runner("crowd")
    order: list[int] = []

    def starter(number: int) -> Callable[[], Worker]:
        def start() -> Worker:
            order.append(number)
            return NoOpWorker()

        return start

    for number in range(250):
        await runner.start_worker(str(number), starter(number))
    counts = []
    for _ in range(8):
        await asyncio.sleep(0)
        counts.append(len(order))
    await settle()

    assert order == list(range(250))
    assert all(later - earlier <= 100 for earlier, later in itertools.pairwise(counts))
    runner.kill()
    await runner.wait()
