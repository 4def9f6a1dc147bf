"""Waiting for something unless an abort fires first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from undercroft.errors import AbortedError
from undercroft.worker.latch import Latch

if TYPE_CHECKING:
    from undercroft_hookspecs.manifold import Abort

T = TypeVar("T")


async def unless_aborted(future: asyncio.Future[T], abort: Abort | None) -> T:
    """Give the future's result; a result that is there beats an abort that has fired.

    The future is left as it is if this is aborted; if it is cancelled, the future may be, too.

    Raises:
        AbortedError: the abort fired first.
    """
    if abort is None or future.done():
        return await future
    if not abort.is_set():
        firing = _firing(abort)
        try:
            await asyncio.wait((future, firing), return_when=asyncio.FIRST_COMPLETED)
        finally:
            if isinstance(abort, Latch):
                abort.unsubscribe(firing)
            firing.cancel()
    if future.done():
        return future.result()
    raise AbortedError("an abort fired first")


def _firing(abort: Abort) -> asyncio.Future[None]:
    loop = asyncio.get_running_loop()
    if isinstance(abort, Latch):
        future: asyncio.Future[None] = loop.create_future()
        abort.subscribe(future)
        return future
    return loop.create_task(_fire(abort), name="abort")


async def _fire(abort: Abort) -> None:
    await abort.wait()
