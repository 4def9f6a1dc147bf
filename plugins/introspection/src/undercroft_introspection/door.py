"""Whoever comes to one listening socket: let in, and given to the HTTP server, or told why not."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from undercroft.linux.sockets import peer_uid
from undercroft_introspection.answers import failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Self

    from undercroft_introspection.server import Server, Servers

_log = logging.getLogger(__name__)

MOST_CONNECTIONS: Final = 64
PAUSE_SECONDS: Final = 1.0
LEAVE_SECONDS: Final = 0.5


class Door:
    """Takes connections at `listener` from `async with` on, and ends them all after it.

    At a unix socket (`is_local`) the kernel is asked who connects: this user and root are let in. `load` gives the
    servers, and is asked for them when the first has been let in.
    """

    def __init__(self, listener: socket.socket, load: Callable[[], Awaitable[Servers]], *, is_local: bool) -> None:
        self._listener, self._load, self._is_local = listener, load, is_local
        self._loop = asyncio.get_running_loop()
        self._arriving: dict[asyncio.Task[None], socket.socket] = {}
        self._server: Server | None = None
        self._pause: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        """How many are connected."""
        return len(self._arriving) + (len(self._server.connections) if self._server is not None else 0)

    async def __aenter__(self) -> Self:
        """Open."""
        self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take no more, and leave those who are there; who is being answered has a moment."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener.fileno())
        arriving = dict(self._arriving)
        for task in arriving:
            task.cancel()
        await asyncio.gather(*arriving, return_exceptions=True)
        for connection in arriving.values():
            # A task that is cancelled before its first step never runs, and closes nothing.
            connection.close()
        if self._server is not None:
            await self._server.leave(LEAVE_SECONDS)

    def _open(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._on_client)

    def _on_client(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            # Out of descriptors, most likely: the client stays in the queue, and asking again at once would spin.
            _log.warning("introspection takes no clients for a moment: %s", error)
            self._loop.remove_reader(self._listener.fileno())
            self._pause = self._loop.call_later(PAUSE_SECONDS, self._open)
            return
        connection.setblocking(False)
        refusal = self._refusal(connection)
        if refusal is not None:
            _turn_away(connection, *refusal)
            return
        task = self._loop.create_task(self._admit(connection), name="introspection client")
        self._arriving[task] = connection
        task.add_done_callback(self._on_admitted)

    def _on_admitted(self, task: asyncio.Task[None]) -> None:
        self._arriving.pop(task, None)

    def _refusal(self, connection: socket.socket) -> tuple[HTTPStatus, str] | None:
        if self._is_local:
            try:
                uid = peer_uid(connection)
            except OSError as error:
                return HTTPStatus.FORBIDDEN, f"it cannot be told who connects: {error}"
            if uid not in (0, os.geteuid()):
                return HTTPStatus.FORBIDDEN, f"user {uid} may not look at an agent of user {os.geteuid()}"
        if self.connections >= MOST_CONNECTIONS:
            busy = f"{MOST_CONNECTIONS} clients are connected already; try again later"
            return HTTPStatus.SERVICE_UNAVAILABLE, busy
        return None

    async def _admit(self, connection: socket.socket) -> None:
        try:
            servers = await self._load()
            self._server = servers.local if self._is_local else servers.loopback
            await self._loop.connect_accepted_socket(self._server, connection)
        except OSError as error:
            connection.close()
            _log.debug("a client of introspection went away: %s", error)
        except ImportError as error:
            _log.error("introspection cannot answer: %s", error)
            _turn_away(connection, HTTPStatus.INTERNAL_SERVER_ERROR, f"a library is missing: {error}")
        except BaseException:
            connection.close()
            raise


def _turn_away(connection: socket.socket, status: HTTPStatus, message: str) -> None:
    """Say why, in what the kernel takes at once, and close."""
    body = failure("PermissionError" if status == HTTPStatus.FORBIDDEN else "BusyError", message)
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with connection, suppress(OSError):
        connection.send(head.encode() + body)
        connection.shutdown(socket.SHUT_WR)
