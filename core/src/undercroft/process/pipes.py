"""The pipes of a child, read and written on the loop."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from typing import IO

CHUNK_BYTES = 256 * 1024


class Output:
    """What a child writes to one pipe, kept as it comes, up to a limit."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, pipe: IO[bytes], limit: int, changed: Callable[[], None]
    ) -> None:
        self._loop, self._pipe, self._limit, self._changed = loop, pipe, limit, changed
        self._chunks: list[bytes] = []
        self._size = 0
        self.is_closed = False
        os.set_blocking(pipe.fileno(), False)
        loop.add_reader(pipe.fileno(), self._on_readable)

    @property
    def is_overfull(self) -> bool:
        """More has come than is kept."""
        return self._size > self._limit

    def data(self) -> bytes:
        """What has come so far."""
        return b"".join(self._chunks)

    def close(self) -> None:
        """Take what is in the pipe at this moment, and close it."""
        if not self.is_closed:
            self._on_readable()
        self._close()

    def _on_readable(self) -> None:
        try:
            chunk = os.read(self._pipe.fileno(), CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        self._size += len(chunk)
        if chunk and not self.is_overfull:
            self._chunks.append(chunk)
        else:
            self._close()
            self._changed()

    def _close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()


class Input:
    """What a child is given to read: written as fast as it reads, then closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pipe: IO[bytes], data: bytes) -> None:
        self._loop, self._pipe, self._rest = loop, pipe, memoryview(data)
        self._is_closed = False
        os.set_blocking(pipe.fileno(), False)
        loop.add_writer(pipe.fileno(), self._on_writable)

    def close(self) -> None:
        """Close the pipe, also if there is something left to write."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_writer(self._pipe.fileno())
            self._pipe.close()

    def _on_writable(self) -> None:
        try:
            written = os.write(self._pipe.fileno(), self._rest[:CHUNK_BYTES])
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            # A child that does not read its input, or has ended, is no error: its exit status says how it went.
            self.close()
            return
        self._rest = self._rest[written:]
        if not self._rest:
            self.close()
