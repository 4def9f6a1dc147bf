"""Notice at once that the kernel has changed something that has no descriptor of its own: mounts, swaps, files.

Each watch is a reader on the running loop for as long as its block lasts; nothing wakes up while nothing changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import select
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Self

IN_MODIFY = 0x2
IN_ATTRIB = 0x4
IN_CLOSE_WRITE = 0x8
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
EVENT = struct.Struct("iIII")


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


class Inotify:
    """Calls `told(path, name)` on the loop for each event of a path that is watched; use it as a context manager.

    `path` is as it was given to `watch`, `name` that of the entry in it, empty where the event is the path's own.
    """

    def __init__(self, told: Callable[[Path, str], None]) -> None:
        self._told = told
        self._loop = asyncio.get_running_loop()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._paths: dict[int, Path] = {}
        self._fd = _checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify_init1")
        self._loop.add_reader(self._fd, self._on_readable)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def watch(self, path: Path, events: int) -> bool:
        """Watch a path for a sum of the IN_ constants; False if it is absent or may not be read. Twice is no harm.

        Raises:
            OSError: anything else, like no watches left for this user (`fs.inotify.max_user_watches`).
        """
        try:
            number = _checked(self._libc.inotify_add_watch(self._fd, os.fsencode(path), events), str(path))
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return False
        self._paths[number] = path
        return True

    def close(self) -> None:
        """Watch nothing any more; closing twice is no harm."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _on_readable(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        at = 0
        while at < len(data):
            number, mask, _, length = EVENT.unpack_from(data, at)
            name = os.fsdecode(data[at + EVENT.size : at + EVENT.size + length].rstrip(b"\0"))
            at += EVENT.size + length
            self._tell(number, mask, name)

    def _tell(self, number: int, mask: int, name: str) -> None:
        if mask & IN_Q_OVERFLOW:
            for path in list(self._paths.values()):
                self._told(path, "")
        elif mask & IN_IGNORED:
            self._paths.pop(number, None)
        elif number in self._paths:
            self._told(self._paths[number], name)


async def _next_turn(loop: asyncio.AbstractEventLoop) -> None:
    turned = asyncio.Event()
    loop.call_soon(turned.set)
    await turned.wait()


def _checked(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), what)
    return result
