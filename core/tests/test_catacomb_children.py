"""Catacomb and its children: it owns whatever it is handed, and is dead when all of it is."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from collections.abc import Awaitable, Callable

import pytest

from undercroft import (
    AlreadyExistsError,
    DeadError,
    NoOpWorker,
    NotValidError,
    SimpleWorker,
    Stop,
    Worker,
    WorkerCancelled,
    caused_by,
    outcome,
)
from undercroft.catacomb import Catacomb, DyingError, MisuseError, Plan, invoke
from undercroft.testing import (
    DeadWorker,
    ErrorWorker,
    ForeverWorker,
    check_alive,
    check_killed,
    clean_kill,
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


async def test_stops_added_worker_when_work_ends() -> None:
    site, child = Site(), NoOpWorker()
    catacomb = await site.invoke()
    await catacomb.add(child)
    await check_alive(child)

    site.finish()
    await catacomb.wait()

    await check_killed(child, timeout=0)


async def test_stops_init_worker_when_work_ends() -> None:
    child = NoOpWorker()
    site = Site(init=(child,))
    catacomb = await site.invoke()
    await check_alive(child, delay=0.001)

    site.finish()
    await catacomb.wait()

    await check_killed(child, timeout=0)


async def test_add_while_alive_does_not_suspend() -> None:
    site = await invoked(until_stop)

    with pytest.raises(StopIteration):
        site.add(Foreign()).send(None)

    site.kill()
    await site.wait()


async def test_children_are_killed_while_work_still_runs() -> None:
    site = Site()
    catacomb = await site.invoke()
    children = [Foreign(), Foreign()]
    for child in children:
        await catacomb.add(child)
    await turns()

    catacomb.kill()

    assert [child.calls for child in children] == [["wait", "kill"]] * 2
    await turns()
    assert catacomb.state == "dying"
    site.finish()
    await catacomb.wait()


async def test_dead_only_when_all_children_are() -> None:
    site, child = Site(), ForeverWorker()
    catacomb = await site.invoke()
    await catacomb.add(child)

    site.finish()
    await turns()

    assert catacomb.state == "dying"
    child.really_kill()
    await catacomb.wait()


async def test_child_that_fails_while_stopped_turns_a_clean_end_into_a_failure() -> None:
    site, error = Site(), E("stop")
    catacomb = await site.invoke()
    await catacomb.add(ErrorWorker(error))

    site.finish()

    assert await result(catacomb) is error


async def test_child_that_fails_while_stopped_does_not_replace_an_error() -> None:
    site, first = Site(), E("first")
    catacomb = await site.invoke()
    child = ErrorWorker(E("stop"))
    await catacomb.add(child)

    catacomb.kill(first)
    site.finish()

    assert await result(catacomb) is first
    assert catacomb.errors == (first, await outcome(child))


async def test_work_that_fails_still_stops_children() -> None:
    site, error, child = Site(), E("work"), NoOpWorker()
    catacomb = await site.invoke()
    await catacomb.add(child)

    site.finish(error)

    assert await result(catacomb) is error
    await child.wait()


async def test_failing_child_kills() -> None:
    error = E("child")
    site, child, sibling = await invoked(until_stop), ErrorWorker(error), NoOpWorker()
    await site.add(child)
    await site.add(sibling)

    child.kill()

    assert await result(site) is error
    await sibling.wait()


async def test_adding_a_failed_worker_kills_but_add_returns() -> None:
    error = E("failed")
    site = await invoked(until_stop)

    await site.add(DeadWorker(error))

    assert await result(site) is error


async def test_failed_init_worker_kills() -> None:
    error = E("failed")

    site = await invoked(until_stop, init=(DeadWorker(error),))

    assert await result(site) is error


async def test_clean_end_of_a_child_changes_nothing() -> None:
    site, child = await invoked(until_stop), ErrorWorker()
    await site.add(child)

    await clean_kill(child)
    await turns()

    assert site.state == "alive"
    await site.add(NoOpWorker())
    site.kill()
    await site.wait()


async def test_finished_workers_change_nothing() -> None:
    site = await invoked(until_stop, init=(DeadWorker(),))

    await site.add(DeadWorker())
    await turns()

    assert site.state == "alive"
    site.kill()
    await site.wait()


async def test_finished_child_leaves_nothing_behind() -> None:
    site = await invoked(until_stop)
    children = [NoOpWorker(), SimpleWorker(Stop.wait)]
    references = [weakref.ref(child) for child in children]
    for child in children:
        await site.add(child)
        await clean_kill(child)
    await turns()

    children.clear()
    del child
    gc.collect()

    assert [reference() for reference in references] == [None, None]
    assert site.report()["children"] == []
    assert len(asyncio.all_tasks()) == 2
    site.kill()
    await site.wait()


async def test_supervising_needs_no_task_of_its_own() -> None:
    site = await invoked(until_stop)
    before = len(asyncio.all_tasks())

    for _ in range(10):
        await site.add(NoOpWorker())

    assert len(asyncio.all_tasks()) == before
    site.kill()
    await site.wait()


async def test_foreign_child_that_ends_by_cancellation_is_a_failure() -> None:
    child = Foreign(asyncio.CancelledError())
    site = await invoked(until_stop, init=(child,))

    child.end.set()

    assert isinstance(await result(site), WorkerCancelled)


async def test_foreign_child_that_ends_by_cancellation_when_asked_to_stop_is_clean() -> None:
    site = await invoked(until_stop, init=(Foreign(asyncio.CancelledError()),))
    await turns()

    site.kill()

    assert await result(site) is None


@pytest.mark.slow_callbacks
async def test_thousand_children_that_fail_on_stop() -> None:
    """TestStress."""
    children = [ErrorWorker(E(str(i))) for i in range(1000)]
    site = Site()
    catacomb = await site.invoke()
    for child in children:
        await catacomb.add(child)

    site.finish()
    error = await result(catacomb)

    assert error in catacomb.errors
    assert len(catacomb.errors) == 1000
    for child in children:
        await check_killed(child, timeout=0)


@pytest.mark.slow_callbacks
async def test_adds_and_kills_that_race() -> None:
    """TestStressAddKillRaces."""
    error = E("race")
    site, child = await invoked(until_stop), ErrorWorker(error)

    async def kill() -> None:
        site.kill(error)

    calls = [call for _ in range(500) for call in (site.add(child), kill())]
    answers = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 10)

    assert all(answer is None or caused_by(answer, E) is error for answer in answers)
    assert await result(site) is error


@pytest.mark.parametrize("state", ["dying", "dead"])
async def test_add_when_no_longer_alive_stops_the_worker(state: str) -> None:
    site = Site()
    catacomb = await site.invoke()
    catacomb.kill()
    if state == "dead":
        site.finish()
        await catacomb.wait()
    child = NoOpWorker()

    with pytest.raises(DyingError) as caught:
        await catacomb.add(child)

    assert caught.value.catacomb is catacomb
    assert catacomb.state == state
    await check_killed(child, timeout=0)
    site.finish()
    assert await result(catacomb) is None


@pytest.mark.parametrize("state", ["dying", "dead"])
async def test_add_when_no_longer_alive_raises_the_workers_error(state: str) -> None:
    site, error = Site(), E("child")
    catacomb = await site.invoke()
    catacomb.kill()
    if state == "dead":
        site.finish()
        await catacomb.wait()

    with pytest.raises(E) as caught:
        await catacomb.add(ErrorWorker(error))

    assert caught.value is error
    site.finish()
    assert await result(catacomb) is None
    assert catacomb.errors == ()


async def test_add_when_dying_waits_for_the_worker() -> None:
    site, child = Site(), ForeverWorker()
    catacomb = await site.invoke()
    catacomb.kill()

    adding = asyncio.create_task(catacomb.add(child))
    await turns()

    assert not adding.done()
    child.really_kill()
    with pytest.raises(DyingError):
        await adding
    site.finish()
    await catacomb.wait()


async def test_add_when_dying_kills_once_before_it_waits() -> None:
    site = await invoked(until_stop)
    site.kill()
    child = Foreign(asyncio.CancelledError())

    with pytest.raises(DyingError):
        await site.add(child)

    assert child.calls == ["kill", "wait"]


async def test_cancelled_add_leaves_the_worker_killed() -> None:
    site = await invoked(until_stop)
    site.kill()
    child = ForeverWorker(E("e"))
    adding = asyncio.create_task(site.add(child))
    await turns()

    adding.cancel()

    with pytest.raises(asyncio.CancelledError):
        await adding
    child.really_kill()
    await check_killed(child)


async def test_add_before_invoke_is_a_misuse() -> None:
    site, child = Catacomb(), ErrorWorker(E("dropped"))

    with pytest.raises(MisuseError):
        await site.add(child)

    await check_killed(child, timeout=0)
    assert site.state == "alive"
    site.kill()
    await site.wait()


async def test_add_to_a_site_killed_before_use_is_dying() -> None:
    site, child = Catacomb(), NoOpWorker()
    site.kill()

    with pytest.raises(DyingError):
        await site.add(child)

    await child.wait()


async def test_catacomb_added_to_itself_is_a_misuse() -> None:
    site = await invoked(until_stop)

    with pytest.raises(MisuseError):
        await site.add(site)

    assert site.state == "alive"
    site.kill()
    await site.wait()


async def test_add_refuses_what_is_no_worker() -> None:
    site = await invoked(until_stop)

    with pytest.raises(NotValidError) as caught:
        await site.add(None)  # type: ignore[arg-type]

    assert caught.value.field == "w"
    site.kill()
    await site.wait()


async def test_used_site_cannot_be_invoked_again() -> None:
    """TestReusedCatacomb."""
    site = Site()
    catacomb = await site.invoke()
    site.finish()
    await catacomb.wait()
    child = NoOpWorker()

    with pytest.raises(AlreadyExistsError) as caught:
        await invoke(Plan("again", catacomb, catacomb.wait_dying, init=[child]))

    assert caught.value.name == "again"
    await check_killed(child, timeout=0)


async def test_site_in_use_cannot_be_invoked_again() -> None:
    catacomb = await invoked(until_stop)

    with pytest.raises(AlreadyExistsError):
        await invoke(Plan("again", catacomb, catacomb.wait_dying))

    assert catacomb.name == "test"
    catacomb.kill()
    await catacomb.wait()


async def test_site_killed_before_use_is_dead() -> None:
    site, child = Catacomb(), NoOpWorker()
    site.kill()
    await site.wait()

    with pytest.raises(DeadError):
        await invoke(Plan("late", site, site.wait_dying, init=[child]))

    await check_killed(child, timeout=0)


async def test_bad_plan_names_what_is_wrong_in_order() -> None:
    site, w = Catacomb(), NoOpWorker()
    plan = Plan("", None, None, init=[w, None, w], grace=-1.0)  # type: ignore[arg-type, list-item]
    fields = []

    for fix in ("name", "site", "work", "init[1]", "grace", ""):
        try:
            plan.validate()
        except NotValidError as error:
            fields.append(error.field)
        match fix:
            case "name":
                plan.name = "plan"
            case "site":
                plan.site = site
            case "work":
                plan.work = site.wait_dying
            case "init[1]":
                plan.init = [w]
            case "grace":
                plan.grace = 0

    assert fields == ["name", "site", "work", "init[1]", "grace"]
    plan.validate()
    await clean_kill(w)


@pytest.mark.parametrize("field", ["name", "site", "work", "init[1]", "grace"])
async def test_failing_invoke_stops_the_init_workers(field: str) -> None:
    site, w = Catacomb(), ErrorWorker(E("dropped"))
    plan = Plan("plan", site, site.wait_dying, init=[w])
    match field:
        case "name":
            plan.name = ""
        case "site":
            plan.site = object()  # type: ignore[assignment]
        case "work":
            plan.work = 3  # type: ignore[assignment]
        case "init[1]":
            plan.init = [w, None]  # type: ignore[list-item]
        case "grace":
            plan.grace = float("nan")

    with pytest.raises(NotValidError) as caught:
        await invoke(plan)

    assert caught.value.field == field
    await check_killed(w, timeout=0)
    assert site.state == "alive"
    await invoke(Plan("good", site, site.wait_dying))
    site.kill()
    await site.wait()


async def test_failing_invoke_stops_one_after_the_other() -> None:
    first, second = ForeverWorker(), Foreign()

    invoking = asyncio.create_task(invoke(Plan("", Catacomb(), forever, init=[first, second])))
    await turns()
    assert second.calls == []
    first.really_kill()

    with pytest.raises(NotValidError):
        await invoking
    assert second.calls == ["kill", "wait"]


async def test_cancelled_failing_invoke_leaves_no_worker_running() -> None:
    first, second = ForeverWorker(), Foreign(E("taken"))
    invoking = asyncio.create_task(invoke(Plan("", Catacomb(), forever, init=[first, second])))
    await turns()

    invoking.cancel()

    with pytest.raises(asyncio.CancelledError):
        await invoking
    await turns()
    assert second.calls == ["kill", "wait"]
    first.really_kill()
    await check_killed(first)


async def test_init_is_copied() -> None:
    """TestPlanDataRace."""
    w = NoOpWorker()
    init: list[Worker] = [w]
    site = Catacomb()
    await invoke(Plan("copy", site, site.wait_dying, init=init))

    init[0] = ErrorWorker(E("not mine"))
    site.kill()
    await site.wait()

    await check_killed(w, timeout=0)
    await check_alive(init[0], delay=0.001)
    init[0].kill()
    await check_killed(init[0])


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_happens_nothing_outlives_it_and_the_first_error_wins(seed: int) -> None:
    rng = random.Random(seed)
    site = Site()
    catacomb = await site.invoke()
    children: list[Worker] = []
    adding: list[asyncio.Task[None]] = []
    kinds: list[Callable[[BaseException | None], Worker]] = [ErrorWorker, ErrorWorker, DeadWorker, Foreign, Foreign]

    async def make_and_add(error: Exception | None) -> None:
        children.append(rng.choice(kinds)(error))
        await catacomb.add(children[-1])

    for step in range(60):
        error = E(str(step)) if rng.random() < 0.5 else None
        match rng.randrange(12):
            case 0:
                catacomb.kill(error if rng.random() < 0.2 else None)
            case 1:
                site.finish(error)
            case 2 if children:
                rng.choice(children).kill()
            case 3 if adding:
                rng.choice(adding).cancel()
            case _:
                adding.append(asyncio.create_task(make_and_add(error if rng.random() < 0.1 else None)))
        await turns(rng.randrange(3))
    site.finish()
    reason = await result(catacomb)
    await asyncio.gather(*adding, return_exceptions=True)

    assert reason is (catacomb.errors[0] if catacomb.errors else None)
    for child in children:
        await check_killed(child, timeout=1)
    await turns()
    assert len(asyncio.all_tasks()) == 1
