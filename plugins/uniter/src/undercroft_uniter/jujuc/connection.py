"""The server's end of one client's connection."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from undercroft.clock import alarm
from undercroft.linux.sockets import peer_uid
from undercroft_hookspecs import UndercroftError
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.wire import (
    DATA,
    ERROR,
    LARGEST_CHUNK,
    MESSAGE_HEADER,
    MORE,
    READ,
    BadRequest,
    Request,
    RequestReader,
    encode_message,
    encode_result,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from undercroft_hookspecs import Clock
    from undercroft_uniter.jujuc.command import Answer

REQUEST_SECONDS: Final = 10.0
SEND_SECONDS: Final = 30.0
LARGEST_INPUT: Final = 4 * 1024 * 1024
"""The largest file that a tool reads: the store takes 1 MiB at once, and YAML may be longer than what it says."""


@asynccontextmanager
async def deadline(clock: Clock, seconds: float) -> AsyncIterator[None]:
    """Raise TimeoutError if the block takes longer, by that clock."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as scope:
        ring = alarm(clock, seconds, lambda: scope.reschedule(loop.time()))
        try:
            yield
        finally:
            ring.cancel()


class ClientGone(UndercroftError):
    """The client went away while it was read from."""


class Connection:
    """One client, which asks one thing."""

    __slots__ = ("_clock", "_reader", "_socket", "task")

    def __init__(self, accepted: socket.socket, *, clock: Clock) -> None:
        accepted.setblocking(False)
        self._socket = accepted
        self._clock = clock
        self._reader = RequestReader()
        self.task: asyncio.Task[None]

    @property
    def length(self) -> int:
        """How long a request the client has announced."""
        return self._reader.length

    def is_allowed(self) -> bool:
        """The peer is of our user, or root."""
        return peer_uid(self._socket) in (0, os.geteuid())

    def received(self) -> Request | None:
        """The request, if it is there already, as it mostly is.

        Raises:
            BadRequest: it is none.
            OSError: the client is gone.
        """
        try:
            data = self._socket.recv(LARGEST_CHUNK)
        except (BlockingIOError, InterruptedError):
            return None
        return self._fed(data)

    async def request(self, check: Callable[[], None]) -> Request:
        """The request, once it is there; `check` is called with each piece of it, and may raise BadRequest, too.

        Raises:
            BadRequest: it is none.
            TimeoutError: it has not come in time.
            OSError: the client is gone.
        """
        loop = asyncio.get_running_loop()
        async with deadline(self._clock, REQUEST_SECONDS):
            while True:
                request = self._fed(await loop.sock_recv(self._socket, LARGEST_CHUNK))
                check()
                if request is not None:
                    return request

    def _fed(self, data: bytes) -> Request | None:
        if not data:
            raise ConnectionResetError("the client went away before it had asked for anything")
        return self._reader.feed(data)

    def is_gone(self) -> bool:
        """The client waits for its answer no longer."""
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True

    async def read(self, name: str) -> bytes:
        """The content of a file as the client sees it, or with `-` its stdin; for as long as that takes.

        Raises:
            UndercroftError: it cannot be read, or is larger than a tool takes.
            ClientGone: ... for the client is gone.
        """
        try:
            return await self._read(name)
        except (OSError, TimeoutError) as error:
            raise ClientGone(f"cannot read {_shown(name)}: {error}") from error

    async def _read(self, name: str) -> bytes:
        content = bytearray()
        await self._send(encode_message(READ, name.encode("utf-8", "surrogateescape")))
        while chunk := await self._chunk(name):
            content += chunk
            if len(content) > LARGEST_INPUT:
                raise UndercroftError(f"cannot read {_shown(name)}: it is larger than {LARGEST_INPUT} bytes")
            await self._send(encode_message(MORE))
        return bytes(content)

    async def _chunk(self, name: str) -> bytes:
        kind, length = MESSAGE_HEADER.unpack(await self._exactly(MESSAGE_HEADER.size))
        if kind not in (DATA, ERROR) or length > LARGEST_CHUNK:
            raise BadRequest("the answer is no part of a file")
        content = await self._exactly(length)
        if kind == ERROR:
            raise UndercroftError(f"cannot read {_shown(name)}: {content.decode('utf-8', 'replace')}")
        return content

    async def _exactly(self, length: int) -> bytes:
        loop = asyncio.get_running_loop()
        data = b""
        while len(data) < length:
            piece = await loop.sock_recv(self._socket, length - len(data))
            if not piece:
                raise ConnectionResetError("the client went away while it was read from")
            data += piece
        return data

    async def answer(self, answer: Answer) -> None:
        """Tell the client how its call has ended.

        Raises:
            TimeoutError: it does not take the answer.
            OSError: it is gone.
        """
        stdout, stderr, output = (
            text.encode("utf-8", "surrogateescape") for text in (answer.stdout, answer.stderr, answer.output)
        )
        await self._send(encode_result(answer.code, stdout, stderr, output))

    async def _send(self, data: bytes) -> None:
        try:
            sent = self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        if sent < len(data):
            async with deadline(self._clock, SEND_SECONDS):
                await asyncio.get_running_loop().sock_sendall(self._socket, data[sent:])

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _shown(name: str) -> str:
    return "stdin" if name == "-" else quoted(name)
