"""The server of a unit's hook tools: a socket that the clients in the charm's hooks ask to run them.

A call names its context by an id that only that hook's environment has. In one context one tool runs at a time, the
others wait in the order in which they came; contexts are served side by side. A tool that reads a file, or what is
piped into it, lets the others go on while it waits for that: in `config-get x | relation-set --file -` the second
waits for the first.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, Self

from undercroft.clock import alarm
from undercroft.files import in_thread
from undercroft_hookspecs import AlreadyExistsError
from undercroft_uniter.jujuc.command import Answer, refused
from undercroft_uniter.jujuc.connection import REQUEST_SECONDS, Connection
from undercroft_uniter.jujuc.listening import listen, remove
from undercroft_uniter.jujuc.serving import Serving
from undercroft_uniter.jujuc.wire import LARGEST_CHUNK, BadRequest

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from undercroft.clock import Alarm
    from undercroft_hookspecs import Clock
    from undercroft_hookspecs.hook_tools import HookContext, HookTool
    from undercroft_uniter.jujuc.wire import Request

_log = logging.getLogger(__name__)

MOST_CLIENTS: Final = 256
MOST_BYTES: Final = 64 * 1024 * 1024
"""How much the requests of all clients together may be."""
PAUSE_SECONDS: Final = 1.0


def new_context_id(unit: str, hook: str) -> str:
    """An id for a context, which nobody can guess."""
    return f"{unit}-{hook}-{secrets.token_hex(16)}"


class ToolServer:
    """Answers hook tools on the socket `path` from `async with` on."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._contexts: dict[str, Serving] = {}
        self._clients: set[Connection] = set()
        # Those whose request is not whole yet, the oldest first.
        self._asking: dict[Connection, None] = {}
        self._listener: socket.socket | None = None
        self._inode = 0
        self._loop: asyncio.AbstractEventLoop
        self._is_accepting = False
        self._pause: Alarm | None = None

    def environment(self) -> Mapping[str, str]:
        """What tells the clients in a hook's environment where to ask, besides JUJU_CONTEXT_ID."""
        return {"JUJU_AGENT_SOCKET_ADDRESS": str(self._path), "JUJU_AGENT_SOCKET_NETWORK": "unix"}

    @asynccontextmanager
    async def serving(self, context: HookContext, tools: Mapping[str, HookTool]) -> AsyncIterator[None]:
        """Answer the calls from one hook while the block runs.

        With its end no more calls are taken, those that wait are refused, and the one under way is ended, after a short
        time to end by itself: then none of them changes anything in the context any more.

        Raises:
            AlreadyExistsError: the context is being served already.
        """
        if context.id in self._contexts:
            raise AlreadyExistsError(context.hook, f"the context of {context.hook} is being served already")
        serving = self._contexts[context.id] = Serving(context, tools, clock=self._clock)
        try:
            yield
        finally:
            del self._contexts[context.id]
            await serving.end()

    async def __aenter__(self) -> Self:
        """Listen. Raises OSError where the socket cannot be made; a left-over one is replaced."""
        self._loop = asyncio.get_running_loop()
        self._listener, self._inode = await in_thread(listen, self._path)
        self._accept()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take no more clients, and end all calls."""
        listener = self._listener
        self._listener = None
        if listener is None:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._stop_accepting(listener)
        listener.close()
        tasks = [client.task for client in self._clients]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # A task that is cancelled before its first step never runs, and closes nothing.
        for client in list(self._clients):
            self._leave(client)
        await in_thread(remove, self._path, self._inode)

    def _accept(self) -> None:
        if self._listener is not None and not self._is_accepting:
            self._loop.add_reader(self._listener.fileno(), self._on_client, self._listener)
            self._is_accepting = True

    def _stop_accepting(self, listener: socket.socket) -> None:
        if self._is_accepting:
            self._loop.remove_reader(listener.fileno())
            self._is_accepting = False

    def _on_client(self, listener: socket.socket) -> None:
        if len(self._clients) >= MOST_CLIENTS and not self._has_made_room():
            # The others wait in the listener's queue until one leaves.
            self._stop_accepting(listener)
            return
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            # Out of descriptors, most likely: the client stays in the queue, and asking again at once would spin.
            _log.warning("the hook tools at %s take no calls for a moment: %s", self._path, error)
            self._stop_accepting(listener)
            self._pause = alarm(self._clock, PAUSE_SECONDS, self._accept)
            return
        self._take(Connection(accepted, clock=self._clock))

    def _has_made_room(self) -> bool:
        """Hang up on who has been connected for longest without having asked for anything."""
        for client in self._asking:
            client.task.cancel()
            del self._asking[client]
            return True
        return False

    def _take(self, client: Connection) -> None:
        self._clients.add(client)
        try:
            asked = client.received() if client.is_allowed() else refused("only the agent's user may call hook tools")
            if client.length > LARGEST_CHUNK:
                self._check_bytes()
        except BadRequest as error:
            asked = refused(error)
        except OSError as error:
            _log.debug("a client of %s was lost: %s", self._path, error)
            self._leave(client)
            return
        client.task = self._loop.create_task(self._serve(client, asked), name="hook tool")

    async def _serve(self, client: Connection, asked: Request | Answer | None) -> None:
        try:
            await client.answer(await self._answer(client, asked))
        except (OSError, TimeoutError) as error:
            _log.debug("a client of %s was lost: %s", self._path, error)
        finally:
            self._leave(client)

    async def _answer(self, client: Connection, asked: Request | Answer | None) -> Answer:
        if isinstance(asked, Answer):
            return asked
        try:
            request = await self._rest(client) if asked is None else asked
        except BadRequest as error:
            return refused(error)
        except TimeoutError:
            return refused(f"no whole request came within {REQUEST_SECONDS:.0f} s")
        serving = self._contexts.get(request.context)
        if serving is None:
            # The id of another is not repeated: it opens that context.
            return refused(f"no hook of this JUJU_CONTEXT_ID is running; {request.tool} works in a hook, while it runs")
        return await serving.call(request, client)

    async def _rest(self, client: Connection) -> Request:
        self._asking[client] = None
        try:
            return await client.request(self._check_bytes)
        finally:
            self._asking.pop(client, None)

    def _check_bytes(self) -> None:
        if sum(client.length for client in self._clients) > MOST_BYTES:
            raise BadRequest("too much is being asked at once; try again later")

    def _leave(self, client: Connection) -> None:
        client.close()
        self._clients.discard(client)
        self._accept()
