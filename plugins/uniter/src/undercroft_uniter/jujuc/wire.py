"""What a hook tool's client and the server say to one another, over a stream socket.

Numbers are unsigned, the most significant byte first. The client begins:

    "UCT1"  length: 4 bytes  body: the context's id, the tool, the client's folder, the arguments, each ended by a NUL

The server answers with messages, `kind: 1 byte, length: 4 bytes, content`, of which the last is the result:

    "R"  read: begin to read the file that the content names, as the client sees it; `-` is its stdin
    "M"  more: go on reading it
    "X"  result: exit status: 1 byte, length of stdout: 4 bytes, length of a file's name: 4 bytes, and these two; the
         rest is for stderr. With a name, stdout is the content of that file instead.

To each of the first two the client answers in the same form:

    "D"  data: the next part of the file; nothing at its end
    "E"  error: why it cannot be read

So each side knows at any moment who speaks, and neither can be flooded. What a tool does not ask for is left unread.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from undercroft_hookspecs import UndercroftError

MAGIC: Final = b"UCT1"
REQUEST_HEADER: Final = struct.Struct("!4sI")
MESSAGE_HEADER: Final = struct.Struct("!cI")
RESULT_HEADER: Final = struct.Struct("!BII")

LARGEST_REQUEST: Final = 8 * 1024 * 1024
"""The kernel lets a process have 6 MiB of arguments at the very most."""
LARGEST_CHUNK: Final = 64 * 1024

READ: Final = b"R"
MORE: Final = b"M"
RESULT: Final = b"X"
DATA: Final = b"D"
ERROR: Final = b"E"


class BadRequest(UndercroftError):
    """The peer does not speak as a client of ours does."""

    def __str__(self) -> str:
        return f"bad request: {super().__str__()}"


@dataclass(frozen=True, slots=True)
class Request:
    """A call of a hook tool, as its client states it."""

    context: str
    tool: str
    folder: str
    arguments: tuple[str, ...]


class RequestReader:
    """Takes a request in, in pieces of any size."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    @property
    def wanted(self) -> int:
        """How many bytes are missing, as far as is known."""
        if len(self._data) < REQUEST_HEADER.size:
            return REQUEST_HEADER.size - len(self._data)
        return REQUEST_HEADER.size + self.length - len(self._data)

    @property
    def length(self) -> int:
        """How long the body is; 0 before that is known."""
        if len(self._data) < REQUEST_HEADER.size:
            return 0
        return int(REQUEST_HEADER.unpack_from(self._data)[1])

    def feed(self, data: bytes) -> Request | None:
        """Take the next piece; the request, once it is whole.

        Raises:
            BadRequest: it is none, or is too large.
        """
        if not self._data and data.startswith(MAGIC) and len(data) >= REQUEST_HEADER.size:
            # Mostly it comes in one piece.
            size = REQUEST_HEADER.size + int(REQUEST_HEADER.unpack_from(data)[1])
            if size == len(data) <= LARGEST_REQUEST:
                return decode_request(data[REQUEST_HEADER.size :])
        self._data += data
        if not self._data.startswith(MAGIC[: len(self._data)]):
            raise BadRequest("it does not begin as one of a hook tool does")
        if self.length > LARGEST_REQUEST:
            raise BadRequest(f"its {self.length} bytes are more than the {LARGEST_REQUEST} that a call may have")
        if self.wanted > 0:
            return None
        if self.wanted < 0:
            raise BadRequest("more follows than it said")
        return decode_request(bytes(self._data[REQUEST_HEADER.size :]))


def decode_request(body: bytes) -> Request:
    """The request of which this is the body.

    Raises:
        BadRequest: it is not.
    """
    if not body.endswith(b"\0"):
        raise BadRequest("it does not end as it should")
    # Nothing that the model could not store: bytes that are no UTF-8 are replaced, as Juju's are on their way to it.
    context, tool, folder, *arguments = _three(body[:-1].decode("utf-8", "replace").split("\0"))
    if not context:
        raise BadRequest("no context id")
    if not tool:
        raise BadRequest("no command")
    if not folder.startswith("/"):
        raise BadRequest("the folder is not absolute")
    return Request(context, tool, folder, tuple(arguments))


def encode_request(request: Request) -> bytes:
    """What a client sends."""
    fields = (request.context, request.tool, request.folder, *request.arguments)
    body = b"".join(field.encode("utf-8", "surrogateescape") + b"\0" for field in fields)
    return REQUEST_HEADER.pack(MAGIC, len(body)) + body


def encode_message(kind: bytes, content: bytes = b"") -> bytes:
    """A message, of either side."""
    return MESSAGE_HEADER.pack(kind, len(content)) + content


def encode_result(code: int, stdout: bytes, stderr: bytes, output: bytes = b"") -> bytes:
    """The server's last message."""
    header = RESULT_HEADER.pack(code, len(stdout), len(output))
    return encode_message(RESULT, b"".join((header, stdout, output, stderr)))


def _three(fields: list[str]) -> list[str]:
    if len(fields) < 3:
        raise BadRequest("it is incomplete")
    return fields
