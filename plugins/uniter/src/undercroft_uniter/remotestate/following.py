"""Follow one watch of the model for as long as it takes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NoReturn, TypeVar

from undercroft_hookspecs import StoreUnavailable, UndercroftError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from undercroft_hookspecs import Clock

T = TypeVar("T")

REOPEN_SECONDS = 2.0

logger = logging.getLogger(__name__)


class WatchEnded(UndercroftError):
    """A watch has ended, and should not have."""


async def follow(
    watch: Callable[[], AbstractAsyncContextManager[AsyncIterator[T]]],
    take: Callable[[T], Awaitable[None]],
    *,
    clock: Clock,
) -> NoReturn:
    """Hand each state to `take`, one after the other. An outage that the watch does not wait out itself is, too.

    Raises:
        WatchEnded: it has nothing more to tell.
        Exception: whatever else the watch or `take` raises.
    """
    while True:
        try:
            await _follow_once(watch, take)
        except StoreUnavailable as error:
            logger.warning("the store is not there, which is waited for: %s", error)
            await clock.sleep(REOPEN_SECONDS)
        else:
            raise WatchEnded("it has ended without a reason")


async def _follow_once(
    watch: Callable[[], AbstractAsyncContextManager[AsyncIterator[T]]], take: Callable[[T], Awaitable[None]]
) -> None:
    async with watch() as states:
        async for state in states:
            await take(state)
