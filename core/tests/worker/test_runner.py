"""The runner starts workers, restarts those that fail, and forgets those that have finished."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from undercroft.errors import DeadError, StartError, WorkerCancelled
from undercroft.testing import FakeClock
from undercroft.worker.backoff import Backoff
from undercroft.worker.runner import Runner
from undercroft.worker.small import FinishedWorker, NoOpWorker, SimpleWorker
from undercroft_hookspecs import AlreadyExistsError, NotFoundError, NotValidError, Reporter, Worker

if TYPE_CHECKING:
    from core.tests.worker.conftest import Bench

Settle = Callable[[], Awaitable[None]]


async def test_is_a_worker_and_a_reporter(bench: Bench) -> None:
    runner = bench.runner()

    assert isinstance(runner, Worker)
    assert isinstance(runner, Reporter)


# Starting.


async def test_a_worker_is_started(bench: Bench) -> None:
    """TestOneWorkerStart."""
    runner = bench.runner()
    job = await bench.up(runner)

    assert runner.worker_names() == ["one"]
    assert job.starts == 1
    runner.kill()
    await runner.wait()

    assert job.worker.is_dead
    assert runner.worker_names() == []


async def test_an_id_is_known_when_start_worker_returns_and_its_start_has_not_been_called(bench: Bench) -> None:
    runner, job = bench.runner(), bench.job()

    starting = runner.start_worker("one", job)
    with pytest.raises(StopIteration):  # It does not suspend.
        starting.send(None)

    assert runner.worker_names() == ["one"]
    assert job.starts == 0


async def test_a_plain_start_function_is_called_in_a_task_of_its_own(bench: Bench, settle: Settle) -> None:
    runner = bench.runner()
    tasks: list[asyncio.Task[object] | None] = []

    def start() -> Worker:
        tasks.append(asyncio.current_task())
        return NoOpWorker()

    await runner.start_worker("one", start)
    await settle()

    assert isinstance(await runner.worker("one"), NoOpWorker)
    assert tasks[0] is not None
    assert tasks[0] is not asyncio.current_task()


async def test_a_start_function_may_give_another_awaitable(bench: Bench) -> None:
    runner = bench.runner()
    future: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
    worker = NoOpWorker()

    await runner.start_worker("one", lambda: future)
    future.set_result(worker)

    assert await runner.worker("one") is worker


@pytest.mark.parametrize("result", [None, 3, "worker", object()])
async def test_a_start_that_gives_no_worker_fails_with_start_error(bench: Bench, result: object) -> None:
    runner = bench.runner(is_fatal=None)

    async def start() -> Worker:
        return result  # type: ignore[return-value]

    await runner.start_worker("one", start)

    with pytest.raises(StartError):
        await runner.wait()


async def test_a_start_that_raises_cancelled_error_by_itself_fails_with_worker_cancelled(bench: Bench) -> None:
    """v4: TestWorkerWhenStartCallsGoexit."""
    runner = bench.runner(is_fatal=None)

    async def start() -> Worker:
        raise asyncio.CancelledError

    await runner.start_worker("one", start)

    with pytest.raises(WorkerCancelled):
        await runner.wait()


async def test_ids_keep_the_order_of_their_registration(bench: Bench) -> None:
    runner = bench.runner()

    for name in ("b", "a", "c"):
        await bench.up(runner, name)

    assert runner.worker_names() == ["b", "a", "c"]


@pytest.mark.slow_callbacks  # Two thousand registrations in one turn, in debug mode.
async def test_thousands_of_ids_come_up_and_go() -> None:
    runner = Runner("many")
    count = 2_000
    for number in range(count):
        await runner.start_worker(str(number), NoOpWorker)
    for number in range(count):
        await runner.worker(str(number))

    runner.kill()
    await runner.wait()

    assert runner.worker_names() == []


@pytest.mark.parametrize("phase", ["not begun", "starting", "started", "stopping", "delayed"])
async def test_an_id_exists_in_every_phase(bench: Bench, settle: Settle, phase: str) -> None:
    """v4: TestWorkerStartWhenRunningOrStopping."""
    runner, job = bench.runner(), bench.job(stubborn=True)
    if phase == "starting":
        job.block()
    if phase == "delayed":
        job.fails = ValueError()
    await runner.start_worker("one", job)
    if phase != "not begun":
        await settle()
    if phase == "stopping":
        await runner.stop_worker("one")

    with pytest.raises(AlreadyExistsError) as caught:
        await runner.start_worker("one", bench.job())

    assert caught.value.name == "one"


async def test_an_id_that_is_gone_can_be_used_again(bench: Bench) -> None:
    runner = bench.runner()
    await bench.up(runner)
    await runner.stop_and_remove_worker("one")

    again = await bench.up(runner)

    assert await runner.worker("one") is again.worker


# Ends, and what follows.


async def test_a_clean_end_means_finished(bench: Bench, settle: Settle) -> None:
    """TestOneWorkerFinish; nobody is asked."""
    asked: list[object] = []
    runner = bench.runner(is_fatal=asked.append, should_restart=asked.append)
    job = await bench.up(runner)

    job.worker.end()
    await settle()

    assert runner.worker_names() == []
    assert (job.starts, asked) == (1, [])
    await bench.clock.advance(100.0)
    assert job.starts == 1
    runner.kill()
    await runner.wait()


async def test_a_finished_worker_removes_its_id(bench: Bench, settle: Settle) -> None:
    runner = bench.runner()

    await runner.start_worker("one", FinishedWorker)
    await settle()

    assert runner.worker_names() == []


async def test_a_failed_worker_is_restarted_each_time(bench: Bench) -> None:
    """TestOneWorkerRestart."""
    runner = bench.runner(restart_delay=0.001)
    job = await bench.up(runner)

    for starts in (2, 3, 4):
        job.worker.end(ValueError("again"))
        await bench.clock.wait_advance(0.001)
        assert job.starts == starts

    assert runner.worker_names() == ["one"]


async def test_a_failed_start_is_tried_again(bench: Bench) -> None:
    runner = bench.runner(restart_delay=1.0)
    job = await bench.up(runner, fails=ValueError("not yet"))

    await bench.clock.wait_advance(1.0)
    assert job.starts == 2
    job.fails = None
    await bench.clock.wait_advance(1.0)

    assert await runner.worker("one") is job.worker


async def test_the_restart_delay_counts_from_the_end(bench: Bench, settle: Settle) -> None:
    """TestOneWorkerRestartDelay."""
    runner = bench.runner(restart_delay=10.0)
    job = await bench.up(runner)
    await bench.clock.advance(50.0)

    job.worker.end(ValueError())
    await settle()
    await bench.clock.advance(9.9)
    assert job.starts == 1
    await bench.clock.advance(0.1)

    assert job.starts == 2


async def test_the_default_delay_is_three_seconds(bench: Bench) -> None:
    runner = bench.runner()
    job = await bench.up(runner, fails=ValueError())

    await bench.clock.advance(2.9)
    assert job.starts == 1
    await bench.clock.advance(0.1)
    assert job.starts == 2


async def test_no_delay_restarts_at_once(bench: Bench, settle: Settle) -> None:
    runner = bench.runner(restart_delay=0)
    job = await bench.up(runner)

    job.worker.end(ValueError())
    await settle()

    assert job.starts == 2
    assert bench.clock.pending == 0


async def test_the_next_start_comes_only_after_the_wait_of_the_last_worker(bench: Bench, settle: Settle) -> None:
    alive = 0
    most = 0

    async def work(_: object) -> None:
        nonlocal alive, most
        alive += 1
        most = max(most, alive)
        try:
            await asyncio.sleep(0)
            raise ValueError
        finally:
            alive -= 1

    runner = bench.runner(restart_delay=0)
    await runner.start_worker("one", lambda: SimpleWorker(work))
    await settle()

    assert most == 1


async def test_should_restart_says_no(bench: Bench, settle: Settle) -> None:
    """v4: TestOneWorkerShouldRestart."""
    errors: list[Exception] = []

    def never(error: Exception) -> bool:
        errors.append(error)
        return False

    runner = bench.runner(should_restart=never)
    job = await bench.up(runner)
    error = ValueError("once")
    job.worker.end(error)
    await settle()

    with pytest.raises(NotFoundError):
        await runner.worker("one")
    assert errors == [error]
    assert job.starts == 1
    runner.kill()
    await runner.wait()


async def test_callbacks_count_by_truth(bench: Bench, settle: Settle) -> None:
    runner = bench.runner(is_fatal=lambda _: "", should_restart=lambda _: [])
    job = await bench.up(runner)

    job.worker.end(ValueError())
    await settle()

    assert runner.worker_names() == []
    assert (await bench.up(runner, "two")).starts == 1


# Delays that grow.


async def delays_of(bench: Bench, runner: Runner, count: int) -> list[float]:
    """The delays that a start which always fails is given."""
    delays = []
    await bench.up(runner, fails=ValueError())
    for _ in range(count):
        delay = bench.entry(runner)["delay"]
        assert isinstance(delay, float)
        delays.append(delay)
        await bench.clock.advance(delay)
    return delays


async def test_a_backoff_grows_with_consecutive_failures(bench: Bench) -> None:
    runner = bench.runner(restart_delay=Backoff(delay=1.0, factor=2.0, max_delay=5.0))

    assert await delays_of(bench, runner, 5) == [1.0, 2.0, 4.0, 5.0, 5.0]


async def test_a_backoff_draws_from_the_given_rng(bench: Bench) -> None:
    backoff = Backoff(delay=1.0, jitter=0.5)
    expected = random.Random(5)

    runner = bench.runner(restart_delay=backoff, rng=random.Random(5))

    assert await delays_of(bench, runner, 4) == [backoff.next(1, expected) for _ in range(4)]


async def test_a_backoff_needs_no_rng(bench: Bench) -> None:
    runner = bench.runner(restart_delay=Backoff(delay=1.0, jitter=0.5))

    assert all(0.5 <= delay < 1.5 for delay in await delays_of(bench, runner, 4))


async def test_a_function_gives_the_delay(bench: Bench) -> None:
    asked: list[tuple[int, str]] = []

    def delay(failures: int, error: Exception) -> float:
        asked.append((failures, type(error).__name__))
        return failures * 10.0

    runner = bench.runner(restart_delay=delay)

    assert await delays_of(bench, runner, 3) == [10.0, 20.0, 30.0]
    assert asked[:3] == [(1, "ValueError"), (2, "ValueError"), (3, "ValueError")]


async def test_negative_answers_of_the_function_count_as_zero(bench: Bench, settle: Settle) -> None:
    runner = bench.runner(restart_delay=lambda failures, _: -1.0 if failures == 1 else 7)
    job = await bench.up(runner, fails=ValueError())
    await settle()

    assert job.starts == 2
    assert bench.entry(runner)["delay"] == 7.0


async def test_a_successful_start_resets_nothing(bench: Bench, settle: Settle) -> None:
    runner = bench.runner(restart_delay=Backoff(delay=1.0, factor=2.0, reset_after=60.0))
    job = await bench.up(runner)

    for delay in (1.0, 2.0, 4.0):
        await bench.clock.advance(59.0)
        job.worker.end(ValueError())
        await settle()
        assert bench.entry(runner)["delay"] == delay
        await bench.clock.advance(delay)


async def test_a_long_life_makes_the_next_failure_number_one(bench: Bench, settle: Settle) -> None:
    """v4 engine: TestBackoffFactorOnError; the runner has the same rule."""
    runner = bench.runner(restart_delay=Backoff(delay=1.0, factor=2.0, reset_after=60.0))
    job = await bench.up(runner)
    seen = []

    for lived in (0.0, 0.0, 60.0, 0.0):
        await bench.clock.advance(lived)
        job.worker.end(ValueError())
        await settle()
        delay = bench.entry(runner)["delay"]
        assert isinstance(delay, float)
        seen.append(delay)
        await bench.clock.advance(delay)

    assert seen == [1.0, 2.0, 1.0, 2.0]


async def test_with_a_function_the_reset_time_is_a_minute(bench: Bench, settle: Settle) -> None:
    asked: list[int] = []

    def delay(failures: int, _: Exception) -> float:
        asked.append(failures)
        return 0

    runner = bench.runner(restart_delay=delay)
    job = await bench.up(runner)

    for lived in (0.0, 59.0, 60.0, 1.0):
        await bench.clock.advance(lived)
        job.worker.end(ValueError())
        await settle()

    assert asked == [1, 2, 1, 2]


async def test_failures_are_counted_per_registration(bench: Bench) -> None:
    runner = bench.runner(restart_delay=Backoff(delay=1.0, factor=2.0))
    assert await delays_of(bench, runner, 3) == [1.0, 2.0, 4.0]
    await runner.stop_and_remove_worker("one")

    assert await delays_of(bench, runner, 2) == [1.0, 2.0]


# Death.


async def test_a_runner_without_ids_dies_when_it_is_killed(bench: Bench) -> None:
    runner = bench.runner()

    runner.kill()
    runner.kill()

    await runner.wait()


@pytest.mark.parametrize("call", ["start_worker", "stop_worker", "stop_and_remove_worker", "worker"])
@pytest.mark.parametrize("is_dead", [True, False])
async def test_a_dying_or_dead_runner_says_so_before_anything_else(bench: Bench, call: str, is_dead: bool) -> None:
    """TestStartWorkerWhenDead, TestStopWorkerWhenDead."""
    runner = bench.runner()
    job = await bench.up(runner, stubborn=True)
    runner.kill()
    if is_dead:
        job.worker.end()
        await runner.wait()

    for name in ("one", "unknown", ""):
        arguments = (name, None) if call == "start_worker" else (name,)
        with pytest.raises(DeadError):
            await getattr(runner, call)(*arguments)


async def test_leaving_the_block_kills_and_waits(bench: Bench) -> None:
    async with bench.runner() as runner:
        job = await bench.up(runner)

    assert job.worker.is_dead
    assert runner.report()["state"] == "stopped"


async def test_runners_nest(bench: Bench, settle: Settle) -> None:
    inner = bench.runner(name="inner", is_fatal=None)
    outer = bench.runner(name="outer", is_fatal=None)
    await outer.start_worker("inner", lambda: inner)
    job = await bench.up(inner)
    error = ValueError("deep")

    job.worker.end(error)

    with pytest.raises(ValueError, match="deep") as caught:
        await outer.wait()
    assert caught.value is error


# What is refused.


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": 3}, "name"),
        ({"is_fatal": 3}, "is_fatal"),
        ({"should_restart": True}, "should_restart"),
        ({"more_important": "yes"}, "more_important"),
        ({"restart_delay": -1}, "restart_delay"),
        ({"restart_delay": math.nan}, "restart_delay"),
        ({"restart_delay": "3"}, "restart_delay"),
        ({"restart_delay": None}, "restart_delay"),
        ({"events": 3}, "events"),
        ({"restart_limit": 3}, "restart_limit"),
        ({"restart_limit": (-1, 1.0)}, "restart_limit"),
        ({"restart_limit": (1, math.nan)}, "restart_limit"),
        ({"kill_timeout": -1}, "kill_timeout"),
    ],
)
async def test_bad_options_are_refused_by_name(options: dict[str, object], field: str) -> None:
    """v4: TestParamsValidate."""
    with pytest.raises(NotValidError) as caught:
        Runner(**{"name": "runner", **options})  # type: ignore[arg-type]

    assert caught.value.field == field


async def test_a_name_is_all_that_is_needed() -> None:
    """v4: TestParamsValidate."""
    async with Runner("runner"):
        pass


@pytest.mark.parametrize("name", ["", 3, None])
async def test_a_bad_id_is_refused(bench: Bench, name: str) -> None:
    runner = bench.runner()

    with pytest.raises(NotValidError) as caught:
        await runner.start_worker(name, bench.job())

    assert caught.value.field == "id"
    assert runner.worker_names() == []


async def test_a_bad_start_is_refused(bench: Bench) -> None:
    runner = bench.runner()

    with pytest.raises(NotValidError) as caught:
        await runner.start_worker("one", NoOpWorker())  # type: ignore[arg-type]

    assert caught.value.field == "start"
    assert runner.worker_names() == []


def test_a_runner_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError):
        Runner("runner", clock=FakeClock())
