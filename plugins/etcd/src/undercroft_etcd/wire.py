"""The wire format of protocol buffers, as far as etcd's messages use it.

Written by hand because it is this small: generated code brings a runtime of 10 MB, refuses runtimes of other years, and
two packages that bring etcd's own descriptors cannot live in one process.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
_NEGATIVE = 1 << 64
_SIGN = 1 << 63


class MalformedMessageError(ValueError):
    """The bytes are not a message."""


_ONE_BYTE = tuple(bytes((value,)) for value in range(0x80))


def number(field: int, value: int) -> bytes:
    """A field of an integer, a bool or an enum; nothing for 0, which is what an absent field means."""
    if not value:
        return b""
    return _varint(field << 3 | VARINT) + _varint(value % _NEGATIVE)


def chunk(field: int, value: bytes) -> bytes:
    """A field of bytes, of text in UTF-8, or of another message, which may be empty."""
    return _varint(field << 3 | LENGTH) + _varint(len(value)) + value


def fields(message: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Each field of a message: its number, and either an integer (and no bytes) or bytes (and 0).

    Raises:
        MalformedMessageError: these bytes are not a message.
    """
    position, end = 0, len(message)
    while position < end:
        tag, position = _read_varint(message, position)
        kind = tag & 7
        if kind == VARINT:
            value, position = _read_varint(message, position)
            yield tag >> 3, value if value < _SIGN else value - _NEGATIVE, b""
            continue
        if kind == LENGTH:
            size, position = _read_varint(message, position)
        elif kind in {FIXED32, FIXED64}:
            size = 4 if kind == FIXED32 else 8
        else:
            raise MalformedMessageError(f"a field of unknown kind {kind}")
        start, position = position, position + size
        if position > end:
            raise MalformedMessageError("a field reaches beyond the end of its message")
        yield tag >> 3, 0, message[start:position]


def _varint(value: int) -> bytes:
    if value < 0x80:
        return _ONE_BYTE[value]
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _read_varint(message: bytes, position: int) -> tuple[int, int]:
    try:
        byte = message[position]
        if byte < 0x80:
            return byte, position + 1
        value, shift = byte & 0x7F, 7
        while shift < 70:
            position += 1
            byte = message[position]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value % _NEGATIVE, position + 1
            shift += 7
    except IndexError:
        raise MalformedMessageError("a number reaches beyond the end of its message") from None
    raise MalformedMessageError("a number has more than ten bytes")
