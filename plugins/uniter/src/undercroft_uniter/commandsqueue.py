"""Commands from this machine: what `juju-exec` sends to a unit's run.socket, and what it is answered.

A request is one JSON object in a line, the answer another; then the connection is closed. The answer is handed over
before the unit's agent goes on: not even a reboot loses it. Only root and the agent's own user are heard.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from undercroft.files import in_thread
from undercroft.linux.sockets import peer_uid
from undercroft_hookspecs import NotFoundError
from undercroft_uniter.jujuc.listening import listen, remove
from undercroft_uniter.seams import Commands, CommandsEnding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

MOST_BYTES = 1024 * 1024
REQUEST_SECONDS = 10.0
ANSWER_SECONDS = 10.0

_log = logging.getLogger(__name__)


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked for."""

    commands: str
    relation: int | None = None
    remote_unit: str = ""
    force_remote_unit: bool = False


class Answer(msgspec.Struct, frozen=True):
    """How it went; `failure` says why the commands could not be run."""

    returncode: int
    stdout: bytes = b""
    stderr: bytes = b""
    failure: str = ""


class _Waiting:
    """Somebody who waits for commands to be run."""

    def __init__(self, commands: Commands) -> None:
        self.commands = commands
        self.ending: asyncio.Future[CommandsEnding] = asyncio.get_running_loop().create_future()


class SocketCommands:
    """The seam `CommandsQueue`; it listens at `path` from `async with` on. When it ends, all who wait are told."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: dict[int, _Waiting] = {}
        self._last = 0
        self._notify: Callable[[], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading: set[asyncio.Task[object] | None] = set()
        self._server: asyncio.Server | None = None
        self._inode = 0

    def numbers(self) -> tuple[int, ...]:
        """Those that wait, the oldest first."""
        return tuple(self._waiting)

    def get(self, number: int) -> Commands:
        """One of them. Raises NotFoundError: nobody waits for it any more."""
        waiting = self._waiting.get(number)
        if waiting is None:
            raise NotFoundError(str(number), f"nobody waits for the commands {number} any more")
        return waiting.commands

    def answer(self, number: int, ending: CommandsEnding) -> None:
        """Tell who waits; nothing if nobody does any more."""
        waiting = self._waiting.pop(number, None)
        if waiting is not None and not waiting.ending.done():
            waiting.ending.set_result(ending)

    def on_change(self, notify: Callable[[], None]) -> None:
        """Call `notify` whenever there are new ones; whoever asked for that before is told no longer."""
        self._notify = notify

    async def __aenter__(self) -> Self:
        """Listen. Raises OSError where the socket cannot be made; a left-over one is replaced."""
        listener, self._inode = await in_thread(listen, self._path)
        try:
            self._server = await asyncio.start_unix_server(self._on_client, sock=listener, limit=MOST_BYTES)
        except BaseException:
            listener.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take no more requests, and tell all who wait that nothing comes of theirs."""
        if self._server is not None:
            self._server.close()
        for number in list(self._waiting):
            self.answer(number, CommandsEnding(returncode=1, failure="command execution aborted"))
        for task in self._reading:
            if task is not None:
                task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await in_thread(remove, self._path, self._inode)

    def _on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(
            self._serve(reader, writer), name=f"commands at {self._path.name}"
        )
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._answer(reader, writer)
            if answer is not None:
                writer.write(msgspec.json.encode(answer) + b"\n")
                async with asyncio.timeout(ANSWER_SECONDS):
                    await writer.drain()
        except (OSError, TimeoutError) as error:
            _log.debug("somebody at %s was not answered: %s", self._path, error)
        finally:
            writer.close()
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer | None:
        if not _may_ask(writer.get_extra_info("socket")):
            return Answer(returncode=1, failure="only root and the agent's own user may run commands in a unit")
        try:
            line = await self._line(reader)
            request = msgspec.json.decode(line, type=Request)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            return Answer(returncode=1, failure="the request is not whole, or too long")
        except msgspec.DecodeError as error:
            return Answer(returncode=1, failure=f"the request is not understood: {error}")
        return await self._wait(request, reader)

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        """The request, for which nobody waits when this is to end."""
        task = asyncio.current_task()
        self._reading.add(task)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                return await reader.readuntil(b"\n")
        finally:
            self._reading.discard(task)

    async def _wait(self, request: Request, reader: asyncio.StreamReader) -> Answer | None:
        """Have the commands run; nothing is answered to who does not wait for it."""
        self._last += 1
        number = self._last
        waiting = self._waiting[number] = _Waiting(
            Commands(
                text=request.commands,
                relation=request.relation,
                remote_unit=request.remote_unit,
                force_remote_unit=request.force_remote_unit,
            )
        )
        if self._notify is not None:
            self._notify()
        gone = asyncio.get_running_loop().create_task(reader.read(1), name="who waits for commands")
        try:
            await asyncio.wait((waiting.ending, gone), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.ending.done():
                return None
            ending = waiting.ending.result()
            return Answer(ending.returncode, ending.stdout, ending.stderr, ending.failure)
        finally:
            self._waiting.pop(number, None)
            waiting.ending.cancel()
            gone.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await gone


def _may_ask(peer: socket.socket) -> bool:
    return peer_uid(peer) in (0, os.geteuid())
