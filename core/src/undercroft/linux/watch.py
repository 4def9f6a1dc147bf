"""Notice at once that the kernel has changed something that has no descriptor of its own: mounts, swaps, folders.

Each watch is a reader on the running loop for as long as its block lasts; nothing wakes up while nothing changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import select
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path

IN_MODIFY = 0x2
IN_ATTRIB = 0x4
IN_CLOSE_WRITE = 0x8
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200


@contextlib.asynccontextmanager
async def watching_proc(changed: Callable[[], None], path: Path) -> AsyncIterator[None]:
    """Call `changed` on the loop after each change of a file in /proc that says when it changes.

    The watch is in place when the block begins: read the file for the first time in there.

    These are `/proc/self/mountinfo` and `/proc/swaps`. They are always readable, and tell a change by EPOLLPRI, which
    loops do not ask for: so an epoll of our own asks for it, and the loop watches that epoll's descriptor.
    """
    loop = asyncio.get_running_loop()
    with path.open("rb", buffering=0) as file, select.epoll() as inner:
        inner.register(file, select.EPOLLPRI)
        inner.poll(0)

        def on_readable() -> None:
            # Often empty, for the loop's own question has taken the change already: being called is the signal.
            inner.poll(0)
            changed()

        loop.add_reader(inner.fileno(), on_readable)
        try:
            # uvloop tells the kernel in its next turn only, and a change that comes before that is lost: the kernel
            # asks the file twice then, and the first answer takes the change.
            for _ in range(2):
                await _next_turn(loop)
            yield
        finally:
            loop.remove_reader(inner.fileno())


@contextlib.contextmanager
def watching_folders(changed: Callable[[], None], folders: Sequence[Path], *, events: int) -> Iterator[None]:
    """Call `changed` on the loop after what inotify tells of these folders or files; absent ones are left out.

    `events` is a sum of the IN_ constants. Several events may be one call.

    Raises:
        OSError: the user has no inotify instances or watches left (`fs.inotify.max_user_instances`, `..._watches`).
    """
    loop = asyncio.get_running_loop()
    libc = ctypes.CDLL(None, use_errno=True)
    fd = _checked(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
    try:
        for folder in folders:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError):
                _checked(libc.inotify_add_watch(fd, os.fsencode(folder), events), str(folder))

        def on_readable() -> None:
            with contextlib.suppress(BlockingIOError):
                os.read(fd, 65536)
            changed()

        loop.add_reader(fd, on_readable)
        try:
            yield
        finally:
            loop.remove_reader(fd)
    finally:
        os.close(fd)


async def _next_turn(loop: asyncio.AbstractEventLoop) -> None:
    turned = asyncio.Event()
    loop.call_soon(turned.set)
    await turned.wait()


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
    return result
