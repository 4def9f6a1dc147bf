"""Checks of a worker's life, for use in tests. None of them disturbs a live worker, not even by giving up on it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from undercroft.testing.clock import turn
from undercroft.worker.lifecycle import watch

if TYPE_CHECKING:
    from undercroft_hookspecs.worker import Worker

ALIVE_DELAY = 0.05
"""For how many seconds a worker must go on living to be believed alive."""

KILL_TIMEOUT = 10.0
"""How many seconds a killed worker has to die."""

# A worker that is dead already takes a few turns of the loop to say so, however small the timeout.
_TURNS = 5

_logger = logging.getLogger("undercroft.testing")


async def check_alive(w: Worker, *, delay: float = ALIVE_DELAY) -> None:
    """Fail if the worker is dead, or dies within `delay` seconds."""
    try:
        error = await _death(w, delay)
    except TimeoutError:
        return
    raise AssertionError(f"{_name(w)} should be alive, and is dead: {_ending(error)}") from error


async def check_killed(w: Worker, *, timeout: float = KILL_TIMEOUT) -> BaseException | None:
    """Give the error that the worker died of, None at a clean death; fail if it has not died in time."""
    try:
        return await _death(w, timeout)
    except TimeoutError:
        raise AssertionError(f"{_name(w)} is not stopping: still alive after {timeout:g} s") from None


async def check_kill(w: Worker, *, timeout: float = KILL_TIMEOUT) -> BaseException | None:
    """Kill the worker, and give the error that it died of; fail if it has not died in time."""
    w.kill()
    return await check_killed(w, timeout=timeout)


async def clean_kill(w: Worker, *, timeout: float = KILL_TIMEOUT) -> None:
    """Kill the worker; fail unless it dies in time, and cleanly."""
    error = await check_kill(w, timeout=timeout)
    if error is not None:
        raise AssertionError(f"{_name(w)} should have died cleanly, and did not: {_ending(error)}") from error


async def dirty_kill(w: Worker, *, timeout: float = KILL_TIMEOUT) -> None:
    """Kill the worker; fail unless it dies in time. Its error is logged."""
    error = await check_kill(w, timeout=timeout)
    if error is not None:
        _logger.info("%s died of %r", _name(w), error)


async def check_none_or_kill(w: Worker | None) -> None:
    """Fail if there is a worker where None was expected, and kill it so that it does not disturb other tests."""
    if w is None:
        return
    error = await check_kill(w)
    raise AssertionError(f"there should be no worker, and there is {_name(w)}, now killed: {_ending(error)}") from error


async def _death(w: Worker, timeout: float) -> BaseException | None:
    result: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    watch(w, lambda error: None if result.done() else result.set_result(error))
    for _ in range(_TURNS):
        if not result.done():
            await turn()
    async with asyncio.timeout(timeout):
        return await result


def _name(w: Worker) -> str:
    return type(w).__name__


def _ending(error: BaseException | None) -> str:
    return "it ended cleanly" if error is None else repr(error)
