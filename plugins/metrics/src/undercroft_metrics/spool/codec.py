"""The file of one commit: a header line with a checksum, and then a line of JSON for each batch.

MSPL1 <bytes of the lines> <their CRC-32 in hexadecimal> <number of batches>
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.metrics import MetricBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_BYTES: Final = 64 * 1024 * 1024
"""The largest file: what is larger is none of ours, or was tampered with."""
_MAGIC: Final = b"MSPL"
_VERSION: Final = b"1"
_LONGEST_HEADER: Final = 64


class DamagedError(UndercroftError):
    """A file is not what was written: torn, tampered with, or none of ours."""


class UnknownVersionError(UndercroftError):
    """A file of a later version of the spool: left in place for whoever understands it."""


@dataclass(frozen=True, slots=True)
class Line:
    """A batch as it is in a file, and how long its JSON is."""

    batch: MetricBatch
    size: int


def encode(batches: Sequence[MetricBatch]) -> bytes:
    """The file that holds these batches."""
    body = b"".join(msgspec.json.encode(batch) + b"\n" for batch in batches)
    return encode_lines(body, len(batches))


def encode_lines(body: bytes, count: int) -> bytes:
    """The file of batches that are lines of JSON already."""
    header = b"%s%s %d %08x %d\n" % (_MAGIC, _VERSION, len(body), zlib.crc32(body), count)
    return header + body


def decode(data: bytes) -> list[Line]:
    """The batches in a file.

    Raises:
        DamagedError: it is torn, has been changed, or is something else altogether.
        UnknownVersionError: it is of another version.
    """
    header, newline, body = data.partition(b"\n")
    words = header.split(b" ") if newline and len(header) <= _LONGEST_HEADER else []
    if words and words[0].startswith(_MAGIC) and words[0] != _MAGIC + _VERSION and words[0][4:].isdigit():
        raise UnknownVersionError(f"it is of version {words[0][4:].decode()} of the spool, not {_VERSION.decode()}")
    try:
        magic, size, checksum, count = words
        expected = (int(size), int(checksum, 16), int(count))
    except ValueError:
        raise DamagedError("it has no header" if data else "it is empty") from None
    if magic != _MAGIC + _VERSION:
        raise DamagedError("it has no header")
    if len(body) != expected[0]:
        raise DamagedError(f"it has {len(body)} bytes instead of {expected[0]}")
    if zlib.crc32(body) != expected[1]:
        raise DamagedError("its checksum is wrong")
    return _lines(body, expected[2])


def _lines(body: bytes, count: int) -> list[Line]:
    lines = body.split(b"\n")[:-1]
    if len(lines) != count:
        raise DamagedError(f"it has {len(lines)} batches instead of {count}")
    try:
        return [Line(_DECODER.decode(line), len(line)) for line in lines]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"a batch cannot be read: {error}") from None


_DECODER: Final = msgspec.json.Decoder(MetricBatch)
