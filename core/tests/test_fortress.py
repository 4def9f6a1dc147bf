"""Fortress: guests visit while it is unlocked; a lockdown keeps newcomers out and waits for those inside."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from undercroft import AbortedError, DeadError, NoOpWorker, Reporter, Stop, SystemClock, Worker
from undercroft.dependency.errors import OutputError
from undercroft.fortress import Fortress, Guard, Guest, manifold
from undercroft.testing import StubContext, check_alive, check_killed, clean_kill

E = RuntimeError


async def turns(n: int = 8) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


class Visitor:
    """A visit in a task of its own, which stays inside until it is told to leave."""

    def __init__(self, fortress: Guest, *, abort: asyncio.Event | None = None) -> None:
        self.inside = False
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(fortress.visit(self._stay, abort=abort))

    async def _stay(self) -> str:
        self.inside = True
        await self.leave.wait()
        return "left"


@pytest.fixture
async def fortress() -> AsyncIterator[Fortress]:
    fortress = Fortress()
    yield fortress
    fortress.kill()
    await check_killed(fortress, timeout=1)


def fired() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


async def answer() -> int:
    return 42


def test_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError):
        Fortress()


async def test_is_a_guard_a_guest_a_worker_and_a_reporter(fortress: Fortress) -> None:
    for kind in (Guard, Guest, Worker, Reporter):
        assert isinstance(fortress, kind)
    await check_alive(fortress, delay=0.001)


async def test_starts_locked(fortress: Fortress) -> None:
    abort = asyncio.Event()
    visitor = Visitor(fortress, abort=abort)
    await turns()
    assert not visitor.inside

    abort.set()

    with pytest.raises(AbortedError):
        await visitor.task
    assert not visitor.inside


async def test_initial_lockdown_succeeds_and_locks(fortress: Fortress) -> None:
    await fortress.lockdown()

    with pytest.raises(AbortedError):
        await fortress.visit(answer, abort=fired())


async def test_initial_unlock_lets_visitors_in(fortress: Fortress) -> None:
    await fortress.unlock()

    assert await fortress.visit(answer) == 42


async def test_unlock_and_lockdown_may_be_repeated(fortress: Fortress) -> None:
    await fortress.unlock()
    await fortress.unlock()
    assert await fortress.visit(answer) == 42

    await fortress.lockdown()
    await fortress.lockdown()
    with pytest.raises(AbortedError):
        await fortress.visit(answer, abort=fired())


async def test_unlock_and_free_lockdown_and_visit_do_not_suspend(fortress: Fortress) -> None:
    for coro in (fortress.lockdown(), fortress.unlock(), fortress.visit(answer), fortress.lockdown()):
        with pytest.raises(StopIteration):
            coro.send(None)


async def test_visit_gives_back_result_and_error(fortress: Fortress) -> None:
    error = E("visit")

    async def fail() -> None:
        raise error

    await fortress.unlock()

    assert await fortress.visit(answer) == 42
    with pytest.raises(E) as caught:
        await fortress.visit(fail)
    assert caught.value is error
    assert fortress.report() == {"state": "unlocked", "visits": 0}


async def test_visit_runs_in_the_callers_task(fortress: Fortress) -> None:
    await fortress.unlock()

    async def task() -> object:
        return asyncio.current_task()

    assert await fortress.visit(task) is asyncio.current_task()


async def test_visit_that_cannot_even_begin_is_counted_out(fortress: Fortress) -> None:
    await fortress.unlock()

    with pytest.raises(TypeError):
        await fortress.visit(None)  # type: ignore[arg-type]

    await asyncio.wait_for(fortress.lockdown(), 1)


async def test_visits_run_concurrently(fortress: Fortress) -> None:
    await fortress.unlock()
    visitors = [Visitor(fortress) for _ in range(10)]
    await turns()

    assert await fortress.visit(answer) == 42
    for visitor in visitors:
        visitor.leave.set()

    assert await asyncio.gather(*(visitor.task for visitor in visitors)) == ["left"] * 10


async def test_unlock_lets_in_everybody_who_waits(fortress: Fortress) -> None:
    visitors = [Visitor(fortress) for _ in range(3)]
    await turns()

    await fortress.unlock()
    await turns()

    assert all(visitor.inside for visitor in visitors)
    for visitor in visitors:
        visitor.leave.set()
        await visitor.task


async def test_lockdown_waits_for_the_last_visit(fortress: Fortress) -> None:
    await fortress.unlock()
    visitors = [Visitor(fortress) for _ in range(2)]
    await turns()

    lockdown = asyncio.create_task(fortress.lockdown())
    newcomer = Visitor(fortress)
    visitors[0].leave.set()
    await turns()
    assert not lockdown.done()
    visitors[1].leave.set()

    await asyncio.wait_for(lockdown, 1)
    assert not newcomer.inside
    newcomer.task.cancel()
    await asyncio.gather(*(v.task for v in (*visitors, newcomer)), return_exceptions=True)


async def test_lockdown_keeps_out_who_comes_in_the_same_turn(fortress: Fortress) -> None:
    await fortress.unlock()

    lockdown = asyncio.create_task(fortress.lockdown())
    newcomer = Visitor(fortress)
    await lockdown
    await turns()

    assert not newcomer.inside
    newcomer.task.cancel()
    await asyncio.gather(newcomer.task, return_exceptions=True)


async def test_who_was_let_in_by_an_unlock_is_inside_for_a_lockdown_in_the_same_turn(fortress: Fortress) -> None:
    visitor = Visitor(fortress)
    await turns()

    await fortress.unlock()
    lockdown = asyncio.create_task(fortress.lockdown())
    await turns()

    assert visitor.inside
    assert not lockdown.done()
    visitor.leave.set()
    await asyncio.wait_for(lockdown, 1)
    await visitor.task


async def test_many_lockdowns_may_wait_at_once(fortress: Fortress) -> None:
    await fortress.unlock()
    visitor = Visitor(fortress)
    await turns()

    lockdowns = [asyncio.create_task(fortress.lockdown()) for _ in range(3)]
    await turns()
    visitor.leave.set()

    await asyncio.wait_for(asyncio.gather(*lockdowns), 1)
    await visitor.task


async def test_aborted_lockdown_leaves_it_locked(fortress: Fortress) -> None:
    await fortress.unlock()
    visitor, abort = Visitor(fortress), asyncio.Event()
    await turns()

    lockdown = asyncio.create_task(fortress.lockdown(abort=abort))
    await turns()
    abort.set()

    with pytest.raises(AbortedError):
        await lockdown
    with pytest.raises(AbortedError):
        await fortress.visit(answer, abort=fired())
    assert fortress.report() == {"state": "locking", "visits": 1}
    visitor.leave.set()
    await visitor.task


async def test_cancelled_lockdown_leaves_it_locked(fortress: Fortress) -> None:
    await fortress.unlock()
    visitor = Visitor(fortress)
    await turns()
    lockdown = asyncio.create_task(fortress.lockdown())
    await turns()

    lockdown.cancel()

    with pytest.raises(asyncio.CancelledError):
        await lockdown
    assert fortress.report() == {"state": "locking", "visits": 1}
    visitor.leave.set()
    await visitor.task
    assert fortress.report() == {"state": "locked", "visits": 0}


async def test_unlock_after_an_aborted_lockdown_lets_newcomers_in_at_once(fortress: Fortress) -> None:
    await fortress.unlock()
    visitor = Visitor(fortress)
    await turns()
    with pytest.raises(AbortedError):
        await fortress.lockdown(abort=fired())

    await fortress.unlock()

    assert await fortress.visit(answer) == 42
    assert not visitor.task.done()
    visitor.leave.set()
    await visitor.task


async def test_free_lockdown_beats_an_abort_that_has_fired(fortress: Fortress) -> None:
    await fortress.unlock()

    await fortress.lockdown(abort=fired())

    assert fortress.report()["state"] == "locked"


async def test_open_door_beats_an_abort_that_has_fired(fortress: Fortress) -> None:
    await fortress.unlock()

    assert await fortress.visit(answer, abort=fired()) == 42


async def test_end_of_the_last_visit_beats_an_abort_in_the_same_turn(fortress: Fortress) -> None:
    await fortress.unlock()
    visitor, abort = Visitor(fortress), asyncio.Event()
    await turns()
    lockdown = asyncio.create_task(fortress.lockdown(abort=abort))
    await turns()

    abort.set()
    visitor.leave.set()

    await asyncio.wait_for(lockdown, 1)
    await visitor.task


async def test_lockdown_overtaken_by_an_unlock_is_aborted(fortress: Fortress) -> None:
    await fortress.unlock()
    visitor = Visitor(fortress)
    await turns()
    lockdown = asyncio.create_task(fortress.lockdown())
    await turns()

    await fortress.unlock()

    with pytest.raises(AbortedError, match="overtaken"):
        await lockdown
    visitor.leave.set()
    await visitor.task


async def test_lockdown_overtaken_as_the_last_visit_ends_is_aborted(fortress: Fortress) -> None:
    """The last guest has left, but before the guard is told somebody unlocks: it has nothing to itself any more."""
    await fortress.unlock()
    leave = asyncio.Event()

    async def visit_and_unlock() -> None:
        async with fortress.visiting():
            await leave.wait()
        await fortress.unlock()

    task = asyncio.create_task(visit_and_unlock())
    await turns()
    lockdown = asyncio.create_task(fortress.lockdown())
    await turns()
    leave.set()

    with pytest.raises(AbortedError):
        await lockdown
    await task


async def test_abort_may_be_a_stop_and_then_needs_no_task(fortress: Fortress) -> None:
    abort = Stop(SystemClock())
    visitor = asyncio.create_task(fortress.visit(answer, abort=abort))
    before = len(asyncio.all_tasks())
    await turns()
    assert len(asyncio.all_tasks()) == before

    abort.fire()

    with pytest.raises(AbortedError):
        await visitor


async def test_abort_after_entry_changes_nothing(fortress: Fortress) -> None:
    abort = asyncio.Event()
    visitor = Visitor(fortress, abort=abort)
    await turns()
    await fortress.unlock()
    await turns()

    abort.set()
    await turns()

    assert visitor.inside
    visitor.leave.set()
    assert await visitor.task == "left"


async def test_cancelled_visit_is_counted_out(fortress: Fortress) -> None:
    await fortress.unlock()
    visitor = Visitor(fortress)
    await turns()

    visitor.task.cancel()
    await asyncio.wait_for(fortress.lockdown(), 1)

    with pytest.raises(asyncio.CancelledError):
        await visitor.task


@pytest.mark.parametrize("with_abort", [False, True])
async def test_visitor_cancelled_while_it_waits_leaves_nothing_behind(fortress: Fortress, with_abort: bool) -> None:
    visitor = Visitor(fortress, abort=asyncio.Event() if with_abort else None)
    await turns()

    visitor.task.cancel()
    with suppress(asyncio.CancelledError):
        await visitor.task
    await fortress.unlock()

    assert fortress._entering == {}
    assert fortress.report() == {"state": "unlocked", "visits": 0}


@pytest.mark.parametrize("with_abort", [False, True])
@pytest.mark.parametrize("cancel_first", [False, True])
async def test_visitor_cancelled_in_the_turn_of_the_unlock_is_not_counted(
    fortress: Fortress, with_abort: bool, cancel_first: bool
) -> None:
    visitor = Visitor(fortress, abort=asyncio.Event() if with_abort else None)
    await turns()

    if cancel_first:
        visitor.task.cancel()
    await fortress.unlock()
    visitor.task.cancel()
    await asyncio.wait_for(fortress.lockdown(), 1)

    assert not visitor.inside
    assert fortress.report() == {"state": "locked", "visits": 0}
    with pytest.raises(asyncio.CancelledError):
        await visitor.task


async def test_visiting_is_a_visit(fortress: Fortress) -> None:
    await fortress.unlock()

    async with fortress.visiting() as nothing:
        assert nothing is None
        assert fortress.report() == {"state": "unlocked", "visits": 1}
    assert fortress.report() == {"state": "unlocked", "visits": 0}

    with pytest.raises(E):
        async with fortress.visiting():
            raise E
    assert fortress.report()["visits"] == 0


async def test_visiting_may_be_left_in_another_context(fortress: Fortress) -> None:
    await fortress.unlock()
    visit = fortress.visiting()
    await asyncio.create_task(visit.__aenter__(), context=contextvars.Context())

    await asyncio.create_task(visit.__aexit__(None, None, None), context=contextvars.Context())

    await asyncio.wait_for(fortress.lockdown(), 1)


async def test_lockdown_from_inside_a_visit_is_refused_without_effect(fortress: Fortress) -> None:
    await fortress.unlock()

    async with fortress.visiting():
        with pytest.raises(RuntimeError, match="inside"):
            await fortress.lockdown()
        assert fortress.report() == {"state": "unlocked", "visits": 1}

    await fortress.lockdown()


async def test_lockdown_from_a_task_made_in_a_visit_is_refused_while_it_is_open(fortress: Fortress) -> None:
    await fortress.unlock()
    go = asyncio.Event()

    async def later() -> None:
        await go.wait()
        await fortress.lockdown()

    async with fortress.visiting():
        with pytest.raises(RuntimeError, match="inside"):
            await asyncio.create_task(fortress.lockdown())
        task = asyncio.create_task(later())

    go.set()
    await asyncio.wait_for(task, 1)
    assert fortress.report()["state"] == "locked"


async def test_lockdown_from_inside_a_nested_visit_is_refused(fortress: Fortress) -> None:
    await fortress.unlock()

    async with fortress.visiting():
        async with fortress.visiting():
            pass
        with pytest.raises(RuntimeError, match="inside"):
            await fortress.lockdown()


async def test_lockdown_of_another_fortress_from_inside_a_visit_is_fine(fortress: Fortress) -> None:
    other = Fortress()
    await other.unlock()
    await fortress.unlock()

    async with fortress.visiting():
        await other.lockdown()

    assert other.report()["state"] == "locked"
    await clean_kill(other)


async def test_visits_leave_no_trail_in_the_context(fortress: Fortress) -> None:
    from undercroft.fortress import _visits

    await fortress.unlock()

    for _ in range(100):
        await fortress.visit(answer)

    assert _visits.get() == ()


async def test_killed_fortress_refuses_everything(fortress: Fortress) -> None:
    await clean_kill(fortress)

    with pytest.raises(DeadError):
        await fortress.unlock()
    with pytest.raises(DeadError):
        await fortress.lockdown()
    with pytest.raises(DeadError):
        await fortress.visit(answer)
    with pytest.raises(DeadError):
        await fortress.visit(answer, abort=fired())


async def test_kill_turns_away_who_waits_and_lets_visits_end(fortress: Fortress) -> None:
    await fortress.unlock()
    visitor = Visitor(fortress)
    await turns()
    lockdown = asyncio.create_task(fortress.lockdown())
    waiting = [Visitor(fortress), Visitor(fortress, abort=asyncio.Event())]
    await turns()

    fortress.kill()

    for task in (lockdown, *(w.task for w in waiting)):
        with pytest.raises(DeadError):
            await task
    with pytest.raises(DeadError):
        await fortress.unlock()
    await check_alive(fortress, delay=0.001)
    visitor.leave.set()
    assert await visitor.task == "left"
    assert await check_killed(fortress) is None


async def test_report_says_what_it_is(fortress: Fortress) -> None:
    assert fortress.report() == {"state": "locked", "visits": 0}
    await fortress.unlock()
    visitor = Visitor(fortress)
    await turns()
    assert fortress.report() == {"state": "unlocked", "visits": 1}

    lockdown = asyncio.create_task(fortress.lockdown())
    await turns()
    assert fortress.report() == {"state": "locking", "visits": 1}

    visitor.leave.set()
    await lockdown
    assert fortress.report() == {"state": "locked", "visits": 0}
    await visitor.task


async def test_async_with_gives_the_fortress() -> None:
    async with Fortress() as fortress:
        await fortress.unlock()
        assert await fortress.visit(answer) == 42

    await check_killed(fortress, timeout=0)


def test_kill_when_the_loop_was_closed_over_waiting_visitors() -> None:
    """A loop closed by hand leaves its tasks as they are; a kill must not trip over them."""
    loop = asyncio.new_event_loop()
    tasks: list[asyncio.Task[str]] = []

    async def main() -> Fortress:
        fortress = Fortress()
        tasks.append(Visitor(fortress).task)
        await turns()
        return fortress

    fortress = loop.run_until_complete(main())
    tasks[0].get_coro().close()
    tasks[0]._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()

    fortress.kill()


@pytest.mark.parametrize("seed", range(20))
async def test_who_has_locked_down_has_it_to_itself(fortress: Fortress, seed: int) -> None:
    """Whatever is cancelled, aborted or unlocked in whatever turn: nobody is inside when a lockdown has returned."""
    rng = random.Random(seed)
    alone: list[int] = []
    inside: list[int] = []

    async def visit(turns_inside: int) -> None:
        async with fortress.visiting(abort=rng.choice([None, fired(), asyncio.Event()])):
            assert not alone
            inside.append(1)
            try:
                await turns(turns_inside)
            finally:
                inside.pop()

    async def lock_down() -> None:
        await fortress.lockdown(abort=rng.choice([None, fired(), asyncio.Event()]))
        assert not inside
        alone.append(1)

    async def unlock() -> None:
        alone.clear()
        await fortress.unlock()

    tasks: list[asyncio.Task[None]] = []
    for _ in range(150):
        act = rng.choice([lambda: visit(rng.randrange(4)), lambda: visit(rng.randrange(4)), lock_down, unlock])
        tasks.append(asyncio.create_task(act()))
        if rng.random() < 0.2:
            rng.choice(tasks).cancel()
        await turns(rng.randrange(3))
    await turns()
    await unlock()
    answers = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)

    assert {type(answer) for answer in answers} <= {type(None), AbortedError, asyncio.CancelledError}
    assert fortress.report() == {"state": "unlocked", "visits": 0}
    assert (fortress._entering, fortress._lockdowns) == ({}, {})


async def test_manifold_gives_a_new_fortress_for_each_start() -> None:
    declared = manifold()
    assert declared.inputs == ()
    assert declared.filter is None
    workers = [declared.start(StubContext({})) for _ in range(2)]
    first, second = workers
    assert isinstance(first, Fortress)
    assert isinstance(second, Fortress)

    await first.unlock()

    assert second.report()["state"] == "locked"
    await clean_kill(first)
    await clean_kill(second)


async def test_manifold_exposes_guard_and_guest_exactly(fortress: Fortress) -> None:
    output = manifold().output
    assert output is not None

    assert output(fortress, Guard) is fortress
    assert output(fortress, Guest) is fortress
    for kind in (Fortress, Worker, object):
        with pytest.raises(OutputError):
            output(fortress, kind)


async def test_manifold_refuses_a_foreign_worker() -> None:
    output = manifold().output
    assert output is not None
    w = NoOpWorker()

    with pytest.raises(OutputError):
        output(w, Guest)

    await clean_kill(w)
