"""Files that survive a crash, written and read without holding up the loop.

Small files (state, config, ids) go in one hop to a thread for the whole operation. What is large is streamed by
aiofiles, in chunks. In both cases a reader sees the old content or the new, whole, and never something between: the
content is written to `.NAME.tmp` (a copy: `.NAME.part`) in the same folder, fsynced and renamed, and the folder is
fsynced. What a crash leaves behind under that name is overwritten by the next write of NAME.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import aiofiles

from undercroft_hookspecs.errors import AlreadyExistsError, UndercroftError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

P = ParamSpec("P")
T = TypeVar("T")

CHUNK_BYTES = 1024 * 1024


class ChecksumError(UndercroftError):
    """The content is not what was expected: its SHA-256 is `actual`; nothing was put in place."""

    def __init__(self, path: Path, expected: str, actual: str) -> None:
        super().__init__(f"{path} is damaged or not what was asked for: its SHA-256 is {actual}, not {expected}")
        self.path = path
        self.expected = expected
        self.actual = actual

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.path, self.expected, self.actual))


async def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace the content of a file, durably: once this returns, not even a power cut undoes it.

    Writers of one path, in any process, take turns. Cancelling waits for the write that is under way, so that it cannot
    overtake a later one. The mode is set whatever the umask; a symbolic link is replaced, not followed.
    """
    await in_thread(_write, path, data, mode)


async def read_bytes(path: Path) -> bytes:
    """The whole content of a file."""
    return await in_thread(path.read_bytes)


async def stream(path: Path, *, chunk_bytes: int = CHUNK_BYTES) -> AsyncGenerator[bytes, None]:
    """The content of a file in chunks, for what is too large to hold."""
    async with aiofiles.open(path, "rb") as file:
        while chunk := await file.read(chunk_bytes):
            yield chunk


async def copy(source: Path, to: Path, *, expected: str | None = None, mode: int = 0o600) -> str:
    """Copy a file of any size, durably, and give its SHA-256 in hexadecimal.

    With `expected`, the content is put in place only if that is its SHA-256. A copy that fails or is cancelled leaves
    nothing behind.

    Raises:
        ChecksumError: the content is not the expected one.
        AlreadyExistsError: another copy to the same place is under way.
    """
    digest = hashlib.sha256()
    part = to.with_name(f".{to.name}.part")
    with contextlib.ExitStack() as opened:
        fd = await in_thread(_open_part, part, mode, opened)
        async with contextlib.aclosing(stream(source)) as chunks:
            async for chunk in chunks:
                # Not by aiofiles: a thread that is still writing after a cancellation must not find our file closed.
                await in_thread(_append, fd, digest, chunk)
        if expected is not None and digest.hexdigest() != expected:
            raise ChecksumError(source, expected, digest.hexdigest())
        await in_thread(_put_in_place, fd, part, to)
    return digest.hexdigest()


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call `work` in a thread of the loop's executor, and wait for it even if cancelled.

    A thread cannot be interrupted, so a cancellation is passed on once it has ended; what it gave or raised is lost.
    """
    future = asyncio.get_running_loop().run_in_executor(None, functools.partial(work, *args, **kwargs))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((future,))
        if not future.cancelled():
            future.exception()  # Marks it as seen: nobody else will ask for it.
        raise


def sync(path: Path) -> None:
    """Have what a file has in it, or which names a folder has, on the disk. Blocks; raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write(path: Path, data: bytes, mode: int) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    with contextlib.ExitStack() as opened:
        fd = _open_locked(temporary, fcntl.LOCK_EX, mode, opened)
        _write_all(fd, data)
        _put_in_place(fd, temporary, path)


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _append(fd: int, digest: hashlib._Hash, chunk: bytes) -> None:
    digest.update(chunk)
    _write_all(fd, chunk)


def _open_part(part: Path, mode: int, opened: contextlib.ExitStack) -> int:
    try:
        return _open_locked(part, fcntl.LOCK_EX | fcntl.LOCK_NB, mode, opened)
    except BlockingIOError:
        raise AlreadyExistsError(str(part), f"another copy is being written to {part}") from None


def _open_locked(path: Path, how: int, mode: int, opened: contextlib.ExitStack) -> int:
    """Open the file of that name, empty, holding its lock until `opened` closes; what is not renamed is removed then.

    Whoever held the lock before may have renamed the file that we waited for: then the name is another file's, or
    nobody's, and we ask again.
    """
    while True:
        with contextlib.ExitStack() as attempt:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            attempt.callback(os.close, fd)
            fcntl.flock(fd, how)
            if _is_file_of(fd, path):
                attempt.callback(_discard, fd, path)
                os.fchmod(fd, mode)
                os.ftruncate(fd, 0)
                opened.push(attempt.pop_all())
                return fd


def _is_file_of(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except FileNotFoundError:
        return False


def _discard(fd: int, path: Path) -> None:
    if _is_file_of(fd, path):
        path.unlink(missing_ok=True)


def _put_in_place(fd: int, temporary: Path, path: Path) -> None:
    os.fsync(fd)
    temporary.replace(path)
    sync(path.parent)
