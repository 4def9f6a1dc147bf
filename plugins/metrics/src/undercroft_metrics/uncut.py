"""Work that is not left off half done."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


async def to_the_end(work: Coroutine[object, object, T]) -> T:
    """Wait for work that a cancellation may delay nothing of, and cut nothing off; then pass the cancellation on."""
    task = asyncio.get_running_loop().create_task(work, name="to the end")
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()
        raise
