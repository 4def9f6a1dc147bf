"""gRPC: one connection to one member, and the calls and streams on it. The only module that knows of gRPC.

It is imported by `opening` once its environment is set, and takes and gives bytes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakSet

import grpc
import grpc.aio

from undercroft_etcd.faults import Fault

if TYPE_CHECKING:
    from types import TracebackType

    from undercroft_etcd.address import Endpoint

Headers: TypeAlias = grpc.aio.Metadata

CONNECT_SECONDS = 3.0
"""How long one member may take to be connected to before it counts as away."""

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Each batch of data is answered with a ping that measures the line. As long as one is out, no keepalive is sent, so
    # that a member which falls silent just then would be noticed after the minute that such a ping has otherwise.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    # etcd hangs up on those who send pings on a connection without a call.
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", int(CONNECT_SECONDS * 1000)),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # What is tried again, and when, is for the caller to say: only it knows which calls can be repeated.
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    # Stores in one process share no connection, which belongs to one loop.
    ("grpc.use_local_subchannel_pool", 1),
)
_PROBE = "/undercroft.Nothing/AtAll"


def is_ending_calls() -> bool:
    """Whether a call or stream that was cancelled, or goes on, still has a task of gRPC's own on this loop."""
    names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return any(name.startswith("_AioCall.") for name in names)


class Credentials:
    """Certificates, read and ready for any number of connections."""

    def __init__(self, *, ca: bytes | None, cert: bytes | None, key: bytes | None) -> None:
        self.channel = grpc.ssl_channel_credentials(root_certificates=ca, private_key=key, certificate_chain=cert)


class Connection:
    """A connection to one member, which is made when it is first needed and comes back by itself."""

    def __init__(self, endpoint: Endpoint, credentials: Credentials | None) -> None:
        self.endpoint = endpoint
        if credentials is None:
            self._channel = grpc.aio.insecure_channel(endpoint.target, options=_OPTIONS)
        else:
            self._channel = grpc.aio.secure_channel(endpoint.target, credentials.channel, options=_OPTIONS)
        self._streams: WeakSet[Stream] = WeakSet()
        self._methods: dict[str, grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]] = {}

    @property
    def is_ready(self) -> bool:
        """Whether there is a connection; if not, one is begun."""
        return self._state() is grpc.ChannelConnectivity.READY

    async def ready(self) -> None:
        """Connect, unless that has been done.

        Raises:
            Fault: the member cannot be reached, or not in time; nothing was sent.
        """
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._settled()
        except TimeoutError:
            why = f"{self.endpoint} did not answer within {CONNECT_SECONDS:g} s"
            raise Fault("DEADLINE_EXCEEDED", why, is_sent=False) from None
        if not self.is_ready:
            raise Fault("UNAVAILABLE", await self._why_not(), is_sent=False)

    async def call(self, path: str, request: bytes, *, timeout: float, headers: Headers) -> bytes:
        """Make one call.

        Raises:
            Fault: it failed, or there was no answer in time.
        """
        with _Faults():
            if (method := self._methods.get(path)) is None:
                method = self._methods[path] = self._channel.unary_unary(path)
            return await method(request, timeout=timeout, metadata=headers)

    def stream(self, path: str, *, timeout: float | None, headers: Headers) -> Stream:
        """Open a stream in both directions."""
        method: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = self._channel.stream_stream(path)
        with _Faults():
            stream = Stream(method(timeout=timeout, metadata=headers))
        self._streams.add(stream)
        return stream

    def break_off(self) -> None:
        """End all streams: who has one goes elsewhere at once, and not when the keepalive has found out."""
        for stream in tuple(self._streams):
            stream.cancel()

    async def close(self) -> None:
        """Hang up; calls and streams under way fail."""
        await self._channel.close()

    def _state(self) -> grpc.ChannelConnectivity:
        with _Faults():
            return self._channel.get_state(try_to_connect=True)

    async def _settled(self) -> None:
        waiting = (grpc.ChannelConnectivity.IDLE, grpc.ChannelConnectivity.CONNECTING)
        while (state := self._state()) in waiting:
            with _Faults():
                await self._channel.wait_for_state_change(state)

    async def _why_not(self) -> str:
        """Why there is no connection: gRPC tells it only to a call, so one is made that no member understands."""
        try:
            await self.call(_PROBE, b"", timeout=CONNECT_SECONDS, headers=grpc.aio.Metadata())
        except Fault as fault:
            if fault.code == "UNAVAILABLE":
                return f"{self.endpoint}: {fault.details.rpartition('last error: ')[2]}"
        return f"{self.endpoint} was not reachable a moment ago"


class Stream:
    """A stream in both directions."""

    def __init__(self, call: grpc.aio.StreamStreamCall[bytes, bytes]) -> None:
        self._call = call

    async def write(self, message: bytes) -> None:
        """Send a message. Raises Fault."""
        with _Faults():
            await self._call.write(message)

    async def read(self) -> bytes:
        """The next message.

        Raises:
            Fault: the stream has failed, or has ended.
        """
        with _Faults():
            message = await self._call.read()
            if isinstance(message, bytes):
                return message
            code, details = await self._call.code(), await self._call.details()
        raise Fault("UNAVAILABLE" if code is grpc.StatusCode.OK else code.name, details or "the stream has ended")

    def cancel(self) -> None:
        """End the stream."""
        self._call.cancel()


class _Faults:
    """Turns whatever gRPC raises into a Fault."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            return
        if isinstance(error, grpc.aio.AioRpcError):
            raise Fault(error.code().name, error.details() or "") from None
        if isinstance(error, (grpc.aio.UsageError, asyncio.InvalidStateError)):
            raise Fault("CANCELLED", str(error)) from None
        if isinstance(error, asyncio.CancelledError):
            # A call on a connection that is closed ends with this, too, though nobody has cancelled the task.
            task = asyncio.current_task()
            if task is not None and not task.cancelling():
                raise Fault("CANCELLED", "the connection was closed") from None
