"""PeriodicWorker and Timer: at once, then a pause after each end, and nothing after a kill.

What holds for every timer is tested with three: the default on the system's clock, on a fake clock, and a foreign one.
"""

from __future__ import annotations

import asyncio
import math
import random
import threading
import weakref
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

import pytest

from undercroft.clock import SystemClock
from undercroft.errors import Killed, WorkerCancelled
from undercroft.testing import FakeClock
from undercroft.worker.periodic import PeriodicTimer, PeriodicWorker, Timer
from undercroft_hookspecs import NotValidError, Worker

if TYPE_CHECKING:
    from undercroft import Stop

SOON = 0.001
NEVER = 3600.0


class Calls:
    """Counts the calls that are made, lets a test wait for them, and ends each as told."""

    def __init__(self, *, error: BaseException | None = None, suspends: bool = False, fails_at: int = 1) -> None:
        self.count = 0
        self._error, self._suspends, self._fails_at = error, suspends, fails_at
        self._changed = asyncio.Event()

    async def __call__(self, stop: Stop) -> None:
        self.count += 1
        self._changed.set()
        if self._suspends:
            await asyncio.sleep(0)
        if self._error is not None and self.count >= self._fails_at:
            raise self._error

    async def until(self, count: int) -> None:
        async with asyncio.timeout(5):
            while self.count < count:
                self._changed.clear()
                await self._changed.wait()


class HandTimer:
    """A foreign timer: a test lets it expire."""

    def __init__(self, delay: float) -> None:
        self.delays: list[float] = [delay]
        self.waiting = 0
        self._expired = asyncio.Event()
        self._was_reset = asyncio.Event()

    def reset(self, delay: float) -> bool:
        self.delays.append(delay)
        self._was_reset.set()
        return False

    async def countdown(self) -> None:
        self.waiting += 1
        try:
            await self._expired.wait()
        finally:
            self.waiting -= 1
        self._expired.clear()

    def expire(self) -> None:
        self._expired.set()

    async def until_reset(self) -> None:
        await asyncio.wait_for(self._was_reset.wait(), 5)
        self._was_reset.clear()


class EagerTimer(HandTimer):
    """A foreign timer that expires a turn of the loop after its reset."""

    def __init__(self, delay: float) -> None:
        super().__init__(delay)
        asyncio.get_running_loop().call_soon(self.expire)

    def reset(self, delay: float) -> bool:
        asyncio.get_running_loop().call_soon(self.expire)
        return super().reset(delay)


class CountingClock(SystemClock):
    """Real time, on a clock that the library does not know."""


Make = Callable[[Callable[["Stop"], Awaitable[None]]], PeriodicWorker]


@pytest.fixture(params=["system clock", "other clock", "foreign timer"])
def make(request: pytest.FixtureRequest) -> Make:
    """Make a worker that calls as often as it can."""
    if request.param == "system clock":
        return lambda call: PeriodicWorker(call, SOON)
    if request.param == "other clock":
        return lambda call: PeriodicWorker(call, SOON, clock=CountingClock())
    return lambda call: PeriodicWorker(call, SOON, new_timer=EagerTimer)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


# What every worker does, whatever its timer.


async def test_is_a_worker(make: Make) -> None:
    worker = make(Calls())

    assert isinstance(worker, Worker)
    worker.kill()
    await worker.wait()


async def test_calls_until_killed(make: Make) -> None:
    """21: TestCallUntilKilled."""
    calls = Calls()
    worker = make(calls)

    await calls.until(5)
    worker.kill()

    await worker.wait()


async def test_calls_that_wait_go_on_too(make: Make) -> None:
    calls = Calls(suspends=True)
    worker = make(calls)

    await calls.until(5)
    worker.kill()

    await worker.wait()


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize("fails_at", [1, 3])
async def test_error_of_a_call_ends_the_worker(make: Make, suspends: bool, fails_at: int) -> None:
    """Periodic TestWait: no further call, and the error stays."""
    error = ValueError("in a call")
    calls = Calls(error=error, suspends=suspends, fails_at=fails_at)
    worker = make(calls)

    for _ in range(2):
        with pytest.raises(ValueError, match="in a call") as caught:
            await worker.wait()
        assert caught.value is error
        worker.kill()

    assert calls.count == fails_at


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize("fails_at", [1, 3])
async def test_killed_ends_the_worker_cleanly_without_a_kill(make: Make, suspends: bool, fails_at: int) -> None:
    calls = Calls(error=Killed(), suspends=suspends, fails_at=fails_at)
    worker = make(calls)

    await worker.wait()

    assert calls.count == fails_at


async def test_killed_as_a_cause_ends_the_worker_cleanly(make: Make) -> None:
    wrapped = RuntimeError("wrapped")
    wrapped.__cause__ = Killed()
    worker = make(Calls(error=wrapped, fails_at=2))

    await worker.wait()


async def test_killed_in_a_mixed_group_is_an_error(make: Make) -> None:
    group = ExceptionGroup("mixed", [Killed(), ValueError("real")])
    worker = make(Calls(error=group, fails_at=2))

    with pytest.raises(ExceptionGroup, match="mixed"):
        await worker.wait()


@pytest.mark.parametrize("result", [None, ValueError("at the stop"), Killed()])
@pytest.mark.parametrize("nth", [1, 3])
async def test_kill_during_a_call_is_seen_by_the_call(make: Make, result: Exception | None, nth: int) -> None:
    """Periodic TestKill (nil->nil, e->e, ErrKilled->nil)."""
    made = 0
    entered = asyncio.Event()

    async def call(stop: Stop) -> None:
        nonlocal made
        made += 1
        if made < nth:
            return
        entered.set()
        await stop.wait()
        if result is not None:
            raise result

    worker = make(call)
    await asyncio.wait_for(entered.wait(), 5)
    worker.kill()

    if isinstance(result, ValueError):
        with pytest.raises(ValueError, match="at the stop"):
            await worker.wait()
    else:
        await worker.wait()
    worker.kill()
    assert made == nth


async def test_kill_before_the_first_call_never_calls(make: Make) -> None:
    calls = Calls()
    worker = make(calls)

    worker.kill()
    await worker.wait()
    await settle()

    assert calls.count == 0


async def test_call_may_kill_its_own_worker(make: Make) -> None:
    made: list[int] = []

    async def call(stop: Stop) -> None:
        made.append(1)
        if len(made) == 2:
            worker.kill()
            assert stop

    worker = make(call)
    await worker.wait()
    await settle()

    assert len(made) == 2


async def test_call_may_kill_its_own_worker_and_wait(make: Make) -> None:
    made: list[str] = []

    async def call(stop: Stop) -> None:
        made.append("begin")
        if len(made) == 3:
            worker.kill()
        await asyncio.sleep(0)
        made.append("end")

    worker = make(call)
    await worker.wait()

    assert made == ["begin", "end"] * 2


async def test_error_after_its_own_kill_counts(make: Make) -> None:
    made: list[int] = []

    async def call(stop: Stop) -> None:
        made.append(1)
        if len(made) == 2:
            worker.kill()
            raise ValueError("after the kill")

    worker = make(call)

    with pytest.raises(ValueError, match="after the kill"):
        await worker.wait()


async def test_kill_from_a_thread(make: Make) -> None:
    calls = Calls()
    worker = make(calls)
    await calls.until(2)

    thread = threading.Thread(target=worker.kill)
    thread.start()

    await asyncio.wait_for(worker.wait(), 5)
    thread.join()


async def test_calls_never_overlap(make: Make) -> None:
    inside = 0
    most = 0
    done = asyncio.Event()
    made = 0

    async def call(stop: Stop) -> None:
        nonlocal inside, most, made
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(SOON * 3)
        inside -= 1
        made += 1
        if made == 3:
            done.set()

    async with make(call):
        await asyncio.wait_for(done.wait(), 5)

    assert most == 1


async def test_each_call_runs_in_the_one_task_of_the_worker(make: Make) -> None:
    """What needs a task works in every call: timeouts, task groups, the current task."""
    tasks: list[asyncio.Task[object] | None] = []
    done = asyncio.Event()

    async def call(stop: Stop) -> None:
        tasks.append(asyncio.current_task())
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(0))
        tasks.append(asyncio.current_task())
        if len(tasks) >= 6:
            done.set()

    async with make(call):
        await asyncio.wait_for(done.wait(), 5)

    assert tasks[0] is not None
    assert set(tasks) == {tasks[0]}


async def test_timeout_within_a_call_works(make: Make) -> None:
    timeouts: list[int] = []
    done = asyncio.Event()

    async def call(stop: Stop) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await stop.wait()
        timeouts.append(1)
        if len(timeouts) == 3:
            done.set()

    async with make(call):
        await asyncio.wait_for(done.wait(), 5)


async def test_context_variables_are_those_of_the_maker_and_of_one_context(make: Make) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="nobody")
    seen: list[str] = []
    done = asyncio.Event()

    async def call(stop: Stop) -> None:
        seen.append(variable.get())
        token = variable.set("inner")
        await asyncio.sleep(0)
        variable.reset(token)  # A ValueError in any other context.
        if len(seen) == 3:
            done.set()

    variable.set("maker")
    worker = make(call)
    variable.set("later")
    async with worker:
        await asyncio.wait_for(done.wait(), 5)

    assert set(seen) == {"maker"}


async def test_plain_function_that_gives_an_awaitable_is_a_call(make: Make) -> None:
    made: list[int] = []
    done = asyncio.Event()

    def call(stop: Stop) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        future.get_loop().call_soon(future.set_result, None)
        made.append(1)
        if len(made) == 3:
            done.set()
        return future

    async with make(call):
        await asyncio.wait_for(done.wait(), 5)


@pytest.mark.parametrize("nth", [1, 3])
async def test_cancelled_error_of_a_call_is_a_failure(make: Make, nth: int) -> None:
    worker = make(Calls(error=asyncio.CancelledError(), fails_at=nth))

    with pytest.raises(WorkerCancelled):
        await worker.wait()


@pytest.mark.parametrize("nth", [1, 3])
async def test_task_cancelled_by_somebody_else_is_a_failure(make: Make, nth: int) -> None:
    made: list[int] = []

    async def call(stop: Stop) -> None:
        made.append(1)
        if len(made) == nth:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    worker = make(call)

    with pytest.raises(WorkerCancelled):
        await worker.wait()


async def test_cancellation_of_a_call_reaches_it_where_it_waits(make: Make) -> None:
    made: list[str] = []

    async def call(stop: Stop) -> None:
        made.append("begin")
        task = asyncio.current_task()
        assert task is not None
        if len(made) >= 3:
            task.cancel()
            try:
                await asyncio.sleep(NEVER)
            except asyncio.CancelledError:
                made.append("cancelled")
                task.uncancel()
                worker.kill()
                await asyncio.sleep(0)
        made.append("end")

    worker = make(call)
    await worker.wait()

    assert made == ["begin", "end", "begin", "cancelled", "end"]


@pytest.mark.parametrize("nth", [1, 3])
async def test_grace_cancels_a_call_that_does_not_heed_its_stop(nth: int) -> None:
    entered = asyncio.Event()
    made: list[int] = []

    async def call(stop: Stop) -> None:
        made.append(1)
        if len(made) == nth:
            entered.set()
            await asyncio.sleep(NEVER)

    worker = PeriodicWorker(call, SOON, grace=0)
    await asyncio.wait_for(entered.wait(), 5)
    worker.kill()

    await asyncio.wait_for(worker.wait(), 5)


async def test_error_of_a_call_is_kept_though_a_kill_with_grace_zero_follows_in_the_same_turn() -> None:
    async def call(stop: Stop) -> None:
        if made := made_before.pop():
            asyncio.get_running_loop().call_soon(worker.kill)
            raise ValueError(made)

    made_before = ["second", ""]
    worker = PeriodicWorker(call, SOON, grace=0)

    with pytest.raises(ValueError, match="second"):
        await worker.wait()


@pytest.mark.parametrize("nth", [1, 3])
def test_system_exit_of_a_call_leaves_the_loop_and_is_the_reason(nth: int) -> None:
    made: list[int] = []
    workers: list[PeriodicWorker] = []

    async def call(stop: Stop) -> None:
        made.append(1)
        if len(made) == nth:
            raise SystemExit(3)

    async def main() -> None:
        workers.append(PeriodicWorker(call, SOON))
        await asyncio.sleep(NEVER)

    with pytest.raises(SystemExit):
        asyncio.run(main())

    with asyncio.Runner() as runner, pytest.raises(SystemExit):
        runner.run(workers[0].wait())


def test_kill_after_the_loop_is_closed_is_harmless() -> None:
    async def main() -> PeriodicWorker:
        calls = Calls()
        worker = PeriodicWorker(calls, SOON)
        await calls.until(2)
        return worker

    runner = asyncio.Runner()
    worker = runner.run(main())
    runner.close()

    worker.kill()
    worker.kill()


async def test_worker_nobody_refers_to_goes_on_calling(make: Make) -> None:
    calls = Calls()
    stops: list[Stop] = []

    async def call(stop: Stop) -> None:
        stops.append(stop)
        await calls(stop)

    reference = weakref.ref(make(call))
    await calls.until(3)

    worker = reference()
    assert worker is not None
    worker.kill()
    await worker.wait()


# The pause.


async def test_first_call_comes_at_once_and_the_next_a_period_after_its_end() -> None:
    clock = FakeClock()
    gate = asyncio.Event()
    calls = Calls()

    async def call(stop: Stop) -> None:
        await calls(stop)
        await gate.wait()

    async with PeriodicWorker(call, 10.0, clock=clock):
        await calls.until(1)
        await clock.advance(35.0)
        assert calls.count == 1
        gate.set()
        await settle()
        await clock.advance(9.9)
        assert calls.count == 1
        await clock.advance(0.2)
        assert calls.count == 2


async def test_what_was_missed_is_not_caught_up_on() -> None:
    clock = FakeClock()
    calls = Calls()

    async with PeriodicWorker(calls, 1.0, clock=clock):
        await calls.until(1)
        clock_before = clock.monotonic()
        await clock.advance(3.5)

    assert clock.monotonic() - clock_before == 3.5
    assert calls.count == 4


async def test_clean_kill_while_sleeping_ends_at_once() -> None:
    """Periodic TestWaitNil."""
    clock = FakeClock()
    calls = Calls()
    worker = PeriodicWorker(calls, NEVER, clock=clock)
    await clock.until(1)

    worker.kill()
    await worker.wait()
    await settle()

    assert calls.count == 1
    assert clock.pending == 0


async def test_kill_while_sleeping_on_the_system_clock_leaves_no_timer() -> None:
    calls = Calls()
    worker = PeriodicWorker(calls, NEVER)
    await calls.until(1)
    await settle()
    reference = weakref.ref(calls)

    worker.kill()
    await worker.wait()
    del worker, calls
    await settle()

    assert reference() is None


async def test_one_timer_is_made_with_zero_and_reset_after_each_call() -> None:
    timers: list[HandTimer] = []

    def new_timer(delay: float) -> PeriodicTimer:
        timers.append(HandTimer(delay))
        return timers[-1]

    calls = Calls()
    async with PeriodicWorker(calls, 7.0, new_timer=new_timer):
        await settle()
        assert calls.count == 0
        for count in (1, 2, 3):
            timers[0].expire()
            await timers[0].until_reset()
            assert calls.count == count

    assert [timer.delays for timer in timers] == [[0, 7.0, 7.0, 7.0]]
    assert timers[0].waiting == 0


async def test_stop_beats_an_expiry_in_the_same_turn() -> None:
    """Upstream draws lots here, and may make one call more."""
    for order in ("expire, kill", "kill, expire"):
        timer = HandTimer(0)
        calls = Calls()
        worker = PeriodicWorker(calls, 1.0, new_timer=lambda _, timer=timer: timer)  # type: ignore[misc]
        await settle()

        for step in order.split(", "):
            timer.expire() if step == "expire" else worker.kill()
        await worker.wait()

        assert calls.count == 0, order


async def test_no_call_after_a_kill_that_meets_the_timer_of_the_system_clock() -> None:
    loop = asyncio.get_running_loop()
    for _ in range(20):
        calls = Calls()
        worker = PeriodicWorker(calls, SOON)
        await calls.until(1)
        killed_at: list[int] = []

        def kill(calls: Calls = calls, worker: PeriodicWorker = worker, killed_at: list[int] = killed_at) -> None:
            killed_at.append(calls.count)
            worker.kill()

        loop.call_later(SOON, kill)
        await worker.wait()
        await asyncio.sleep(SOON)

        assert killed_at == [calls.count]


async def test_timer_that_fails_ends_the_worker_with_its_error() -> None:
    class BrokenTimer(HandTimer):
        async def countdown(self) -> None:
            raise OSError("no time")

    worker = PeriodicWorker(Calls(), 1.0, new_timer=BrokenTimer)

    with pytest.raises(OSError, match="no time"):
        await worker.wait()


async def test_timer_that_swallows_its_cancellation_makes_no_call() -> None:
    class StubbornTimer(HandTimer):
        async def countdown(self) -> None:
            try:
                await super().countdown()
            except asyncio.CancelledError:
                return

    calls = Calls()
    worker = PeriodicWorker(calls, 1.0, new_timer=StubbornTimer)
    await settle()

    worker.kill()
    await worker.wait()

    assert calls.count == 0


# Jitter.


async def delays_drawn(jitter: float, rng: random.Random | None, count: int = 100) -> list[float]:
    timers: list[EagerTimer] = []

    def new_timer(delay: float) -> PeriodicTimer:
        timers.append(EagerTimer(delay))
        return timers[-1]

    calls = Calls()
    async with PeriodicWorker(calls, 10.0, jitter=jitter, rng=rng, new_timer=new_timer):
        await calls.until(count + 1)
    return timers[0].delays[1 : count + 1]


async def test_jitter_draws_each_pause_anew_around_the_period() -> None:
    """21: TestNextPeriod, TestWaitWithJitter."""
    drawn = await delays_drawn(0.1, random.Random(3))

    assert len(drawn) == 100
    assert all(9.0 <= delay < 11.0 for delay in drawn)
    assert len(set(drawn)) == 100
    assert drawn == await delays_drawn(0.1, random.Random(3))


async def test_no_jitter_is_the_exact_period() -> None:
    """21: TestNextPeriodWithoutJitter."""
    assert set(await delays_drawn(0.0, random.Random(3))) == {10.0}


async def test_jitter_needs_no_rng() -> None:
    drawn = await delays_drawn(0.5, None)

    assert all(5.0 <= delay < 15.0 for delay in drawn)


async def test_jitter_on_the_system_clock() -> None:
    calls = Calls()

    async with PeriodicWorker(calls, SOON, jitter=0.9):
        await calls.until(5)


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"call": None}, "call"),
        ({"call": 3}, "call"),
        ({"period": 0}, "period"),
        ({"period": -1.0}, "period"),
        ({"period": math.nan}, "period"),
        ({"period": "1"}, "period"),
        ({"new_timer": 3}, "new_timer"),
        ({"jitter": -0.1}, "jitter"),
        ({"jitter": 1.0}, "jitter"),
        ({"jitter": math.nan}, "jitter"),
        ({"grace": -1}, "grace"),
    ],
)
async def test_bad_arguments_are_refused_by_name(arguments: dict[str, object], field: str) -> None:
    good: dict[str, object] = {"call": Calls(), "period": 1.0}
    call = {**good, **arguments}

    with pytest.raises(NotValidError) as caught:
        PeriodicWorker(**call)  # type: ignore[arg-type]

    assert caught.value.field == field


def test_a_worker_needs_a_running_loop() -> None:
    async def call(stop: Stop) -> None: ...

    with pytest.raises(RuntimeError):
        PeriodicWorker(call, 1.0)


# Timer.


async def test_timer_expires_once_per_reset() -> None:
    clock = FakeClock()
    timer = Timer(5.0, clock)
    await clock.wait_advance(5.0)

    await timer.countdown()

    second = asyncio.ensure_future(timer.countdown())
    await clock.advance(100.0)
    assert not second.done()
    assert timer.reset(5.0) is False
    await clock.wait_advance(5.0)
    await second


async def test_timer_reset_says_whether_it_was_counting() -> None:
    clock = FakeClock()
    timer = Timer(5.0, clock)

    assert timer.reset(1.0) is True
    await clock.wait_advance(1.0)
    assert timer.reset(1.0) is False
    assert timer.cancel() is True
    assert timer.cancel() is False
    assert timer.reset(1.0) is False
    timer.cancel()


async def test_timer_reset_drops_an_expiry_nobody_took() -> None:
    clock = FakeClock()
    timer = Timer(5.0, clock)
    await clock.wait_advance(5.0)

    timer.reset(5.0)

    counting = asyncio.ensure_future(timer.countdown())
    await settle()
    assert not counting.done()
    await clock.wait_advance(5.0)
    await counting


async def test_timer_reset_moves_a_countdown_under_way() -> None:
    clock = FakeClock()
    timer = Timer(5.0, clock)
    counting = asyncio.ensure_future(timer.countdown())
    await clock.wait_advance(4.0)

    timer.reset(5.0)

    await clock.advance(4.0)
    assert not counting.done()
    await clock.advance(1.0)
    await counting


async def test_an_expiry_is_taken_by_one_caller_only() -> None:
    timer = Timer(0)
    first, second = (asyncio.ensure_future(timer.countdown()) for _ in range(2))

    await asyncio.wait([first, second], return_when=asyncio.FIRST_COMPLETED)
    await settle()

    assert [first.done(), second.done()].count(True) == 1
    timer.reset(0)
    await asyncio.gather(first, second)


async def test_cancelled_countdown_leaves_the_timer_as_it_is() -> None:
    clock = FakeClock()
    timer = Timer(5.0, clock)
    counting = asyncio.ensure_future(timer.countdown())
    await clock.wait_advance(1.0)

    counting.cancel()
    await settle()

    other = asyncio.ensure_future(timer.countdown())
    await clock.advance(4.0)
    await other


async def test_expiry_of_a_taker_that_is_cancelled_in_the_same_turn_is_not_lost() -> None:
    timer = Timer(SOON)
    counting = asyncio.ensure_future(timer.countdown())
    await settle()
    asyncio.get_running_loop().call_later(SOON * 2, counting.cancel)
    await asyncio.wait([counting])

    timer.reset(0)

    await asyncio.wait_for(timer.countdown(), 5)


async def test_timer_on_the_system_clock() -> None:
    timer = Timer(SOON)
    await timer.countdown()

    assert timer.reset(NEVER) is False
    assert timer.reset(0) is True
    await timer.countdown()


@pytest.mark.parametrize("delay", [-1, math.nan, "1"])
async def test_timer_refuses_a_bad_delay(delay: float) -> None:
    with pytest.raises(NotValidError) as caught:
        Timer(delay)
    assert caught.value.field == "delay"

    timer = Timer(NEVER)
    with pytest.raises(NotValidError):
        timer.reset(delay)
    assert timer.cancel() is True
