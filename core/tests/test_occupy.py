"""occupy: a visit that lasts as long as a worker lives, whatever becomes of the caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TypeVar

import pytest

from undercroft import (
    AbortedError,
    DeadError,
    NoOpWorker,
    NotValidError,
    SimpleWorker,
    StartError,
    Stop,
    Worker,
    WorkerCancelled,
)
from undercroft.fortress import Fortress, Guest, occupy
from undercroft.testing import DeadWorker, ErrorWorker, ForeverWorker, check_alive, check_killed, clean_kill

E = RuntimeError
T = TypeVar("T")


async def turns(n: int = 10) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


@pytest.fixture
async def fortress() -> AsyncIterator[Fortress]:
    fortress = Fortress()
    await fortress.unlock()
    yield fortress
    fortress.kill()
    await check_killed(fortress, timeout=1)


def never() -> Worker:
    raise AssertionError("start was called")


def visits(fortress: Fortress) -> object:
    return fortress.report()["visits"]


async def test_gives_the_worker_and_stays_until_its_death(fortress: Fortress) -> None:
    w = NoOpWorker()

    assert await occupy(fortress, lambda: w) is w
    lockdown = asyncio.create_task(fortress.lockdown())
    await turns()
    assert not lockdown.done()

    await clean_kill(w)
    await asyncio.wait_for(lockdown, 1)
    assert visits(fortress) == 0


async def test_error_of_the_worker_is_the_owners_business(fortress: Fortress) -> None:
    error = E("own")

    w = await occupy(fortress, lambda: ErrorWorker(error))
    w.kill()

    assert await check_killed(w) is error
    await asyncio.wait_for(fortress.lockdown(), 1)


async def test_worker_that_is_dead_already_is_given_all_the_same(fortress: Fortress) -> None:
    w = await occupy(fortress, DeadWorker)

    assert isinstance(w, DeadWorker)
    await asyncio.wait_for(fortress.lockdown(), 1)


async def test_start_may_be_async(fortress: Fortress) -> None:
    async def start() -> Worker:
        await turns()
        return NoOpWorker()

    w = await occupy(fortress, start)

    assert isinstance(w, NoOpWorker)
    await clean_kill(w)


async def test_start_runs_inside_the_visit_in_a_task_of_its_own(fortress: Fortress) -> None:
    seen: list[object] = []

    async def start() -> Worker:
        seen.extend([visits(fortress), asyncio.current_task() is caller])
        with pytest.raises(RuntimeError, match="inside"):
            await fortress.lockdown()
        return NoOpWorker()

    caller = asyncio.current_task()
    w = await occupy(fortress, start)

    assert seen == [1, False]
    await clean_kill(w)


async def test_start_sees_the_callers_context_and_keeps_its_own_to_itself(fortress: Fortress) -> None:
    variable: ContextVar[str] = ContextVar("variable")
    variable.set("caller")
    seen: list[str] = []

    async def start() -> Worker:
        seen.append(variable.get())
        variable.set("start")
        return NoOpWorker()

    for _ in range(2):
        await clean_kill(await occupy(fortress, start))

    assert seen == ["caller", "caller"]
    assert variable.get() == "caller"


async def test_worker_cannot_lock_down_the_fortress_that_it_lives_in(fortress: Fortress) -> None:
    async def work(_: Stop) -> None:
        await fortress.lockdown()

    w = await occupy(fortress, lambda: SimpleWorker(work))

    assert isinstance(await check_killed(w), RuntimeError)


async def test_outlives_its_caller(fortress: Fortress) -> None:
    caller = asyncio.create_task(occupy(fortress, NoOpWorker))
    w = await caller
    await turns()

    assert visits(fortress) == 1
    await check_alive(w, delay=0.001)
    await clean_kill(w)
    await turns()
    assert visits(fortress) == 0


async def test_waits_for_entry() -> None:
    fortress = Fortress()
    occupying = asyncio.create_task(occupy(fortress, NoOpWorker))
    await turns()
    assert not occupying.done()

    await fortress.unlock()

    await clean_kill(await asyncio.wait_for(occupying, 1))
    await clean_kill(fortress)


async def test_abort_before_entry() -> None:
    fortress, abort = Fortress(), asyncio.Event()
    occupying = asyncio.create_task(occupy(fortress, never, abort=abort))
    await turns()
    assert not occupying.done()

    abort.set()

    with pytest.raises(AbortedError):
        await occupying
    await clean_kill(fortress)


async def test_abort_during_start_changes_nothing(fortress: Fortress) -> None:
    abort, go = asyncio.Event(), asyncio.Event()

    async def start() -> Worker:
        await go.wait()
        return NoOpWorker()

    occupying = asyncio.create_task(occupy(fortress, start, abort=abort))
    await turns()
    abort.set()
    await turns()
    go.set()

    await clean_kill(await occupying)


async def test_dead_fortress_lets_nobody_in(fortress: Fortress) -> None:
    await clean_kill(fortress)

    with pytest.raises(DeadError):
        await occupy(fortress, never)


@pytest.mark.parametrize("is_async", [False, True])
async def test_failing_start_ends_the_visit(fortress: Fortress, is_async: bool) -> None:
    error = E("start")

    def fail() -> Worker:
        raise error

    async def fail_later() -> Worker:
        await turns()
        raise error

    with pytest.raises(E) as caught:
        await occupy(fortress, fail_later if is_async else fail)

    assert caught.value is error
    await asyncio.wait_for(fortress.lockdown(), 1)


async def test_start_that_gives_no_worker_fails(fortress: Fortress) -> None:
    with pytest.raises(StartError):
        await occupy(fortress, lambda: None)  # type: ignore[arg-type, return-value]

    await asyncio.wait_for(fortress.lockdown(), 1)


async def test_start_that_raises_a_cancellation_by_itself_fails(fortress: Fortress) -> None:
    async def start() -> Worker:
        raise asyncio.CancelledError

    with pytest.raises(WorkerCancelled):
        await occupy(fortress, start)

    assert visits(fortress) == 0


async def test_refuses_what_cannot_be_called(fortress: Fortress) -> None:
    with pytest.raises(NotValidError) as caught:
        await occupy(fortress, None)  # type: ignore[arg-type]

    assert caught.value.field == "start"


async def test_cancelled_before_entry_never_calls_start() -> None:
    fortress = Fortress()
    occupying = asyncio.create_task(occupy(fortress, never))
    await turns()

    occupying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await occupying
    await fortress.unlock()
    await turns()

    assert visits(fortress) == 0
    await clean_kill(fortress)


async def test_cancelled_before_its_first_step_never_calls_start(fortress: Fortress) -> None:
    occupying = asyncio.create_task(occupy(fortress, never))
    await asyncio.sleep(0)

    occupying.cancel()

    with pytest.raises(asyncio.CancelledError):
        await occupying
    assert visits(fortress) == 0


@pytest.mark.parametrize("before", range(8))
async def test_cancelled_at_any_turn_leaves_nobody_inside(fortress: Fortress, before: int) -> None:
    made: list[Worker] = []

    async def start() -> Worker:
        await turns(2)
        made.append(NoOpWorker())
        return made[-1]

    occupying = asyncio.create_task(occupy(fortress, start))
    await turns(before)
    occupying.cancel()
    (answer,) = await asyncio.gather(occupying, return_exceptions=True)

    if isinstance(answer, NoOpWorker):
        await clean_kill(answer)
    else:
        assert isinstance(answer, asyncio.CancelledError)
        for w in made:
            await check_killed(w, timeout=0)
    await turns()
    assert visits(fortress) == 0


async def test_cancelled_during_start_waits_for_its_clean_up(fortress: Fortress) -> None:
    cleaning, cleaned = asyncio.Event(), asyncio.Event()

    async def start() -> Worker:
        try:
            await asyncio.Event().wait()
        finally:
            cleaning.set()
            await cleaned.wait()
        raise AssertionError

    occupying = asyncio.create_task(occupy(fortress, start))
    await turns()
    occupying.cancel()
    await cleaning.wait()
    await turns()
    assert not occupying.done()
    assert visits(fortress) == 1
    cleaned.set()

    with pytest.raises(asyncio.CancelledError):
        await occupying
    assert visits(fortress) == 0


async def test_worker_of_a_start_that_insists_is_killed_and_awaited(fortress: Fortress) -> None:
    w = ForeverWorker(E("dropped"))

    async def start() -> Worker:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return w
        raise AssertionError

    occupying = asyncio.create_task(occupy(fortress, start))
    await turns()
    occupying.cancel()
    await turns()
    assert not occupying.done()
    w.really_kill()

    with pytest.raises(asyncio.CancelledError):
        await occupying
    await check_killed(w, timeout=0)
    assert visits(fortress) == 0


async def test_worker_that_comes_up_as_the_caller_is_cancelled_is_killed(fortress: Fortress) -> None:
    """The worker has been announced, and the caller is cancelled before it has taken it."""
    made: list[Worker] = []
    future: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()

    occupying = asyncio.create_task(occupy(fortress, lambda: future))
    await turns()
    made.append(NoOpWorker())
    future.set_result(made[0])
    await turns(1)
    occupying.cancel()

    with pytest.raises(asyncio.CancelledError):
        await occupying
    await check_killed(made[0], timeout=0)
    assert visits(fortress) == 0


async def test_error_of_a_clean_up_takes_the_place_of_the_cancellation(fortress: Fortress) -> None:
    """As if the caller had awaited the start function itself; its cause is as it was."""
    error, cause = E("clean-up"), ValueError("cause")

    async def start() -> Worker:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise error from cause
        raise AssertionError

    occupying = asyncio.create_task(occupy(fortress, start))
    await turns()
    occupying.cancel()

    with pytest.raises(E) as caught:
        await occupying
    assert caught.value is error
    assert error.__cause__ is cause


async def test_second_cancellation_does_not_wait_but_loses_nothing(fortress: Fortress) -> None:
    w = ForeverWorker()

    async def start() -> Worker:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return w
        raise AssertionError

    occupying = asyncio.create_task(occupy(fortress, start))
    await turns()
    occupying.cancel()
    await turns()
    occupying.cancel()

    with pytest.raises(asyncio.CancelledError):
        await occupying
    assert visits(fortress) == 1
    w.really_kill()
    await turns()
    assert visits(fortress) == 0


async def test_leaves_no_task_behind(fortress: Fortress) -> None:
    before = asyncio.all_tasks()
    w = await occupy(fortress, NoOpWorker)
    assert len(asyncio.all_tasks() - before) == 1

    w.kill()
    await turns()

    assert asyncio.all_tasks() == before


async def test_visit_cancelled_by_a_stranger_is_no_cancellation_of_the_caller(fortress: Fortress) -> None:
    async def start() -> Worker:
        try:
            await asyncio.Event().wait()
        finally:
            over.set()
        raise AssertionError

    over = asyncio.Event()
    occupying = asyncio.create_task(occupy(fortress, start))
    await turns()
    for task in asyncio.all_tasks():
        if task.get_name().startswith("occupy"):
            task.cancel()

    with pytest.raises(WorkerCancelled):
        await occupying
    await over.wait()
    assert visits(fortress) == 0


class OpenHouse:
    """Somebody else's Guest: everybody may come in, and it is written down."""

    def __init__(self) -> None:
        self.book: list[str] = []

    async def visit(self, fn: Callable[[], Awaitable[T]], *, abort: object = None) -> T:
        async with self.visiting(abort=abort):
            return await fn()

    @asynccontextmanager
    async def visiting(self, *, abort: object = None) -> AsyncIterator[None]:
        self.book.append("in")
        yield
        self.book.append("out")


async def test_any_guest_will_do() -> None:
    house = OpenHouse()
    assert isinstance(house, Guest)

    w = await occupy(house, NoOpWorker)
    assert house.book == ["in"]
    await clean_kill(w)
    await turns()

    assert house.book == ["in", "out"]
