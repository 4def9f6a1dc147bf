"""The tomb: alive, dying, dead, and the reason."""

from __future__ import annotations

import asyncio
import threading
import traceback

import pytest

from undercroft.clock import alarm
from undercroft.errors import DeadError, WorkerCancelled
from undercroft.testing import FakeClock
from undercroft.worker.tomb import Stop, Tomb
from undercroft_hookspecs import NotValidError


async def until_stop(stop: Stop) -> None:
    await stop.wait()


async def fail(error: BaseException) -> None:
    raise error


def test_a_tomb_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError):
        Tomb()


async def test_a_fresh_tomb_is_alive() -> None:
    """go-tomb: TestNewTomb."""
    tomb = Tomb()

    assert tomb.state == "alive"
    assert tomb.reason is None
    assert not tomb.stop
    tomb.kill()


async def test_the_first_real_reason_sticks_even_behind_a_clean_kill() -> None:
    """go-tomb: TestKill."""
    tomb = Tomb()
    tomb.go(until_stop(tomb.stop))
    tomb.hold()
    first, second = ValueError("first"), ValueError("second")

    tomb.kill()
    assert (tomb.state, tomb.reason) == ("dying", None)
    tomb.kill(first)
    tomb.kill()
    tomb.kill(second)
    assert tomb.reason is first
    tomb.release()

    with pytest.raises(ValueError, match="first"):
        await tomb.wait()
    assert tomb.state == "dead"


async def test_at_death_the_reason_is_frozen() -> None:
    """go-tomb lets a late kill change what wait returns; ours does not."""
    tomb = Tomb()

    tomb.kill()
    tomb.kill(ValueError("too late"))

    assert tomb.state == "dead"
    await tomb.wait()


async def test_a_kill_without_tasks_is_death_at_once() -> None:
    tomb = Tomb()

    tomb.kill(ValueError("at once"))

    assert tomb.state == "dead"


async def test_a_clean_task_kills_only_if_it_was_the_last() -> None:
    """go-tomb: TestGo."""
    tomb = Tomb()
    more = asyncio.Event()
    tomb.go(asyncio.sleep(0))
    last = tomb.go(more.wait())
    for _ in range(5):
        await asyncio.sleep(0)
    assert not tomb.stop

    more.set()
    await last
    await tomb.wait()

    assert tomb.state == "dead"


async def test_a_failing_task_kills_at_once_and_death_waits_for_the_others() -> None:
    """go-tomb: TestGoErr."""
    tomb = Tomb()
    release = asyncio.Event()
    other = tomb.go(release.wait())
    error = ValueError("failed")
    tomb.go(fail(error))

    await tomb.wait_dying()
    assert (tomb.state, tomb.reason) == ("dying", error)
    release.set()
    await other

    with pytest.raises(ValueError, match="failed"):
        await tomb.wait()


async def test_going_on_a_dead_tomb_closes_the_coroutine() -> None:
    """go-tomb: TestGoPanic."""
    tomb = Tomb()
    tomb.kill()
    coro = asyncio.sleep(0)

    with pytest.raises(DeadError):
        tomb.go(coro)

    with pytest.raises(RuntimeError):
        coro.send(None)


async def test_a_task_ends_with_none_whatever_its_coroutine_raised() -> None:
    tomb = Tomb()

    task = tomb.go(fail(ValueError("in the tomb")))

    await task
    assert task.exception() is None
    with pytest.raises(ValueError, match="in the tomb"):
        await tomb.wait()


async def test_a_cancelled_task_is_a_failure_only_while_alive() -> None:
    alive, dying = Tomb("lonely"), Tomb()
    task = alive.go(until_stop(alive.stop))
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(WorkerCancelled, match="lonely"):
        await alive.wait()

    dying.go(asyncio.sleep(3600), grace=0)
    await asyncio.sleep(0)
    dying.kill()
    await dying.wait()


async def test_a_task_cancelled_before_its_first_step_by_a_stranger_is_a_failure() -> None:
    tomb = Tomb()

    tomb.go(until_stop(tomb.stop)).cancel()

    with pytest.raises(WorkerCancelled):
        await tomb.wait()


async def test_a_coroutine_with_no_grace_that_had_not_begun_never_runs() -> None:
    ran: list[str] = []
    tomb = Tomb()

    async def work() -> None:
        ran.append("ran")

    task = tomb.go(work(), grace=0)
    tomb.kill()
    await tomb.wait()

    assert ran == []
    assert task.cancelled()


async def test_grace_counts_from_the_kill_on_the_tombs_clock() -> None:
    clock = FakeClock()
    tomb = Tomb(clock=clock)
    tomb.go(asyncio.Event().wait(), grace=5.0)
    await asyncio.sleep(0)

    tomb.kill()
    await clock.wait_advance(4.9)
    assert tomb.state == "dying"
    await clock.advance(0.2)
    await tomb.wait()

    assert clock.pending == 0


async def test_a_grace_timer_goes_with_its_task() -> None:
    clock = FakeClock()
    tomb = Tomb(clock=clock)
    tomb.go(until_stop(tomb.stop), grace=5.0)

    tomb.kill()
    await tomb.wait()
    await clock.advance(0)

    assert clock.pending == 0


async def test_grace_of_a_task_begun_while_dying_counts_from_then() -> None:
    clock = FakeClock()
    tomb = Tomb(clock=clock)
    tomb.hold()
    tomb.kill()

    late = tomb.go(asyncio.Event().wait(), grace=2.0)
    await clock.wait_advance(1.9)
    assert not late.done()
    await clock.advance(0.2)
    tomb.release()

    await tomb.wait()


async def test_a_coroutine_that_swallows_its_cancellation_is_not_dead_yet() -> None:
    tomb = Tomb()
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    tomb.go(stubborn(), grace=0)
    await asyncio.sleep(0)
    tomb.kill()
    for _ in range(5):
        await asyncio.sleep(0)
    assert tomb.state == "dying"

    release.set()
    await tomb.wait()


@pytest.mark.parametrize("grace", [-1.0, float("nan"), "soon"])
async def test_a_grace_out_of_range_is_refused(grace: float) -> None:
    tomb = Tomb()

    with pytest.raises(NotValidError) as caught:
        tomb.go(asyncio.sleep(0), grace=grace)

    assert caught.value.field == "grace"
    tomb.kill()


async def test_a_cancelled_error_never_stands_as_the_reason() -> None:
    tomb = Tomb()

    tomb.kill(asyncio.CancelledError())

    with pytest.raises(WorkerCancelled) as caught:
        await tomb.wait()
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)


async def test_waiters_get_the_same_error_and_its_traceback_does_not_grow() -> None:
    tomb = Tomb()
    tomb.go(fail(ValueError("again")))
    depths = []

    for _ in range(3):
        with pytest.raises(ValueError, match="again") as caught:
            await tomb.wait()
        depths.append(len(traceback.extract_tb(caught.value.__traceback__)))
        assert caught.value is tomb.reason

    assert depths[0] == depths[1] == depths[2]


async def test_cancelling_a_waiter_touches_nothing() -> None:
    tomb = Tomb()
    tomb.go(until_stop(tomb.stop))
    waiter = asyncio.ensure_future(tomb.wait())
    await asyncio.sleep(0)

    waiter.cancel()
    await asyncio.wait([waiter])

    assert tomb.state == "alive"
    tomb.kill()
    await tomb.wait()


async def test_kill_works_from_another_thread() -> None:
    tomb = Tomb()
    tomb.go(until_stop(tomb.stop))
    thread = threading.Thread(target=tomb.kill, args=(ValueError("from afar"),))

    thread.start()
    with pytest.raises(ValueError, match="from afar"):
        await tomb.wait()

    thread.join()


def test_kill_is_harmless_after_the_loop_is_closed_from_any_thread() -> None:
    async def leave_one_alive() -> Tomb:
        tomb = Tomb()
        tomb.hold()
        tomb.when_dead(lambda _: None)
        return tomb

    first, second = asyncio.run(leave_one_alive()), asyncio.run(leave_one_alive())

    first.kill()
    first.release()
    thread = threading.Thread(target=second.kill)
    thread.start()
    thread.join()

    assert first.state == "dead"
    assert second.state == "dying"


def test_system_exit_is_recorded_and_leaves_the_loop() -> None:
    tombs: list[Tomb] = []

    async def main() -> None:
        tomb = Tomb()
        tombs.append(tomb)
        tomb.go(fail(SystemExit(3)))
        await tomb.wait_dying()
        await asyncio.Event().wait()

    with pytest.raises(SystemExit):
        asyncio.run(main())

    assert isinstance(tombs[0].reason, SystemExit)


async def test_another_base_exception_is_the_tombs_and_stays_in_it() -> None:
    class Odd(BaseException):
        pass

    tomb = Tomb()

    await tomb.go(fail(Odd()))

    with pytest.raises(Odd):
        await tomb.wait()


async def test_whoever_watches_is_called_back_later_whether_dead_or_not() -> None:
    tomb, seen = Tomb(), list[BaseException | None]()
    error = ValueError("over")
    tomb.when_dead(seen.append)

    tomb.kill(error)
    tomb.when_dead(seen.append)
    assert seen == []
    await asyncio.sleep(0)

    assert seen == [error, error]


async def test_killing_inside_what_a_stop_sets_off_is_judged_to_the_end_first() -> None:
    tomb = Tomb()
    states: list[str] = []

    def kill_again() -> None:
        tomb.kill(ValueError("inside"))
        states.append(tomb.state)

    tomb.stop.subscribe(kill_again)

    tomb.kill()

    assert states == ["dying"]
    assert tomb.state == "dead"
    with pytest.raises(ValueError, match="inside"):
        await tomb.wait()


async def test_a_dropped_tomb_runs_on() -> None:
    done = asyncio.Event()

    async def work() -> None:
        await asyncio.sleep(0)
        done.set()

    Tomb().go(work())

    async with asyncio.timeout(5):
        await done.wait()


async def test_sleep_says_whether_there_was_a_stop() -> None:
    clock = FakeClock()
    tomb = Tomb(clock=clock)
    slept, stopped = asyncio.ensure_future(tomb.stop.sleep(1.0)), asyncio.ensure_future(tomb.stop.sleep(60.0))

    await clock.wait_advance(1.0, waiters=2)
    assert await slept is False
    tomb.kill()

    assert await stopped is True
    assert await tomb.stop.sleep(60.0) is True
    await clock.advance(0)
    assert clock.pending == 0


async def test_a_sleep_of_nothing_yields_and_reports_the_stop() -> None:
    tomb = Tomb()

    assert await tomb.stop.sleep(0) is False
    asyncio.get_running_loop().call_soon(tomb.kill)

    assert await tomb.stop.sleep(0) is True


async def test_a_stop_in_the_same_turn_as_the_end_of_a_sleep_wins() -> None:
    clock = FakeClock()
    tomb = Tomb(clock=clock)
    sleeping = asyncio.ensure_future(tomb.stop.sleep(1.0))
    await clock.until(1)
    alarm(clock, 1.0, tomb.kill)

    await clock.wait_advance(1.0, waiters=2)

    assert await sleeping is True
