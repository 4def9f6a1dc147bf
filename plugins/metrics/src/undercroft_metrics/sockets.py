"""A unix socket for one question a connection: who connects is answered one line, and let go."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from undercroft.files import in_thread
from undercroft.linux.sockets import short

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from undercroft_hookspecs import Clock

    Handler = Callable[[bytes], Awaitable[bytes]]

_log = logging.getLogger(__name__)

REQUEST_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 3.0
PAUSE_SECONDS: Final = 1.0
MOST_CLIENTS: Final = 64
_LONGEST_REQUEST: Final = 1 << 20


@asynccontextmanager
async def serving(path: Path, handler: Handler, *, asks: bool, clock: Clock) -> AsyncIterator[None]:
    """Answer who connects to `path` with what `handler` gives, while the block runs.

    With `asks`, a client sends a line first, which the handler is given; without, it need send nothing. Only this user
    and root are heard. A socket that is there is a dead agent's, and is replaced.

    Raises:
        OSError: the socket cannot be made.
    """
    clients: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    with ExitStack() as opened:
        # What the thread has opened is closed even if this is cancelled while it does.
        listener = await in_thread(_listen, path, opened)
        accepting = loop.create_task(_accept(listener, clients, handler, asks=asks, clock=clock), name=path.name)
        try:
            yield
        finally:
            accepting.cancel()
            for task in clients:
                task.cancel()
            await asyncio.gather(accepting, *clients, return_exceptions=True)


async def ask(path: Path, request: bytes) -> bytes:
    """What the server at `path` answers.

    Raises:
        OSError: nobody listens there, or nothing was answered.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    loop = asyncio.get_running_loop()
    with connection:
        with short(path) as address:
            connection.connect(address)
        await loop.sock_sendall(connection, request)
        answer = b""
        while not answer.endswith(b"\n") and (chunk := await loop.sock_recv(connection, 65536)):
            answer += chunk
    if not answer.endswith(b"\n"):
        raise ConnectionAbortedError(f"the agent closed {path} before it had answered")
    return answer


async def _accept(
    listener: socket.socket, clients: set[asyncio.Task[None]], handler: Handler, *, asks: bool, clock: Clock
) -> None:
    loop = asyncio.get_running_loop()
    while True:
        try:
            connection, _ = await loop.sock_accept(listener)
        except OSError as error:
            # Out of descriptors, most likely: the client stays in the queue, and asking again at once would spin.
            _log.warning("a socket takes no clients for a moment: %s", error)
            await clock.sleep(PAUSE_SECONDS)
            continue
        if len(clients) >= MOST_CLIENTS:
            connection.close()
            continue
        task = loop.create_task(_serve(connection, handler, asks=asks), name="client")
        clients.add(task)
        task.add_done_callback(clients.discard)
        task.add_done_callback(partial(_close, connection))  # Also of one that never ran.


def _close(connection: socket.socket, _: object) -> None:
    connection.close()


async def _serve(connection: socket.socket, handler: Handler, *, asks: bool) -> None:
    loop = asyncio.get_running_loop()
    connection.setblocking(False)
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            request = await _line(connection) if asks else b""
        answer = await handler(request)
        async with asyncio.timeout(ANSWER_SECONDS):
            await loop.sock_sendall(connection, answer)
    except (OSError, TimeoutError) as error:
        _log.debug("a client was not answered: %s", error)


async def _line(connection: socket.socket) -> bytes:
    loop, request = asyncio.get_running_loop(), b""
    while not request.endswith(b"\n") and len(request) < _LONGEST_REQUEST:
        chunk = await loop.sock_recv(connection, 65536)
        if not chunk:
            break
        request += chunk
    return request


def _listen(path: Path, opened: ExitStack) -> socket.socket:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(f"{path} is in the place of a socket, and is none; move it away")
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    opened.callback(listener.close)
    # Linux gives the file the mode of the unbound socket, so that it is never open to others, not for a moment.
    os.fchmod(listener.fileno(), 0o600)
    with short(path) as address:
        listener.bind(address)
    opened.callback(_remove, path, path.stat().st_ino)
    listener.listen(128)
    return listener


def _remove(path: Path, inode: int) -> None:
    with suppress(OSError):
        if path.lstat().st_ino == inode:
            path.unlink()
