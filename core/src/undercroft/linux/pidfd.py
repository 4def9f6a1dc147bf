"""Wait for the end of any process, also one that is not a child of ours, without polling.

A pidfd names one process for good: unlike a pid it is never given to another.
"""

from __future__ import annotations

import asyncio
import os


def open_pidfd(pid: int) -> int:
    """Open a descriptor that becomes readable when the process ends; it is the caller's to close.

    Raises:
        ProcessLookupError: there is no such process, or it has ended and been reaped.
    """
    return os.pidfd_open(pid)


async def wait_pid(pid: int) -> None:
    """Return when the process has ended, at once if there is none; it is not reaped."""
    try:
        fd = open_pidfd(pid)
    except ProcessLookupError:
        return
    try:
        await readable(fd)
    finally:
        os.close(fd)


async def readable(fd: int) -> None:
    """Return when the descriptor can be read. Nobody else may be waiting for it."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def on_readable() -> None:
        loop.remove_reader(fd)
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(fd, on_readable)
    try:
        await ready
    finally:
        loop.remove_reader(fd)
