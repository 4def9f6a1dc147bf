"""FinishedWorker, NoOpWorker, SimpleWorker."""

from __future__ import annotations

import asyncio

import pytest

from undercroft.testing import check_alive, clean_kill
from undercroft.worker.small import FinishedWorker, NoOpWorker, SimpleWorker
from undercroft.worker.tomb import Stop
from undercroft_hookspecs import NotValidError, Worker


async def test_a_finished_worker_is_dead_and_clean() -> None:
    """TestFinishedWorker."""
    worker = FinishedWorker()

    await worker.wait()
    worker.kill()

    assert isinstance(worker, Worker)


async def test_a_no_op_worker_runs_until_killed() -> None:
    worker = NoOpWorker()

    await check_alive(worker)

    await clean_kill(worker)
    await clean_kill(worker)


async def test_what_the_work_raises_is_the_result() -> None:
    """Simple TestWait."""

    async def work(_: Stop) -> None:
        raise ValueError("work")

    with pytest.raises(ValueError, match="work"):
        await SimpleWorker(work).wait()


async def test_returning_on_its_own_is_a_clean_death() -> None:
    """Simple TestWaitNil."""

    async def work(_: Stop) -> None:
        return

    await SimpleWorker(work).wait()


async def test_an_error_after_a_kill_is_the_result() -> None:
    """Simple TestKill."""

    async def work(stop: Stop) -> None:
        await stop.wait()
        raise ValueError("while stopping")

    worker = SimpleWorker(work)
    worker.kill()
    for _ in range(2):
        with pytest.raises(ValueError, match="while stopping"):
            await worker.wait()
        worker.kill()


async def test_the_work_begins_only_after_the_constructors_caller_yields() -> None:
    began: list[Stop] = []

    def work(stop: Stop) -> asyncio.Future[None]:
        began.append(stop)
        return asyncio.ensure_future(asyncio.sleep(0))

    worker = SimpleWorker(work)
    assert began == []
    await worker.wait()

    assert len(began) == 1


async def test_grace_ends_work_that_heeds_no_stop() -> None:
    async def work(_: Stop) -> None:
        await asyncio.Event().wait()

    await clean_kill(SimpleWorker(work, grace=0))


@pytest.mark.parametrize(("arguments", "field"), [({"work": None}, "work"), ({"work": print, "grace": -1}, "grace")])
async def test_a_bad_argument_is_refused_by_name(arguments: dict[str, object], field: str) -> None:
    with pytest.raises(NotValidError) as caught:
        SimpleWorker(**arguments)  # type: ignore[arg-type]

    assert caught.value.field == field


def test_workers_need_a_running_loop() -> None:
    async def work(_: Stop) -> None:
        return

    for make in (FinishedWorker, NoOpWorker, lambda: SimpleWorker(work)):
        with pytest.raises(RuntimeError):
            make()
