"""Members that answer as a test wants."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from undercroft_etcd.address import Endpoint
from undercroft_etcd.faults import Fault
from undercroft_etcd.transport import Connection, Headers, Stream
from undercroft_etcd.wire import chunk, number

Answer = bytes | Fault
LOST = Fault("UNAVAILABLE", "Socket closed")
LATE = Fault("DEADLINE_EXCEEDED", "Deadline Exceeded")
UNREACHABLE = Fault("UNAVAILABLE", "Connection refused", is_sent=False)
NO_LEADER = Fault("UNAVAILABLE", "etcdserver: no leader")
BAD_TOKEN = Fault("UNAUTHENTICATED", "etcdserver: invalid auth token")
COMPACTED = Fault("OUT_OF_RANGE", "etcdserver: mvcc: required revision has been compacted")
CREATED = number(3, 1)


class FakeStream(Stream):
    """Gives what it was made with, then waits, or fails if the last thing is a fault."""

    def __init__(self, messages: Sequence[Answer]) -> None:
        self._messages = deque(messages)
        self._more = asyncio.Event()
        self.written: list[bytes] = []
        self.is_cancelled = False

    def add(self, message: Answer) -> None:
        """Give one more."""
        self._messages.append(message)
        self._more.set()

    async def write(self, message: bytes) -> None:
        self.written.append(message)

    async def read(self) -> bytes:
        while not self._messages:
            self._more.clear()
            await self._more.wait()
        message = self._messages.popleft()
        if isinstance(message, Fault):
            raise message
        return message

    def cancel(self) -> None:
        self.is_cancelled = True
        self.add(Fault("CANCELLED", "cancelled"))


class FakeConnection(Connection):
    """A member that gives its answers in turn, and the last one for ever; each call is noted with its token."""

    def __init__(self, *answers: Answer, name: str = "fake", streams: Sequence[FakeStream] = ()) -> None:
        self.endpoint = Endpoint(name, 2379)
        self._answers = deque(answers)
        self._fakes = deque(streams)
        self.calls: list[tuple[str, str]] = []
        self.requests: list[bytes] = []
        self.broken_off = 0
        self.is_reachable = True
        self.on_call: Callable[[], None] = lambda: None

    @property
    def is_ready(self) -> bool:
        return self.is_reachable

    async def ready(self) -> None:
        raise UNREACHABLE

    async def call(self, path: str, request: bytes, *, timeout: float, headers: Headers) -> bytes:
        self.calls.append((path.rpartition("/")[2], str(headers.get("token", ""))))
        self.requests.append(request)
        self.on_call()
        answer = self._answers.popleft() if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Fault):
            raise answer
        return answer

    def stream(self, path: str, *, timeout: float | None, headers: Headers) -> Stream:
        return self._fakes.popleft()

    def break_off(self) -> None:
        self.broken_off += 1

    async def close(self) -> None:
        pass


def token(text: str) -> bytes:
    """The answer to an authentication."""
    return chunk(2, text.encode())


def header(revision: int) -> bytes:
    """The header that every answer has."""
    return chunk(1, number(3, revision))


def event(key: str, revision: int, *, is_delete: bool = False) -> bytes:
    """A field of a watch's message."""
    kv = chunk(1, key.encode()) + number(3, revision) + (b"" if is_delete else chunk(5, b"v"))
    return chunk(11, number(1, int(is_delete)) + chunk(2, kv))
