"""Futures as events: what happens to a child, and waiting for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from undercroft.clock import SystemClock, alarm

if TYPE_CHECKING:
    from undercroft_hookspecs.worker import Clock


def happened(event: asyncio.Future[None]) -> None:
    """Let it have happened; nothing if it has."""
    if not event.done():
        event.set_result(None)


async def settled(event: asyncio.Future[None], *, seconds: float | None = None) -> asyncio.CancelledError | None:
    """Wait for the event whatever happens, or this long; gives the cancellation that came meanwhile, if any."""
    cancelled: asyncio.CancelledError | None = None
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = None if seconds is None else alarm(SystemClock(), seconds, lambda: happened(over))
    while not event.done() and not over.done():
        try:
            await asyncio.wait((event, over), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError as error:
            cancelled = error
    if timer is not None:
        timer.cancel()
    return cancelled


async def within(clock: Clock, seconds: float, *events: asyncio.Future[None]) -> None:
    """Wait until one of the events has happened, but no longer than this."""
    if any(event.done() for event in events):
        return
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = alarm(clock, seconds, lambda: happened(over))
    try:
        await asyncio.wait((over, *events), return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
