"""Make lines of what a program writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LINE_BYTES = 4096
_LONGEST_CHARACTER = 4


class Lines:
    """A sink that hands on whole lines, without their ends, as soon as they are there.

    What is longer than `limit` bytes comes in pieces, cut between characters; what is no UTF-8 is replaced. The last
    line comes at the end, whether or not it was ended.
    """

    def __init__(self, line: Callable[[str], None], *, limit: int = LINE_BYTES) -> None:
        self._line, self._limit = line, limit
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Take what has come."""
        *whole, rest = (self._rest + chunk).split(b"\n")
        for line in whole:
            self._give(self._cut(line))
        self._rest = self._cut(rest)

    def end(self) -> None:
        """Hand on what is left: no more will come."""
        if self._rest:
            self._give(self._rest)
            self._rest = b""

    def _cut(self, line: bytes) -> bytes:
        """Hand on what is too much for one line, and give the rest."""
        while len(line) > self._limit:
            cut = _boundary(line, self._limit)
            self._give(line[:cut])
            line = line[cut:]
        return line

    def _give(self, line: bytes) -> None:
        self._line(line.decode("utf-8", "replace"))


def _boundary(line: bytes, limit: int) -> int:
    """Where to cut, at or shortly before the limit, so that no character is in two pieces."""
    for cut in range(limit, max(limit - _LONGEST_CHARACTER, 0), -1):
        if line[cut] & 0xC0 != 0x80:
            return cut
    return limit
