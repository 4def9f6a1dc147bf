"""Catacomb.open makes a body the work; CatacombWorker makes a method the work."""

from __future__ import annotations

import asyncio

import pytest

from undercroft import NoOpWorker, NotValidError, Reporter, Worker, WorkerCancelled, outcome
from undercroft.catacomb import Catacomb, CatacombWorker, DyingError, MisuseError
from undercroft.testing import (
    DeadWorker,
    ErrorWorker,
    FakeClock,
    ForeverWorker,
    check_alive,
    check_kill,
    check_killed,
    clean_kill,
)

E = RuntimeError


async def turns(n: int = 5) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


def notes(error: BaseException) -> list[str]:
    return getattr(error, "__notes__", [])


async def test_body_is_the_work() -> None:
    child, init = NoOpWorker(), NoOpWorker()

    async with Catacomb.open("body", init=[init]) as site:
        assert (site.name, site.state) == ("body", "alive")
        await site.add(child)
        await check_alive(child, delay=0.001)

    assert site.state == "dead"
    await check_killed(child, timeout=0)
    await check_killed(init, timeout=0)


async def test_leaving_waits_for_the_children() -> None:
    child = ForeverWorker()

    async def body() -> None:
        async with Catacomb.open("body", init=[child]):
            pass

    task = asyncio.create_task(body())
    await turns()
    assert not task.done()
    child.really_kill()

    await asyncio.wait_for(task, 10)


async def test_leaving_raises_the_reason() -> None:
    error = E("stop")

    with pytest.raises(E) as caught:
        async with Catacomb.open("body", init=[ErrorWorker(error)]):
            pass

    assert caught.value is error


async def test_body_is_never_interrupted() -> None:
    error, went_on = E("child"), False

    with pytest.raises(E) as caught:
        async with Catacomb.open("body", init=[DeadWorker(error)]) as site:
            await site.wait_dying()
            await turns()
            assert site.state == "dying"
            went_on = True

    assert went_on
    assert caught.value is error


async def test_error_of_the_body_is_the_reason_and_passes_on() -> None:
    error, child = E("body"), NoOpWorker()

    with pytest.raises(E) as caught:
        async with Catacomb.open("body", init=[child]) as site:
            raise error

    assert caught.value is error
    assert site.reason is error
    assert notes(error) == []
    await check_killed(child, timeout=0)


async def test_error_of_the_body_passes_on_with_a_note_of_an_earlier_reason() -> None:
    error, earlier = E("body"), ValueError("earlier")

    with pytest.raises(E) as caught:
        async with Catacomb.open("noted") as site:
            site.kill(earlier)
            raise error

    assert caught.value is error
    assert site.reason is earlier
    assert site.errors == (earlier, error)
    (note,) = notes(error)
    assert "noted" in note
    assert "earlier" in note


async def test_own_dying_error_is_as_good_as_a_return() -> None:
    async with Catacomb.open("body") as site:
        site.kill()
        raise site.err_dying()

    assert site.state == "dead"
    assert site.reason is None


async def test_own_dying_error_gives_way_to_the_reason() -> None:
    error = E("child")

    with pytest.raises(E) as caught:
        async with Catacomb.open("body") as site:
            await site.add(DeadWorker(error))
            await site.wait_dying()
            raise E("wrapped") from site.err_dying()

    assert caught.value is error


async def test_anothers_dying_error_passes_on() -> None:
    other = Catacomb()
    other.kill()
    error = other.err_dying()

    with pytest.raises(DyingError) as caught:
        async with Catacomb.open("body") as site:
            raise error

    assert caught.value is error
    assert isinstance(site.reason, MisuseError)
    assert site.reason.__cause__ is error


async def test_cancelled_body_is_clean_and_waited_for() -> None:
    child = ForeverWorker()
    sites: list[Catacomb] = []

    async def body() -> None:
        async with Catacomb.open("body", init=[child]) as site:
            sites.append(site)
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await turns()
    task.cancel()
    await turns()

    assert not task.done()
    assert sites[0].state == "dying"
    child.really_kill()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sites[0].reason is None
    assert sites[0].errors == ()


async def test_cancelled_body_passes_the_cancellation_on_whatever_the_children_say() -> None:
    async def body() -> None:
        async with Catacomb.open("body", init=[ErrorWorker(E("stop"))]):
            await asyncio.Event().wait()

    task = asyncio.create_task(body())
    await turns()
    task.cancel()

    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    assert "stop" in notes(caught.value)[0]


async def test_timeout_around_a_body_works() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01), Catacomb.open("body", init=[NoOpWorker()]):
            await asyncio.Event().wait()


async def test_cancelling_the_wait_on_leaving_leaves_the_children_killed() -> None:
    child = ForeverWorker()

    async def body() -> None:
        async with Catacomb.open("body", init=[child]):
            pass

    task = asyncio.create_task(body())
    await turns()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    child.really_kill()
    await check_killed(child)


@pytest.mark.parametrize(("name", "extra", "field"), [("", [], "name"), ("ok", [None], "init[1]")])
async def test_open_refuses_bad_arguments_and_stops_the_workers(name: str, extra: list[Worker], field: str) -> None:
    child = NoOpWorker()

    with pytest.raises(NotValidError) as caught:
        async with Catacomb.open(name, init=[child, *extra]):
            raise AssertionError("never entered")

    assert caught.value.field == field
    await check_killed(child, timeout=0)


async def test_open_takes_a_clock() -> None:
    clock = FakeClock()

    async with Catacomb.open("body", clock=clock) as site:
        sleeping = asyncio.create_task(site.stop.sleep(60))
        await clock.wait_advance(60)
        assert sleeping.result() is False


class Listing(CatacombWorker):
    """Records when its loop ran, and ends as it is told."""

    def __init__(self, name: str = "listing", *, end: BaseException | None = None, grace: float | None = None) -> None:
        super().__init__(name, grace=grace)
        self.seen: list[str] = []
        self._end = end
        self.ready = True

    async def loop(self) -> None:
        self.seen.append(f"ready: {self.ready}")
        await self.catacomb.wait_dying()
        self.seen.append("stopped")
        if self._end is not None:
            raise self._end


async def test_catacomb_worker_is_a_worker_and_a_reporter() -> None:
    w = Listing()

    assert isinstance(w, Worker)
    assert isinstance(w, Reporter)
    await clean_kill(w)


async def test_loop_runs_after_the_whole_constructor_chain() -> None:
    w = Listing()
    assert w.seen == []

    await turns()

    assert w.seen == ["ready: True"]
    await clean_kill(w)
    assert w.seen == ["ready: True", "stopped"]


async def test_error_of_loop_is_the_workers() -> None:
    error = E("loop")

    assert await check_kill(Listing(end=error)) is error


async def test_own_dying_error_out_of_loop_is_clean() -> None:
    class Dying(CatacombWorker):
        async def loop(self) -> None:
            await self.catacomb.wait_dying()
            raise self.catacomb.err_dying()

    await clean_kill(Dying("dying"))


async def test_end_of_loop_ends_the_worker_and_its_children() -> None:
    child = NoOpWorker()

    class Short(CatacombWorker):
        async def loop(self) -> None:
            await self.catacomb.add(child)

    w = Short("short")

    await asyncio.wait_for(w.wait(), 10)
    await check_killed(child, timeout=0)


async def test_without_a_loop_of_its_own_it_lasts_until_killed() -> None:
    child = NoOpWorker()
    w = CatacombWorker("plain", init=[child])

    await check_alive(w, delay=0.001)

    await clean_kill(w)
    await check_killed(child, timeout=0)


async def test_each_object_has_a_catacomb_of_its_own() -> None:
    a, b = CatacombWorker("a"), CatacombWorker("b")

    await clean_kill(a)

    await check_alive(b, delay=0.001)
    await clean_kill(b)


async def test_failing_child_ends_the_worker() -> None:
    error = E("child")
    w = CatacombWorker("parent")
    await w.catacomb.add(DeadWorker(error))

    assert await check_killed(w) is error


async def test_grace_interrupts_loop() -> None:
    class Deaf(CatacombWorker):
        async def loop(self) -> None:
            await asyncio.Event().wait()

    await clean_kill(Deaf("deaf", grace=0))


async def test_worker_added_to_its_own_catacomb_is_a_misuse_and_untouched() -> None:
    w = CatacombWorker("self")

    with pytest.raises(MisuseError):
        await w.catacomb.add(w)

    await check_alive(w, delay=0.001)
    w.kill()
    with pytest.raises(MisuseError):
        await w.catacomb.add(w)
    await w.wait()


async def test_worker_added_to_anothers_catacomb_is_its_child() -> None:
    parent, child = CatacombWorker("parent"), CatacombWorker("child")

    await parent.catacomb.add(child)

    await clean_kill(parent)
    await check_killed(child, timeout=0)


async def test_report_is_the_catacombs() -> None:
    w = CatacombWorker("parent", init=[CatacombWorker("child")])

    assert w.report() == {
        "state": "alive",
        "children": [{"worker": "CatacombWorker", "report": {"state": "alive", "children": []}}],
    }
    await clean_kill(w)


@pytest.mark.parametrize(
    ("name", "extra", "grace", "field"),
    [("", [], None, "name"), ("ok", [None], None, "init[1]"), ("ok", [], -1.0, "grace")],
)
async def test_bad_argument_raises_and_the_workers_are_reaped(
    name: str, extra: list[Worker], grace: float | None, field: str
) -> None:
    child = ErrorWorker(E("dropped"))

    with pytest.raises(NotValidError) as caught:
        CatacombWorker(name, init=[child, *extra], grace=grace)

    assert caught.value.field == field
    await check_killed(child)


async def test_async_with_gives_the_worker_and_leaving_ends_it() -> None:
    w = Listing()

    async with w as entered:
        assert entered is w

    assert await outcome(w) is None


async def test_async_with_raises_the_workers_error() -> None:
    error = E("loop")

    with pytest.raises(E) as caught:
        async with Listing(end=error):
            await turns()

    assert caught.value is error


async def test_async_with_notes_the_workers_error_on_the_bodys() -> None:
    error = E("body")

    with pytest.raises(E) as caught:
        async with Listing("listing", end=ValueError("loop")):
            await turns()
            raise error

    assert caught.value is error
    assert "listing" in notes(error)[0]
    assert "loop" in notes(error)[0]


async def test_worker_cancelled_from_outside_is_a_failure() -> None:
    tasks: list[asyncio.Task[object]] = []

    class Exposed(CatacombWorker):
        async def loop(self) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)
            await asyncio.Event().wait()

    w = Exposed("exposed")
    await turns()
    tasks[0].cancel()

    assert isinstance(await check_killed(w), WorkerCancelled)
