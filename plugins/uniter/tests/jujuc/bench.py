"""A server with a few tools in a context, and clients of it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from undercroft.clock import SystemClock
from undercroft.process import SystemProcess
from undercroft.testing import FakeClock
from undercroft_hookspecs import Completed, NotInContextError, UndercroftError
from undercroft_hookspecs.hook_tools import Flag, HookContext, HookTool, ToolCall, ToolUsageError
from undercroft_uniter.jujuc.server import ToolServer, new_context_id
from undercroft_uniter.jujuc.tools.tool import Tool
from undercroft_uniter.jujuc.wire import Request, encode_request

T = TypeVar("T")

PATIENCE = 30.0


@dataclass
class FakeContext:
    """A hook that has nothing."""

    id: str = field(default_factory=lambda: new_context_id("shop/0", "start"))
    unit: str = "shop/0"
    hook: str = "start"

    def get(self, kind: type[T]) -> T:
        raise NotInContextError(f"there is no {kind.__name__} here")


class Tools:
    """The tools of a context; `journal` has what they did, `gate` is what `wait` waits for."""

    def __init__(self) -> None:
        self.journal: list[str] = []
        self.begun = asyncio.Event()
        self.gate = asyncio.Event()
        self.is_stubborn = False

    def mapping(self) -> Mapping[str, HookTool]:
        """By name."""
        file = Flag(names=("file",), value="file", summary="what to read")
        tools = (
            Tool(name="say", summary="say it", work=self._say, arity=(0, None), formats=("smart", "json", "yaml")),
            Tool(name="cat", summary="read it", work=self._cat, options=(file,), arity=(0, None)),
            Tool(name="where", summary="the folder", work=self._where),
            Tool(name="wait", summary="wait", work=self._wait, arity=(0, 1)),
            Tool(name="warn", summary="warn", work=self._warn),
            Tool(name="fail", summary="fail", work=self._fail),
            Tool(name="misuse", summary="be misused", work=self._misuse),
            Tool(name="broken", summary="be broken", work=self._broken),
        )
        return {tool.name: tool for tool in tools}

    async def _say(self, context: HookContext, call: ToolCall) -> object:
        self.journal.append(f"say {' '.join(call.arguments)}".strip())
        return " ".join(call.arguments)

    async def _cat(self, context: HookContext, call: ToolCall) -> object:
        self.begun.set()
        content = await call.read(call.values.get("file", "-"))
        self.journal.append(f"cat {len(content)}")
        return content.decode()

    async def _where(self, context: HookContext, call: ToolCall) -> object:
        return str(call.folder)

    async def _wait(self, context: HookContext, call: ToolCall) -> object:
        name = " ".join(call.arguments)
        self.journal.append(f"begin {name}".strip())
        self.begun.set()
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.journal.append("cancelled")
            if not self.is_stubborn:
                raise
            await self.gate.wait()
        self.journal.append(f"end {name}".strip())
        return None

    async def _warn(self, context: HookContext, call: ToolCall) -> object:
        call.warn("careful")
        return "done\n"

    async def _fail(self, context: HookContext, call: ToolCall) -> object:
        raise UndercroftError("it went wrong")

    async def _misuse(self, context: HookContext, call: ToolCall) -> object:
        raise ToolUsageError("not like that")

    async def _broken(self, context: HookContext, call: ToolCall) -> object:
        raise ValueError("a mistake of its author")


class Bench:
    """A server that serves one context."""

    def __init__(self, server: ToolServer, context: FakeContext, tools: Tools, folder: Path) -> None:
        self.server = server
        self.context = context
        self.tools = tools
        self.folder = folder
        """Where the clients are."""

    @property
    def journal(self) -> list[str]:
        """What the tools did."""
        return self.tools.journal

    @property
    def path(self) -> Path:
        """The socket."""
        return Path(self.server.environment()["JUJU_AGENT_SOCKET_ADDRESS"])

    def environment(self, **changes: str) -> dict[str, str]:
        """The hook's environment; an empty change takes a variable away."""
        whole = {"JUJU_CONTEXT_ID": self.context.id, **self.server.environment(), **changes}
        return {name: value for name, value in whole.items() if value}

    async def run(
        self,
        name: str,
        *arguments: str,
        stdin: bytes = b"",
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run a client to its end."""
        return await SystemProcess().run(
            [str(self.folder / name), *arguments],
            timeout=PATIENCE,
            check=False,
            stdin=stdin,
            env=self.environment() if environment is None else environment,
            cwd=cwd,
        )

    def request(self, tool: str, *arguments: str, context: str | None = None) -> bytes:
        """What a client would send."""
        return encode_request(Request(self.context.id if context is None else context, tool, "/", arguments))


@asynccontextmanager
async def benched(
    socket_path: Path, folder: Path, *, clock: FakeClock | SystemClock | None = None
) -> AsyncIterator[Bench]:
    """A server that serves one context, with the clients in `folder`."""
    context, tools = FakeContext(), Tools()
    async with (
        ToolServer(socket_path, clock=clock or SystemClock()) as server,
        server.serving(context, tools.mapping()),
    ):
        yield Bench(server, context, tools, folder)


class Raw:
    """A client that sends what it likes."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        self._path = path

    async def __aenter__(self) -> Self:
        await asyncio.get_running_loop().sock_connect(self.socket, os.fspath(self._path))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.socket.close()

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def receive(self) -> bytes:
        """All that comes before the server hangs up, or does so with an error."""
        loop = asyncio.get_running_loop()
        data = b""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    piece = await loop.sock_recv(self.socket, 65536)
                except ConnectionResetError:
                    return data
                if not piece:
                    return data
                data += piece


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.001)


async def within(awaited: Awaitable[T]) -> T:
    """Wait for it, but not for ever."""
    async with asyncio.timeout(PATIENCE):
        return await awaited
