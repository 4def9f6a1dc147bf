"""The fake workers: each is a proper worker, and ends as it says."""

from __future__ import annotations

import asyncio

import pytest

from undercroft import NotValidError, Worker, WorkerCancelled
from undercroft.testing import DeadWorker, ErrorWorker, FakeWatcher, ForeverWorker, check_alive, check_kill, clean_kill


async def test_error_worker_runs_until_killed_and_ends_with_its_error() -> None:
    error = RuntimeError("e")
    w = ErrorWorker(error)
    assert isinstance(w, Worker)
    await check_alive(w, delay=0.001)

    w.kill()
    w.kill()

    for _ in range(2):
        with pytest.raises(RuntimeError) as caught:
            await w.wait()
        assert caught.value is error


async def test_error_worker_without_an_error_is_clean() -> None:
    await clean_kill(ErrorWorker())


async def test_error_worker_never_raises_a_cancellation() -> None:
    assert isinstance(await check_kill(ErrorWorker(asyncio.CancelledError())), WorkerCancelled)


async def test_dead_worker_has_ended() -> None:
    error = RuntimeError("e")

    await DeadWorker().wait()
    with pytest.raises(RuntimeError) as caught:
        await DeadWorker(error).wait()

    assert caught.value is error


async def test_forever_worker_ignores_kill() -> None:
    error = RuntimeError("e")
    w = ForeverWorker(error)

    w.kill()
    await check_alive(w, delay=0.001)
    w.really_kill()
    w.really_kill()

    assert await check_kill(w) is error


async def test_fake_watcher_is_preloaded() -> None:
    w = FakeWatcher(3, preload=2)

    assert w.changes.qsize() == 2

    await clean_kill(w)


async def test_fake_watcher_pings_until_it_is_full() -> None:
    w = FakeWatcher(2)

    w.ping()
    await asyncio.wait_for(w.changes.get(), 1)
    w.ping()
    w.ping()
    with pytest.raises(asyncio.QueueFull):
        w.ping()

    await check_alive(w, delay=0.001)
    await clean_kill(w)


@pytest.mark.parametrize(("capacity", "preload", "field"), [(0, 0, "capacity"), (1, 2, "preload"), (1, -1, "preload")])
async def test_fake_watcher_refuses_what_does_not_fit(capacity: int, preload: int, field: str) -> None:
    with pytest.raises(NotValidError) as caught:
        FakeWatcher(capacity, preload)

    assert caught.value.field == field
