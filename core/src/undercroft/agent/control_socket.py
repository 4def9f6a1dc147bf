"""The control socket: one JSON request a line, one JSON answer a line, for this user and root alone."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from undercroft.agent.address import SOCKET
from undercroft.agent.control import failure
from undercroft.agent.host import DataFolderError
from undercroft.agent.plain import text
from undercroft.linux.sockets import peer_uid, short

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from undercroft_hookspecs import Control

_log = logging.getLogger(__name__)

LONGEST_REQUEST = 64 * 1024
MOST_CLIENTS = 64
IDLE_SECONDS = 300.0
SEND_SECONDS = 30.0
PAUSE_SECONDS = 1.0


@asynccontextmanager
async def serve(
    control: Control, data_dir: Path, *, idle_seconds: float = IDLE_SECONDS, send_seconds: float = SEND_SECONDS
) -> AsyncIterator[None]:
    """Serve `control` on `<data_dir>/agent.sock` while the block runs.

    Call it with the data folder's lock held: whatever socket is there already is then a dead agent's, and is replaced.

    Raises:
        DataFolderError: the socket cannot be made.
    """
    path = data_dir / SOCKET
    try:
        listener = _listen(path)
        inode = path.stat().st_ino
    except OSError as error:
        raise DataFolderError(path, f"the control socket cannot be made: {error.strerror or error}") from error
    reception = _Reception(control, listener, idle_seconds=idle_seconds, send_seconds=send_seconds)
    try:
        yield
    finally:
        await reception.close()
        _remove(path, inode)


class _Reception:
    """Accepts clients, and holds every one's conversation in a task that it owns.

    asyncio's own server is not used: a connection that is accepted as it closes is nobody's there.
    """

    def __init__(self, control: Control, listener: socket.socket, *, idle_seconds: float, send_seconds: float) -> None:
        self._control, self._listener = control, listener
        self._idle_seconds, self._send_seconds = idle_seconds, send_seconds
        self._clients: set[asyncio.Task[None]] = set()
        self._unserved: set[socket.socket] = set()
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._open()

    def _open(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._on_client)

    def _on_client(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            # Out of descriptors, most likely: the client stays in the queue, and asking again at once would spin.
            _log.warning("the control socket takes no clients for a moment: %s", error)
            self._loop.remove_reader(self._listener.fileno())
            self._pause = self._loop.call_later(PAUSE_SECONDS, self._open)
            return
        self._unserved.add(connection)
        task = self._loop.create_task(self._serve(connection), name="control client")
        self._clients.add(task)
        task.add_done_callback(self._clients.discard)

    async def _serve(self, connection: socket.socket) -> None:
        self._unserved.discard(connection)
        try:
            connection.setblocking(False)
            reader, writer = await asyncio.open_unix_connection(sock=connection, limit=LONGEST_REQUEST)
        except BaseException:
            connection.close()
            raise
        # So that drain() waits until all is in the kernel's hands, and the abort below cuts nothing off.
        writer.transport.set_write_buffer_limits(high=0)
        try:
            refusal = self._refusal(connection)
            if refusal is not None:
                await self._send(writer, failure("PermissionError", refusal))
                return
            await self._converse(reader, writer)
        except (OSError, TimeoutError) as error:
            _log.debug("a client of the control socket went away: %s", text(error))
        finally:
            # Not close(): a client that reads nothing is not waited for.
            writer.transport.abort()

    async def close(self) -> None:
        """Take no more clients, and end all conversations."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener.fileno())
        self._listener.close()
        clients = list(self._clients)
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        # A task that is cancelled before its first step never runs, and closes nothing.
        for connection in self._unserved:
            connection.close()

    def _refusal(self, connection: socket.socket) -> str | None:
        if len(self._clients) > MOST_CLIENTS:
            return f"{MOST_CLIENTS} clients are connected already; try again later"
        uid = peer_uid(connection)
        if uid not in (0, os.geteuid()):
            return f"user {uid} may not control an agent of user {os.geteuid()}"
        return None

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                async with asyncio.timeout(self._idle_seconds):
                    line = await reader.readline()
            except ValueError:
                # The rest of an overlong line cannot be told from the next request, so the conversation ends.
                await self._send(writer, failure("NotValidError", f"a request is longer than {LONGEST_REQUEST} bytes"))
                return
            if not line.endswith(b"\n"):
                return
            await self._send(writer, await self._answer(line))

    async def _answer(self, line: bytes) -> object:
        try:
            request = msgspec.json.decode(line, type=dict[str, object])
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
            return failure("NotValidError", f"a request is one JSON object a line: {text(error)}")
        return await self._control.ask(request)

    async def _send(self, writer: asyncio.StreamWriter, answer: object) -> None:
        writer.write(msgspec.json.encode(answer) + b"\n")
        async with asyncio.timeout(self._send_seconds):
            await writer.drain()


def _listen(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        # Linux gives the file the mode of the unbound socket, so that it is never open to others, not for a moment.
        os.fchmod(listener.fileno(), 0o600)
        with short(path) as address:
            listener.bind(address)
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


def _remove(path: Path, inode: int) -> None:
    try:
        # Only one's own: after a forced stop another agent may have put its socket there already.
        if path.stat().st_ino == inode:
            path.unlink()
    except OSError as error:
        _log.debug("%s was not removed: %s", path, error)
