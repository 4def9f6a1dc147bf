"""Catacomb: the first real error wins, and dying errors are personal."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from undercroft import (
    NoOpWorker,
    Worker,
    WorkerCancelled,
    outcome,
)
from undercroft.catacomb import Catacomb, DyingError, MisuseError, Plan, invoke
from undercroft.testing import (
    DeadWorker,
    ErrorWorker,
    FakeClock,
)

E = RuntimeError


class Site:
    """A catacomb with work that waits for a signal, and then returns or raises what the test says."""

    def __init__(self, *, init: tuple[Worker, ...] = ()) -> None:
        self.catacomb = Catacomb()
        self._init = init
        self._finish = asyncio.Event()
        self._error: BaseException | None = None

    async def invoke(self) -> Catacomb:
        await invoke(Plan("site", self.catacomb, self._work, init=self._init))
        return self.catacomb

    async def _work(self) -> None:
        await self._finish.wait()
        if self._error is not None:
            raise self._error

    def finish(self, error: BaseException | None = None) -> None:
        self._error = error
        self._finish.set()


async def invoked(work: Callable[[Catacomb], Awaitable[None]], *, init: tuple[Worker, ...] = ()) -> Catacomb:
    site = Catacomb()
    await invoke(Plan("test", site, lambda: work(site), init=init))
    return site


async def until_stop(site: Catacomb) -> None:
    await site.wait_dying()


async def forever() -> None:
    await asyncio.Event().wait()


async def turns(n: int = 5) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


async def result(site: Catacomb) -> BaseException | None:
    """What a catacomb died of, within bounds."""
    async with asyncio.timeout(10):
        return await outcome(site)


class Foreign:
    """A worker of somebody else, which records what is asked of it; `wait` raises what the test says."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.calls: list[str] = []
        self.end = asyncio.Event()
        self._error = error

    def kill(self) -> None:
        self.calls.append("kill")
        self.end.set()

    async def wait(self) -> None:
        self.calls.append("wait")
        await self.end.wait()
        if self._error is not None:
            raise self._error


def test_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError):
        Catacomb()


async def test_starts_alive() -> None:
    seen: list[object] = []

    async def work(site: Catacomb) -> None:
        seen.append((site.state, site.stop.is_set(), site.reason))

    site = await invoked(work)

    await site.wait()
    assert seen == [("alive", False, None)]


async def test_invoke_does_not_suspend_and_runs_nothing_inline() -> None:
    ran: list[int] = []

    async def work(_: Catacomb) -> None:
        ran.append(1)

    coro = invoked(work)
    with pytest.raises(StopIteration) as stopped:
        coro.send(None)

    assert ran == []
    await stopped.value.value.wait()
    assert ran == [1]


async def test_kill_begins_dying_and_not_death() -> None:
    seen: list[object] = []

    async def work(site: Catacomb) -> None:
        site.kill()
        seen.append((site.state, site.stop.is_set()))
        await site.wait_dying()

    site = await invoked(work)

    await site.wait()
    assert seen == [("dying", True)]


async def test_end_of_work_is_the_end() -> None:
    site = Site()
    catacomb = await site.invoke()

    site.finish()
    await catacomb.wait()

    assert catacomb.state == "dead"
    assert catacomb.stop.is_set()


async def test_kill_with_nothing_is_a_clean_death() -> None:
    site = await invoked(until_stop)

    site.kill()

    assert await result(site) is None
    assert site.errors == ()


@pytest.mark.parametrize(
    ("kills", "expected"),
    [
        (("none", "a"), "a"),
        (("a", "none"), "a"),
        (("a", "b"), "a"),
        (("none", "none"), "none"),
        (("none", "b", "a"), "b"),
    ],
)
async def test_first_real_error_wins(kills: tuple[str, ...], expected: str) -> None:
    errors = {"none": None, "a": E("a"), "b": E("b")}

    async def work(site: Catacomb) -> None:
        for kill in kills:
            site.kill(errors[kill])

    site = await invoked(work)

    assert await result(site) is errors[expected]
    assert site.reason is errors[expected]


async def test_errors_lists_all_that_reached_kill() -> None:
    a, b = E("a"), E("b")

    async def work(site: Catacomb) -> None:
        site.kill(a)
        site.kill(None)
        site.kill(site.err_dying())
        raise b

    site = await invoked(work)

    assert await result(site) is a
    assert site.errors == (a, b)
    site.kill(E("late"))
    assert site.errors == (a, b)


async def test_reason_is_frozen_at_death() -> None:
    site = await invoked(until_stop)
    site.kill()
    await site.wait()

    site.kill(E("too late"))

    assert await result(site) is None
    assert site.reason is None


async def test_error_of_work_is_the_reason_unwrapped() -> None:
    error = E("work")

    async def work(_: Catacomb) -> None:
        raise error

    site = await invoked(work)

    for _ in range(2):
        with pytest.raises(E) as caught:
            await site.wait()
        assert caught.value is error


async def test_work_that_is_no_coroutine_function_fails_as_it_does() -> None:
    site = Catacomb()

    await invoke(Plan("bad", site, lambda: None))  # type: ignore[arg-type, return-value]

    assert isinstance(await result(site), TypeError)


async def test_work_cancelled_by_a_stranger_is_a_failure() -> None:
    async def work(_: Catacomb) -> None:
        raise asyncio.CancelledError

    site = await invoked(work)

    assert isinstance(await result(site), WorkerCancelled)


async def test_kill_with_a_cancellation_is_a_failure() -> None:
    site = await invoked(until_stop)

    site.kill(asyncio.CancelledError())

    assert isinstance(await result(site), WorkerCancelled)
    assert site.errors == (site.reason,)


def test_system_exit_of_work_is_recorded_and_leaves_the_loop() -> None:
    sites: list[Catacomb] = []

    async def work(_: Catacomb) -> None:
        raise SystemExit(3)

    async def main() -> None:
        sites.append(await invoked(work))
        await sites[0].wait()

    with pytest.raises(SystemExit):
        asyncio.run(main())

    assert isinstance(sites[0].reason, SystemExit)


async def test_kill_from_another_thread() -> None:
    child = ErrorWorker()
    error = E("thread")
    site = await invoked(until_stop, init=(child,))
    thread = threading.Thread(target=site.kill, args=(error,))

    thread.start()

    assert await result(site) is error
    thread.join()
    await child.wait()


def test_kill_after_the_loop_is_closed() -> None:
    async def main() -> Catacomb:
        site = Catacomb()
        await invoke(Plan("orphan", site, forever, init=[NoOpWorker()]))
        return site

    with asyncio.Runner() as runner:
        site = runner.run(main())

    site.kill()
    site.kill(E("late"))
    thread = threading.Thread(target=site.kill)
    thread.start()
    thread.join()


async def test_cancelled_waiter_touches_nothing() -> None:
    site = await invoked(until_stop)
    waiter = asyncio.create_task(site.wait())
    await turns()

    waiter.cancel()
    await turns()

    assert site.state == "alive"
    site.kill()
    await site.wait()


async def test_dying_error_differs_from_what_a_live_catacomb_answers() -> None:
    site = await invoked(until_stop)

    early = site.err_dying()
    site.kill()
    late = site.err_dying()

    assert isinstance(early, MisuseError)
    assert isinstance(late, DyingError)
    assert late.catacomb is site
    await site.wait()
    assert isinstance(site.err_dying(), DyingError)


async def test_premature_dying_error_is_a_real_failure() -> None:
    errors: list[Exception] = []

    async def work(site: Catacomb) -> None:
        errors.append(site.err_dying())
        raise errors[0]

    site = await invoked(work)

    assert await result(site) is errors[0]


def wrapped(error: Exception) -> Exception:
    outer = E("outer")
    outer.__cause__ = error
    return outer


def grouped(error: Exception) -> Exception:
    return ExceptionGroup("all", [error, ExceptionGroup("inner", [wrapped(error)])])


@pytest.mark.parametrize("first", [None, E("first")])
@pytest.mark.parametrize("shape", [lambda error: error, wrapped, grouped, lambda error: wrapped(grouped(error))])
async def test_own_dying_error_changes_nothing(
    first: Exception | None, shape: Callable[[Exception], Exception]
) -> None:
    async def work(site: Catacomb) -> None:
        site.kill(first)
        site.kill(shape(site.err_dying()))
        raise shape(site.err_dying())

    site = await invoked(work)

    assert await result(site) is first


async def test_mixed_group_is_an_ordinary_error() -> None:
    groups: list[Exception] = []

    async def work(site: Catacomb) -> None:
        site.kill()
        groups.append(ExceptionGroup("mixed", [site.err_dying(), E("real")]))
        raise groups[0]

    site = await invoked(work)

    assert await result(site) is groups[0]


async def foreign_dying_error() -> Exception:
    other = Catacomb()
    other.kill()
    return other.err_dying()


@pytest.mark.parametrize("shape", [lambda error: error, wrapped, grouped])
async def test_anothers_dying_error_is_a_misuse(shape: Callable[[Exception], Exception]) -> None:
    given = shape(await foreign_dying_error())
    site = await invoked(until_stop)

    site.kill(given)
    error = await result(site)

    assert isinstance(error, MisuseError)
    assert error.__cause__ is given


async def test_anothers_dying_error_out_of_work_or_a_child_is_a_misuse() -> None:
    given = await foreign_dying_error()

    async def work(_: Catacomb) -> None:
        raise given

    by_work = await invoked(work)
    by_child = await invoked(until_stop, init=(DeadWorker(given),))

    for site in (by_work, by_child):
        error = await result(site)
        assert isinstance(error, MisuseError)
        assert error.__cause__ is given


async def test_group_of_own_and_anothers_dying_error_is_a_misuse() -> None:
    site = await invoked(until_stop)
    site.kill()

    site.kill(ExceptionGroup("both", [site.err_dying(), await foreign_dying_error()]))

    assert isinstance(await result(site), MisuseError)


async def test_chain_of_causes_that_loops_ends() -> None:
    a, b = E("a"), E("b")
    a.__cause__, b.__cause__ = b, a
    site = await invoked(until_stop)

    site.kill(a)

    assert await result(site) is a


async def test_without_grace_work_is_never_interrupted() -> None:
    site = Site()
    catacomb = await site.invoke()

    catacomb.kill()
    await turns(20)

    assert catacomb.state == "dying"
    site.finish()
    await catacomb.wait()


async def test_grace_of_nothing_cancels_at_once() -> None:
    site = Catacomb()
    await invoke(Plan("grace", site, forever, grace=0))
    await turns()

    site.kill()

    assert await result(site) is None


async def test_kill_before_the_first_step_with_grace_of_nothing_never_runs_work() -> None:
    ran: list[int] = []
    site = Catacomb()

    async def work() -> None:
        ran.append(1)

    await invoke(Plan("grace", site, work, grace=0))
    site.kill()

    assert await result(site) is None
    assert ran == []


async def test_grace_counts_on_the_catacombs_clock() -> None:
    clock = FakeClock()
    site = Catacomb(clock=clock)
    await invoke(Plan("grace", site, forever, grace=30))
    site.kill()

    await clock.wait_advance(29)
    assert site.state == "dying"
    await clock.advance(1)

    await site.wait()


async def test_stop_sleeps_on_the_catacombs_clock() -> None:
    clock = FakeClock()
    site = Catacomb(clock=clock)
    slept: list[bool] = []

    async def work() -> None:
        slept.append(await site.stop.sleep(5))

    await invoke(Plan("sleep", site, work))
    await clock.wait_advance(5)
    await site.wait()

    assert slept == [False]


class Reporting(NoOpWorker):
    def report(self) -> dict[str, object]:
        return {"n": 1}


class EmptyReporting(NoOpWorker):
    def report(self) -> dict[str, object]:
        return {}


async def test_report_describes_state_and_children() -> None:
    site = await invoked(until_stop, init=(NoOpWorker(),))
    await site.add(Reporting())
    await site.add(EmptyReporting())

    assert site.report() == {
        "state": "alive",
        "children": [
            {"worker": "NoOpWorker"},
            {"worker": "Reporting", "report": {"n": 1}},
            {"worker": "EmptyReporting"},
        ],
    }
    site.kill()
    assert site.report()["state"] == "dying"
    await site.wait()
    assert site.report() == {"state": "dead", "children": []}
