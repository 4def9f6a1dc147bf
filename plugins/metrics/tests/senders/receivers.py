"""Receivers on this machine: one that answers as it is told, and some that misbehave below HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from aiohttp import web


@dataclass
class Received:
    """A request, its body without what compressed it."""

    body: bytes
    headers: Mapping[str, str]


@dataclass
class Endpoint:
    """A receiver; `answer` makes the response to each request, 204 if there is none."""

    answer: Callable[[Received], web.Response] | None = None
    requests: list[Received] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        """Note the request, and answer it."""
        received = Received(await request.read(), dict(request.headers))
        self.requests.append(received)
        return self.answer(received) if self.answer is not None else web.Response(status=204)


@asynccontextmanager
async def endpoint(answer: Callable[[Received], web.Response] | None = None) -> AsyncIterator[Endpoint]:
    """A receiver on a free port, for as long as the block lasts."""
    found = Endpoint(answer)
    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/{tail:.*}", found.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1/metrics"
        yield found
    finally:
        await runner.cleanup()


def status(code: int, text: str = "", **headers: str) -> Callable[[Received], web.Response]:
    """An answer that is always the same."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _: web.Response(status=code, text=text, headers=named)


Misbehaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"


async def hangs_after_headers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say that an answer follows, and send none."""
    writer.write(_HEAD)
    await writer.drain()
    await asyncio.Event().wait()


async def says_nothing(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Take the request, and never answer."""
    await asyncio.Event().wait()


async def closes_half_way(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break off within the answer."""
    writer.write(_HEAD + b'{"accep')
    await writer.drain()


async def closes_at_once(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Hang up without an answer."""


async def resets(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    writer.write(_HEAD)
    writer.transport.abort()


async def is_slow(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a byte every now and then."""
    writer.write(_HEAD)
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def floods(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Never end the answer."""
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        writer.write(b" " * 65536)
        await writer.drain()


async def speaks_no_http(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer as another protocol would."""
    writer.write(b"\x00\x01SSH-2.0-x\r\n\r\n")
    await writer.drain()


@asynccontextmanager
async def misbehaving(how: Misbehaviour) -> AsyncIterator[str]:
    """The URL of a receiver that reads a request's head and then does this."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                await reader.readuntil(b"\r\n\r\n")
                await how(reader, writer)
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
