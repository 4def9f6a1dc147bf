"""Wait for something, but not for ever, on an injected clock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from undercroft_hookspecs import Clock

T = TypeVar("T")


async def first(*events: Coroutine[object, object, object] | asyncio.Future[Any]) -> None:
    """Return when the first of these has ended, however that was. Coroutines are cancelled then, futures let be."""
    made: list[asyncio.Future[object]] = []
    waited: list[asyncio.Future[Any]] = []  # Any: futures are invariant, and nobody looks at their results here.
    for event in events:
        if isinstance(event, asyncio.Future):
            waited.append(event)
        else:
            made.append(asyncio.ensure_future(event))
    try:
        await asyncio.wait([*made, *waited], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in made:
            task.cancel()
        await asyncio.gather(*made, return_exceptions=True)


async def within(clock: Clock, seconds: float, work: Coroutine[object, object, T]) -> T:
    """Give the work's result.

    Raises:
        TimeoutError: it took longer than this, and was cancelled.
    """
    task = asyncio.ensure_future(work)
    try:
        await first(task, clock.sleep(seconds))
        if task.done():
            return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    raise TimeoutError(f"it took longer than {seconds:g} s")
