"""The HTTP servers: aiohttp's, told how much one client may take, and which requests are not served.

What takes long to import is imported here; the worker imports this module late.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from typing import TYPE_CHECKING, Final

from aiohttp import web

from undercroft_introspection.answers import Answer, Desk, refused
from undercroft_introspection.exposition import Exposition
from undercroft_introspection.pages import page

if TYPE_CHECKING:
    from undercroft_hookspecs import Control, Samples

_log = logging.getLogger(__name__)

IDLE_SECONDS: Final = 30.0
"""For how long a client may be connected without having sent a whole head."""
ANSWER_SECONDS: Final = 10.0
SEND_SECONDS: Final = 30.0
LONGEST_LINE: Final = 8190
MOST_HEADERS: Final = 64

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "undercroft",
    "X-Content-Type-Options": "nosniff",
}


class Server(web.Server):
    """Serves one desk, to requests that name this machine as their host.

    A page elsewhere could have its name resolved to this machine, and be taken by a browser for the origin of what
    is here; the header Host then still has that name. That holds for the unix socket too: a port may lead to it.
    """

    def __init__(self, desk: Desk) -> None:
        super().__init__(self._handle)
        self._desk = desk

    def __call__(self) -> web.RequestHandler:
        """The protocol of one connection."""
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # It is what turns it off, which the annotation forgets.
            keepalive_timeout=IDLE_SECONDS,
            max_line_size=LONGEST_LINE,
            max_field_size=LONGEST_LINE,
            max_headers=MOST_HEADERS,
            # Nothing here takes a body: who sends one does not get to finish it.
            lingering_time=0.0,
        )

    async def leave(self, seconds: float) -> None:
        """End all connections; who is being answered has this long."""
        transports = [connection.transport for connection in self.connections]
        await self.shutdown(seconds)
        for transport in transports:
            if transport is not None:
                # Not close(): a client that reads nothing is not waited for.
                transport.abort()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = self._refusal(request)
                if answer is None:
                    answer = await self._desk.answer(request.raw_path, request.headers.get("Accept", ""))
        except TimeoutError:
            answer = refused(504, "TimeoutError", f"the agent has not answered within {ANSWER_SECONDS:g} seconds")
        response = _response(answer)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
        except ConnectionError as error:
            _log.debug("a client of introspection went away: %s", error)
        # Of a response that could not be sent aiohttp finds that out for itself, and leaves.
        return response

    def _refusal(self, request: web.BaseRequest) -> Answer | None:
        if request.method != "GET":
            return refused(405, "NotValidError", "only GET is served: nothing is changed from here", Allow="GET")
        if not request.raw_path.startswith("/"):
            return refused(400, "NotValidError", "the target is not a path")
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or not is_loopback(hosts[0]):
            message = "the header Host has to be localhost or a loopback address: ask by that"
            return refused(421, "NotValidError", message)
        return None


class Servers:
    """A server for the unix socket, and one for the loopback address, whose clients take no place there."""

    def __init__(self, control: Control, samples: Samples) -> None:
        desk = Desk(control, metrics=Exposition(samples).answer, page=page())
        self.local, self.loopback = Server(desk), Server(desk)


class _Connection(web.RequestHandler):
    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if isinstance(transport, asyncio.WriteTransport):
            # What is sent counts as sent once the kernel has it: else who reads nothing is never found out.
            transport.set_write_buffer_limits(high=0)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what could not be read, or has failed, like everything else; why it failed is for the log alone."""
        if status >= 500:
            _log.error("a request to introspection failed", exc_info=exc)
            answer = refused(status, "InternalError", "the request failed; the agent's log says why")
        else:
            _log.debug("a request to introspection is none: %s", message)
            answer = refused(status, "NotValidError", "this is not an HTTP request, or one with too much in its head")
        response = _response(answer)
        response.force_close()
        return response


def is_loopback(host: str) -> bool:
    """Whether a header Host names this machine in a way that no name server has a say in; any port will do."""
    name, _, port = host.rpartition(":")
    if not port.isdecimal() or not name:
        name = host
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _response(answer: Answer) -> web.Response:
    headers = {**_HEADERS, **answer.headers, "Content-Type": answer.kind}
    return web.Response(body=answer.body, status=answer.status, headers=headers)
