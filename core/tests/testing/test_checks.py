"""The checks of a worker's life: what passes, what fails, and that they never disturb a live worker."""

from __future__ import annotations

import asyncio
import logging

import pytest

from undercroft import NoOpWorker
from undercroft.testing import (
    ALIVE_DELAY,
    KILL_TIMEOUT,
    DeadWorker,
    ErrorWorker,
    ForeverWorker,
    check_alive,
    check_kill,
    check_killed,
    check_none_or_kill,
    clean_kill,
    dirty_kill,
)


class OwnTaskWorker:
    """A foreign worker whose `wait` awaits its own task: cancelling the waiter cancels the worker."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        await self._stop.wait()

    def kill(self) -> None:
        self._stop.set()

    async def wait(self) -> None:
        await self.task


def test_delays_are_upstreams() -> None:
    assert (ALIVE_DELAY, KILL_TIMEOUT) == (0.05, 10.0)


async def test_check_alive_passes_a_live_worker() -> None:
    w = NoOpWorker()

    await check_alive(w)

    await clean_kill(w)


@pytest.mark.parametrize("error", [None, RuntimeError("gone")])
async def test_check_alive_fails_for_a_dead_one(error: Exception | None) -> None:
    with pytest.raises(AssertionError, match=r"DeadWorker should be alive") as caught:
        await check_alive(DeadWorker(error))

    assert caught.value.__cause__ is error


async def test_check_alive_fails_for_one_that_dies_within_the_delay() -> None:
    w = NoOpWorker()
    asyncio.get_running_loop().call_soon(w.kill)

    with pytest.raises(AssertionError):
        await check_alive(w, delay=10)


async def test_giving_up_disturbs_nobody() -> None:
    w = OwnTaskWorker()

    await check_alive(w, delay=0.001)
    with pytest.raises(AssertionError):
        await check_killed(w, timeout=0.001)

    assert not w.task.done()
    await clean_kill(w)


@pytest.mark.parametrize("error", [None, RuntimeError("e")])
async def test_check_killed_gives_the_error(error: Exception | None) -> None:
    w = ErrorWorker(error)
    w.kill()

    assert await check_killed(w) is error


async def test_check_killed_fails_for_a_live_worker() -> None:
    w = NoOpWorker()

    with pytest.raises(AssertionError, match="not stopping"):
        await check_killed(w, timeout=0.001)

    await clean_kill(w)


async def test_check_kill_kills_and_gives_the_error() -> None:
    error = RuntimeError("e")

    assert await check_kill(ErrorWorker(error)) is error


async def test_clean_kill_passes_a_clean_worker() -> None:
    w = ErrorWorker()

    await clean_kill(w)

    assert await check_killed(w) is None


async def test_clean_kill_fails_for_an_error() -> None:
    error = RuntimeError("e")

    with pytest.raises(AssertionError, match="died cleanly") as caught:
        await clean_kill(ErrorWorker(error))

    assert caught.value.__cause__ is error


async def test_dirty_kill_logs_the_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="undercroft.testing")

    await dirty_kill(ErrorWorker(RuntimeError("spilt")))
    await dirty_kill(ErrorWorker())

    assert [record.getMessage() for record in caplog.records] == ["ErrorWorker died of RuntimeError('spilt')"]


@pytest.mark.parametrize("check", [check_kill, clean_kill, dirty_kill])
async def test_kills_fail_for_a_worker_that_ignores_them(check: object) -> None:
    assert callable(check)
    w = ForeverWorker()

    with pytest.raises(AssertionError, match="not stopping"):
        await check(w, timeout=0.001)

    w.really_kill()
    await check_killed(w)


async def test_check_none_or_kill_passes_none() -> None:
    await check_none_or_kill(None)


@pytest.mark.parametrize("error", [None, RuntimeError("e")])
async def test_check_none_or_kill_kills_a_worker(error: Exception | None) -> None:
    w = ErrorWorker(error)

    with pytest.raises(AssertionError, match="no worker") as caught:
        await check_none_or_kill(w)

    assert caught.value.__cause__ is error
    assert await check_killed(w) is error
