"""What one collection has added so far, in a file: the collector begins it, `add-metric` appends to it.

The first line says what may be added, each other line is one call of `add-metric`, with a checksum. It is where the
collector and the hook tool meet, and what is left of a collection when the agent is killed during it.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from undercroft_hookspecs.errors import NotFoundError, NotValidError
from undercroft_hookspecs.metrics import MetricKind, MetricSample

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE: Final = "recording"
MOST_BYTES: Final = 16 << 20
"""More is not recorded in one collection: a charm that adds without end must not fill the disk."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The collection: the id of its batch, its charm, and the metrics that may be added."""

    id: str
    charm: str
    created: datetime
    metrics: Mapping[str, MetricKind]


@dataclass(frozen=True, slots=True)
class Recording:
    """What is in the file."""

    header: Header
    samples: Sequence[MetricSample]


def begin(path: Path, header: Header, samples: Sequence[MetricSample]) -> None:
    """Begin a recording, with samples that no tool has added; blocks."""
    temporary = path.with_name(f".{path.name}.tmp")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary.write_bytes(msgspec.json.encode(header) + b"\n" + (_line(samples) if samples else b""))
    temporary.chmod(0o600)
    temporary.replace(path)


def header_of(path: Path) -> Header:
    """What may be added to a recording; blocks.

    Raises:
        NotFoundError: there is none.
    """
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.readline(), type=Header)
    except (FileNotFoundError, msgspec.DecodeError):
        raise NotFoundError(path.name, "no metrics are being collected") from None


def append(path: Path, samples: Sequence[MetricSample]) -> None:
    """Add samples, all or none; blocks.

    Raises:
        NotValidError: the collection is as large as it may get.
        OSError: the disk is full or fails.
    """
    data = _line(samples)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        if size + len(data) > MOST_BYTES:
            raise NotValidError("this collection has too many metrics already", field="metric")
        try:
            written = os.write(fd, data)
        except OSError:
            os.ftruncate(fd, size)
            raise
        if written != len(data):
            os.ftruncate(fd, size)
            raise OSError(28, "no space left for metrics", str(path))
    finally:
        os.close(fd)


def read(path: Path) -> Recording | None:
    """What was recorded, as far as it is whole; None where nothing is there, or it is no recording; blocks."""
    try:
        lines = path.read_bytes().split(b"\n")
        header = msgspec.json.decode(lines[0], type=Header)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    samples: list[MetricSample] = []
    for line in lines[1:-1]:
        checksum, _, body = line.partition(b" ")
        with suppress(ValueError, msgspec.DecodeError):
            if int(checksum, 16) == zlib.crc32(body):
                samples += msgspec.json.decode(body, type=list[MetricSample])
    return Recording(header, samples)


def _line(samples: Sequence[MetricSample]) -> bytes:
    body = msgspec.json.encode(samples)
    return b"%08x %s\n" % (zlib.crc32(body), body)
