"""One start function in a task of its own: nothing that it makes is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from undercroft.errors import StartError, WorkerCancelled
from undercroft.worker.lifecycle import stop
from undercroft.worker.small import NoOpWorker
from undercroft.worker.start import Start, current_worker, worker_context
from undercroft_hookspecs import Worker


class Attempt:
    """A start, and the wait for its end."""

    def __init__(self, call: Callable[[], Worker | Awaitable[Worker]], path: str = "test/id") -> None:
        self._ended = asyncio.Event()
        self.start = Start(call, lambda _: self._ended.set(), context=worker_context(path), name=path)

    async def end(self) -> Start:
        async with asyncio.timeout(5):
            await self._ended.wait()
        return self.start


async def test_a_plain_function_may_give_the_worker() -> None:
    start = await Attempt(NoOpWorker).end()

    assert isinstance(start.worker, NoOpWorker)
    assert start.error is None
    await stop(start.worker)


async def test_an_async_function_may_give_the_worker() -> None:
    async def make() -> Worker:
        await asyncio.sleep(0)
        return NoOpWorker()

    start = await Attempt(make).end()

    assert start.worker is not None
    await stop(start.worker)


async def test_a_start_is_never_called_inline() -> None:
    called: list[str] = []

    def make() -> Worker:
        called.append("called")
        return NoOpWorker()

    attempt = Attempt(make)
    assert called == []

    start = await attempt.end()
    assert start.worker is not None
    await stop(start.worker)


@pytest.mark.parametrize("answer", [None, 3, "worker"])
async def test_anything_that_is_not_a_worker_is_a_start_error(answer: object) -> None:
    async def make() -> object:
        return answer

    plain = await Attempt(lambda: answer).end()  # type: ignore[arg-type,return-value]
    awaited = await Attempt(make).end()  # type: ignore[arg-type]

    assert isinstance(plain.error, StartError)
    assert isinstance(awaited.error, StartError)


async def test_what_it_raises_is_the_error() -> None:
    error = ValueError("no such disk")

    def make() -> Worker:
        raise error

    assert (await Attempt(make).end()).error is error


async def test_a_start_that_is_cancelled_and_gives_in_has_neither() -> None:
    async def make() -> Worker:
        await asyncio.Event().wait()
        return NoOpWorker()

    attempt = Attempt(make)
    await asyncio.sleep(0)
    assert attempt.start.cancel() is True
    start = await attempt.end()

    assert (start.worker, start.error) == (None, None)


async def test_a_start_that_had_not_begun_never_does() -> None:
    called: list[str] = []

    def make() -> Worker:
        called.append("called")
        return NoOpWorker()

    attempt = Attempt(make)
    assert attempt.start.cancel() is False
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert called == []
    assert not attempt._ended.is_set()


async def test_a_worker_made_in_spite_of_the_cancellation_is_kept() -> None:
    async def make() -> Worker:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass
        return NoOpWorker()

    attempt = Attempt(make)
    await asyncio.sleep(0)
    attempt.start.cancel()
    start = await attempt.end()

    assert start.worker is not None
    await stop(start.worker)


async def test_a_worker_made_in_the_step_that_is_cancelled_is_kept() -> None:
    """asyncio throws away what a task returns when cancel() reaches it during its last step."""
    attempt: Attempt

    async def make() -> Worker:
        worker = NoOpWorker()
        attempt.start.cancel()
        return worker

    attempt = Attempt(make)
    start = await attempt.end()

    assert start.worker is not None
    assert start.cancelled
    await stop(start.worker)


async def test_the_worker_of_a_future_that_was_done_when_the_cancellation_came_is_kept() -> None:
    made: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
    attempt = Attempt(lambda: made)
    await asyncio.sleep(0)

    made.set_result(NoOpWorker())
    attempt.start.cancel()
    start = await attempt.end()

    assert start.worker is made.result()
    await stop(start.worker)


async def test_the_error_of_a_future_overtaken_by_the_cancellation_is_dropped() -> None:
    made: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
    attempt = Attempt(lambda: made)
    await asyncio.sleep(0)

    made.set_exception(ValueError("too late"))
    attempt.start.cancel()
    start = await attempt.end()

    assert start.worker is None


async def test_a_cancellation_that_nobody_asked_for_is_an_error() -> None:
    async def make() -> Worker:
        raise asyncio.CancelledError

    assert isinstance((await Attempt(make).end()).error, WorkerCancelled)


async def test_a_start_cancelled_by_a_stranger_before_its_first_step_is_an_error() -> None:
    attempt = Attempt(NoOpWorker)

    attempt.start._task.cancel()

    assert isinstance((await attempt.end()).error, WorkerCancelled)


async def test_it_runs_in_a_copy_of_the_context_that_knows_its_path() -> None:
    seen: list[str | None] = []

    def make() -> Worker:
        seen.append(current_worker.get())
        current_worker.set("changed")
        return NoOpWorker()

    context = worker_context("runner/disk")
    for _ in range(2):
        ended = asyncio.Event()
        start = Start(make, lambda _, ended=ended: ended.set(), context=context, name="x")  # type: ignore[misc]
        await ended.wait()
        assert start.worker is not None
        await stop(start.worker)

    assert seen == ["runner/disk", "runner/disk"]
    assert current_worker.get() is None


def test_system_exit_is_recorded_and_leaves_the_loop() -> None:
    starts: list[Start] = []

    def make() -> Worker:
        raise SystemExit(4)

    async def main() -> None:
        starts.append(Start(make, lambda _: None, context=worker_context("x"), name="x"))
        await asyncio.Event().wait()

    with pytest.raises(SystemExit):
        asyncio.run(main())

    assert isinstance(starts[0].error, SystemExit)
