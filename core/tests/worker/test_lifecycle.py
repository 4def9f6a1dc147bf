"""stop, outcome, dead, closing_on_error and `async with`, on our own workers and on foreign ones."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable

import pytest

from undercroft.errors import WorkerCancelled
from undercroft.testing import DeadWorker, ErrorWorker, ForeverWorker
from undercroft.worker.lifecycle import closing_on_error, dead, is_worker, outcome, stop, watch
from undercroft.worker.small import NoOpWorker, SimpleWorker
from undercroft.worker.tomb import Stop


class Recording:
    """A foreign worker that notes what is asked of it, and whose wait awaits its own task."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.calls: list[str] = []
        self._killed = asyncio.Event()
        self._error = error
        self.task = asyncio.ensure_future(self._run())

    def kill(self) -> None:
        self.calls.append("kill")
        self._killed.set()

    async def wait(self) -> None:
        self.calls.append("wait")
        await self.task

    async def _run(self) -> None:
        await self._killed.wait()
        if self._error is not None:
            raise self._error


class WithDead(Recording):
    """A foreign worker with a `dead` of its own."""

    def __init__(self, answer: Awaitable[None] | None) -> None:
        super().__init__()
        self._answer = answer

    def dead(self) -> Awaitable[None] | None:
        self.calls.append("dead")
        return self._answer


async def test_stop_returns_no_error_of_a_clean_worker() -> None:
    """Worker: TestStopReturnsNoError."""
    await stop(DeadWorker())


async def test_stop_raises_the_workers_error() -> None:
    """Worker: TestStopReturnsError."""
    with pytest.raises(ValueError, match="died"):
        await stop(DeadWorker(ValueError("died")))


async def test_stop_kills_once_and_then_waits() -> None:
    """Worker: TestStop, TestStopKills."""
    worker = Recording()

    await stop(worker)

    assert worker.calls == ["kill", "wait"]
    assert worker.task.done()


async def test_stop_waits_for_one_that_ignores_the_kill() -> None:
    """Worker: TestStopWaits."""
    worker = ForeverWorker()
    stopping = asyncio.ensure_future(stop(worker))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not stopping.done()

    worker.really_kill()

    await stopping


async def test_dead_of_a_dead_worker_is_done() -> None:
    """Worker: TestDeadAlready."""
    async with asyncio.timeout(5):
        await dead(DeadWorker(ValueError("dropped")))


async def test_dead_waits_for_death_and_never_raises() -> None:
    """Worker: TestDeadWaits, TestDead."""
    worker = ErrorWorker(ValueError("dropped"))
    death = asyncio.ensure_future(dead(worker))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not death.done()

    worker.kill()

    await death


async def test_dead_begins_the_wait_of_a_foreign_worker_at_once() -> None:
    worker = Recording()

    death = dead(worker)
    await asyncio.sleep(0)
    assert worker.calls == ["wait"]
    worker.kill()

    await death


async def test_dead_hands_out_the_workers_own_answer() -> None:
    """Worker: TestDeadWithDeadMethod."""
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    worker = WithDead(answer)

    assert dead(worker) is answer

    await asyncio.sleep(0)
    assert worker.calls == ["dead"]
    await stop(worker)


async def test_dead_falls_back_when_the_workers_own_answer_is_none() -> None:
    """Worker: TestDeadWithDeadMethodReturningNil."""
    worker = WithDead(None)

    death = dead(worker)
    await asyncio.sleep(0)
    assert worker.calls == ["dead", "wait"]
    worker.kill()

    await death


async def test_abandoning_dead_does_not_disturb_the_worker() -> None:
    worker = Recording()
    death = asyncio.ensure_future(dead(worker))
    await asyncio.sleep(0)

    death.cancel()
    await asyncio.wait([death])

    assert not worker.task.done()
    await stop(worker)


async def test_outcome_gives_the_error_as_a_value() -> None:
    error = ValueError("as a value")

    assert await outcome(DeadWorker(error)) is error
    assert await outcome(DeadWorker()) is None


async def test_cancelling_outcome_does_not_disturb_a_worker_whose_wait_awaits_its_own_task() -> None:
    worker = Recording()
    asking = asyncio.ensure_future(outcome(worker))
    for _ in range(3):
        await asyncio.sleep(0)

    asking.cancel()
    await asyncio.wait([asking])

    assert asking.cancelled()
    assert not worker.task.done()
    await stop(worker)


async def test_a_cancellation_that_came_from_the_worker_is_its_failure() -> None:
    """Foreign workers may break the rule that CancelledError never says that a worker failed."""
    worker = Recording()
    worker.task.cancel()

    error = await outcome(worker)

    assert isinstance(error, WorkerCancelled)
    assert isinstance(error.__cause__, asyncio.CancelledError)


async def test_a_watch_that_is_itself_cancelled_reports_nothing() -> None:
    worker, seen = Recording(), list[BaseException | None]()
    before = asyncio.all_tasks()
    watch(worker, seen.append)
    await asyncio.sleep(0)

    (watcher,) = asyncio.all_tasks() - before
    watcher.cancel()
    await asyncio.wait([watcher])

    assert seen == []
    worker.kill()
    await asyncio.wait([worker.task])


async def test_a_subclass_with_a_wait_of_its_own_is_watched_through_it() -> None:
    class Louder(NoOpWorker):
        async def wait(self) -> None:
            await super().wait()
            raise ValueError("louder")

    worker = Louder()
    worker.kill()

    assert isinstance(await outcome(worker), ValueError)


async def test_closing_on_error_leaves_a_worker_alone_when_all_is_well() -> None:
    async with closing_on_error(NoOpWorker()) as worker:
        pass

    assert worker._tomb.state == "alive"
    await stop(worker)


async def test_closing_on_error_stops_the_worker_and_drops_its_error() -> None:
    worker = ErrorWorker(OSError("dropped"))

    with pytest.raises(ValueError, match="the block's"):
        async with closing_on_error(worker):
            raise ValueError("the block's")

    assert isinstance(await outcome(worker), OSError)


async def test_closing_on_error_stops_the_worker_when_the_block_is_cancelled() -> None:
    worker = NoOpWorker()

    async def block() -> None:
        async with closing_on_error(worker):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(block())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert worker._tomb.state == "dead"


async def test_async_with_gives_the_worker_itself_and_ends_it() -> None:
    worker = NoOpWorker()

    async with worker as same:
        assert same is worker

    assert worker._tomb.state == "dead"


async def test_async_with_raises_the_workers_error() -> None:
    async def work(stop: Stop) -> None:
        await stop.wait()
        raise ValueError("the worker's")

    with pytest.raises(ValueError, match="the worker's"):
        async with SimpleWorker(work):
            pass


async def test_the_bodys_exception_wins_with_a_note_of_the_workers() -> None:
    async def work(stop: Stop) -> None:
        await stop.wait()
        raise OSError("the worker's")

    with pytest.raises(ValueError, match="the body's") as caught:
        async with SimpleWorker(work, name="lathe"):
            raise ValueError("the body's")

    assert caught.value.__notes__ == ['lathe also failed: OSError("the worker\'s")']


async def test_the_bodys_exception_has_no_note_of_a_clean_worker() -> None:
    with pytest.raises(ValueError, match="the body's") as caught:
        async with NoOpWorker():
            raise ValueError("the body's")

    assert not hasattr(caught.value, "__notes__")


async def test_what_has_kill_and_wait_is_a_worker() -> None:
    assert is_worker(Recording)
    assert not is_worker(object())
    assert not is_worker(None)


async def test_a_dead_worker_can_be_collected() -> None:
    worker = NoOpWorker()
    watch(worker, lambda _: None)
    gone = weakref.ref(worker)
    await stop(worker)
    await asyncio.sleep(0)

    del worker
    gc.collect()

    assert gone() is None
