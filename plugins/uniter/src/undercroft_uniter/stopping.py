"""Leaving off what waits as soon as the unit's agent is asked to stop."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from undercroft_uniter.errors import Stopping

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft import Stop


@asynccontextmanager
async def unless_stopped(stop: Stop) -> AsyncIterator[None]:
    """Make the body of an `async with` end as if cancelled when the stop fires.

    The body runs in the caller's task, so that what it enters can be left there later.

    Raises:
        Stopping: the stop has fired, before the body, in it, or when it had just ended.
    """
    if stop:
        raise Stopping("the unit's agent is asked to stop")
    scope = asyncio.timeout(None)

    def end() -> None:
        scope.reschedule(0.0)  # Long ago: at the next turn of the loop.

    try:
        async with scope:
            stop.subscribe(end)
            try:
                yield
            finally:
                stop.unsubscribe(end)
    except TimeoutError:
        if not scope.expired():
            raise
        raise Stopping("the unit's agent is asked to stop") from None
    if stop:
        raise Stopping("the unit's agent is asked to stop")
