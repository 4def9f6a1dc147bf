"""A line of JSON for each batch, appended to a file for each unit, which is rotated and compressed.

A file knows nothing twice: before a batch is written, its id is looked for among the last that were, which are read
from the files themselves at the start. So a crash between the write and its acknowledgement repeats nothing.
"""

from __future__ import annotations

import gzip
import os
import shutil
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from undercroft.files import in_thread, sync
from undercroft_hookspecs import Accepted, SendReport
from undercroft_metrics.senders.names import file_name

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from io import BufferedReader

    from undercroft_hookspecs import Agent, MetricBatch, MetricDelivery, MetricSenderOpener
    from undercroft_metrics.senders.config import FileConfig

RING = 10_000


class _Line(msgspec.Struct):
    id: str


class BatchFile:
    """The file of one unit. Its calls block, and are one at a time."""

    def __init__(self, path: Path, *, rotate_bytes: int, keep: int) -> None:
        self._path, self._rotate_bytes, self._keep = path, rotate_bytes, keep
        self._ring: OrderedDict[str, None] = OrderedDict()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._fd = self._opened()
        if (first := _first(path)) and first == _first(self._rotated(1)):
            os.ftruncate(self._fd, 0)  # A crash amid a rotation has left it in both.
        self._remember(self._last_ids())

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def write(self, batches: Sequence[MetricBatch]) -> Sequence[bool]:
        """Append batches, durably: for each, whether it is new. All or none: what a full disk takes half is undone."""
        fresh = [batch.id not in self._ring for batch in batches]
        lines = b"".join(msgspec.json.encode(batch) + b"\n" for batch, new in zip(batches, fresh, strict=True) if new)
        size = os.fstat(self._fd).st_size
        if size and size + len(lines) > self._rotate_bytes:
            self._rotate()
            size = 0
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[os.write(self._fd, rest) :]
            os.fdatasync(self._fd)
        except OSError:
            os.ftruncate(self._fd, size)
            raise
        self._remember(batch.id for batch in batches)
        return fresh

    def _opened(self) -> int:
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        os.ftruncate(fd, _whole(self._path))
        return fd

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            if self._rotated(number).exists():
                self._rotated(number).replace(self._rotated(number + 1))
        self._rotated(self._keep + 1).unlink(missing_ok=True)
        if self._keep:
            part = self._rotated(1).with_suffix(".part")
            with self._path.open("rb") as source, gzip.open(part, "wb", compresslevel=6) as packed:
                shutil.copyfileobj(source, packed)
            with part.open("rb") as written:
                os.fsync(written.fileno())
            part.replace(self._rotated(1))
            sync(self._path.parent)
        os.ftruncate(self._fd, 0)

    def _last_ids(self) -> Sequence[str]:
        """The ids of the last batches that were written: what is tried again after a crash may span several files."""
        found = _ids(self._path)
        for number in range(1, self._keep + 1):
            if len(found) >= RING:
                break
            # One that is missing: a crash amid a rotation has left a hole.
            found = [*_ids(self._rotated(number)), *found]
        return found

    def _rotated(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}.gz")

    def _remember(self, ids: Iterable[str]) -> None:
        for each in ids:
            self._ring[each] = None
            self._ring.move_to_end(each)
        while len(self._ring) > RING:
            self._ring.popitem(last=False)


class FileDelivery:
    """The open sender of one unit."""

    def __init__(self, file: BatchFile) -> None:
        self._file = file

    async def send(self, batches: Sequence[MetricBatch]) -> SendReport:
        """Append batches; they are on the disk when this returns."""
        fresh = await in_thread(self._file.write, batches)
        pairs = zip(batches, fresh, strict=True)
        return SendReport(verdicts={batch.id: Accepted(duplicate=not new) for batch, new in pairs})


def opener(_agent: Agent, _name: str, config: FileConfig) -> MetricSenderOpener:
    """A folder of files as a sender."""

    @asynccontextmanager
    async def open_sender(model: str, unit: str, /) -> AsyncIterator[MetricDelivery]:
        path = Path(config.folder, file_name(model, unit, ".ndjson"))
        file = await in_thread(lambda: BatchFile(path, rotate_bytes=config.rotate_bytes, keep=config.keep))
        try:
            yield FileDelivery(file)
        finally:
            await in_thread(file.close)

    return open_sender


def _whole(path: Path) -> int:
    """How long the file is to the end of its last whole line; what a crash left after that was never answered for."""
    size = path.stat().st_size
    with path.open("rb") as file:
        end = size
        while end:
            begin = max(end - 65536, 0)
            file.seek(begin)
            if (found := file.read(end - begin).rfind(b"\n")) >= 0:
                return begin + found + 1
            end = begin
    return 0


def _first(path: Path) -> bytes:
    """The first line of a file; none of one that is not there, or cannot be read."""
    with suppress(FileNotFoundError, EOFError, gzip.BadGzipFile), _open(path) as file:
        return file.readline()
    return b""


def _ids(path: Path) -> Sequence[str]:
    """The ids of the batches in a file; lines that are not ours are passed over."""
    found: list[str] = []
    with suppress(FileNotFoundError, EOFError, gzip.BadGzipFile), _open(path) as file:
        for line in file:
            with suppress(msgspec.MsgspecError):
                found.append(msgspec.json.decode(line, type=_Line).id)
    return found[-RING:]


def _open(path: Path) -> gzip.GzipFile | BufferedReader:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")
