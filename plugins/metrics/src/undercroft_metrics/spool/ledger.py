"""What a queue has dropped, kept where even a full disk cannot lose it: a file of fixed size that is written in place.

Two halves are written in turn, each with a checksum, so that one is whole whatever happens. A gap that is being sent is
sealed: what is dropped after that opens another, so that no drop is told twice and none is missed.
"""

from __future__ import annotations

import contextlib
import os
import zlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec

from undercroft_hookspecs.metrics import MetricGap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HALF_BYTES: Final = 8192
_MOST_REASONS: Final = 8
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
OTHER: Final = "several reasons"


class Gap(msgspec.Struct, kw_only=True):
    """Batches that were dropped for one reason. Times are nanoseconds since the epoch."""

    id: str
    reason: str
    first: int
    last: int
    batches: int
    samples: int

    def add(self, first: int, last: int, batches: int, samples: int) -> None:
        """Count more of them."""
        self.first, self.last = min(self.first, first), max(self.last, last)
        self.batches, self.samples = self.batches + batches, self.samples + samples


class Books(msgspec.Struct, kw_only=True):
    """What the ledger holds: gaps that grow, those being sent, and which files were on their way out last."""

    number: int = 0
    open: list[Gap] = msgspec.field(default_factory=list)
    sealed: list[Gap] = msgspec.field(default_factory=list)
    going: tuple[str, str] = ("", "")
    """The names of the first and the last file of the last drop: a crash may have left some of them there."""


class Ledger:
    """The ledger of one queue, at `path`. Its calls block; they are one at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.books = Books()

    def load(self) -> None:
        """Read it; a new one is made, with its full size. What is damaged in both halves begins anew."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            data = b""
        if len(data) != 2 * HALF_BYTES:
            self._make()
        halves = [_read(data[:HALF_BYTES]), _read(data[HALF_BYTES : 2 * HALF_BYTES])]
        known = [books for books in halves if books is not None]
        self.books = max(known, key=lambda books: books.number, default=Books())

    def save(self) -> None:
        """Write it, durably, in place: no room on the disk is needed."""
        self.books.number += 1
        body = msgspec.json.encode(self.books)
        record = b"%08x %d " % (zlib.crc32(body), len(body)) + body
        if len(record) > HALF_BYTES:
            raise ValueError(f"the ledger {self._path} would not fit")
        fd = os.open(self._path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.pwrite(fd, record.ljust(HALF_BYTES, b" "), HALF_BYTES * (self.books.number % 2))
            os.fdatasync(fd)
        finally:
            os.close(fd)

    def count(self, reason: str, new_id: str, *, created: Sequence[int], batches: int, samples: int) -> None:
        """Add to the gap of that reason; `new_id` is its id if there is none yet. Nothing is written."""
        first, last = min(created), max(created)
        books = self.books
        gap = next((gap for gap in books.open if gap.reason == reason), None)
        if gap is None and len(books.open) >= _MOST_REASONS:
            gap = books.open[-1]
            gap.reason = OTHER
        if gap is None:
            books.open.append(
                Gap(id=new_id, reason=reason[:120], first=first, last=last, batches=batches, samples=samples)
            )
        else:
            gap.add(first, last, batches, samples)

    def seal(self) -> bool:
        """Have the open gaps sent, unless some are being sent already; whether that changed anything."""
        books = self.books
        if books.sealed or not books.open:
            return False
        books.sealed, books.open = books.open, []
        return True

    def waiting(self) -> list[MetricGap]:
        """What has not arrived yet."""
        return [told(gap) for gap in (*self.books.sealed, *self.books.open)]

    def settle(self, ids: set[str]) -> bool:
        """Forget gaps that have arrived; whether there were any."""
        books = self.books
        before = len(books.sealed)
        books.sealed = [gap for gap in books.sealed if gap.id not in ids]
        return len(books.sealed) != before

    def _make(self) -> None:
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, b" " * (2 * HALF_BYTES), 0)
            os.fsync(fd)
        except BaseException:
            with contextlib.suppress(OSError):
                self._path.unlink()
            raise
        finally:
            os.close(fd)


def told(gap: Gap) -> MetricGap:
    """A gap as senders are told of it."""
    first, last = time_of(gap.first), time_of(gap.last)
    return MetricGap(first=first, last=last, batches=gap.batches, samples=gap.samples, reason=gap.reason)


def time_of(nanoseconds: int) -> datetime:
    """A time that is given in nanoseconds since the epoch."""
    return EPOCH + timedelta(microseconds=nanoseconds // 1000)


def _read(half: bytes) -> Books | None:
    checksum, _, rest = half.partition(b" ")
    size, _, body = rest.partition(b" ")
    try:
        body = body[: int(size)]
        if int(checksum, 16) != zlib.crc32(body):
            return None
        return msgspec.json.decode(body, type=Books)
    except (ValueError, msgspec.DecodeError):
        return None
