"""What udev has found out about a device: its entry in `/run/udev/data`.

The format is private to udev and has not changed in its relevant parts for fifteen years: `S:` a link below /dev, `E:`
a property. libudev offers the same at five times the price, which is why this reads the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from undercroft_diskmanager.sysfs import Node, Roots

_LINK = re.compile(r"^S:(.*)$", re.MULTILINE)
_PROPERTY = re.compile(
    r"^E:(ID_(?:BUS|SERIAL|WWN|WWN_WITH_EXTENSION|FS_TYPE|FS_UUID|FS_UUID_ENC|FS_LABEL|FS_LABEL_ENC))=(.*)$",
    re.MULTILINE,
)
_BY_DISKSEQ = re.compile(r"^S:disk/by-diskseq/(\d+)(?:-part\d+)?$", re.MULTILINE)
_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class Filesystem:
    """What is on a device; all empty where nothing is, or nothing is known."""

    type: str = ""
    uuid: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One device's entry: links relative to /dev, sorted, and the properties that a record is made of."""

    links: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    filesystem: Filesystem = Filesystem()
    diskseqs: frozenset[str] = frozenset()

    def is_of(self, diskseq: str) -> bool:
        """Whether it is about the medium of that sequence number; an old udev does not say, and is believed."""
        return not self.diskseqs or not diskseq or diskseq in self.diskseqs


def parse(text: str) -> Entry:
    """Read an entry; what a record does not need, and what is no line of an entry, is left out."""
    properties = dict(_PROPERTY.findall(text))
    return Entry(
        links=tuple(sorted(_LINK.findall(text))),
        properties=properties,
        filesystem=filesystem_of(properties),
        diskseqs=frozenset(_BY_DISKSEQ.findall(text)),
    )


def filesystem_of(properties: Mapping[str, str]) -> Filesystem:
    """What udev, or blkid in udev's form, says is on a device."""
    return Filesystem(
        type=properties.get("ID_FS_TYPE", ""),
        uuid=decode(properties.get("ID_FS_UUID_ENC") or properties.get("ID_FS_UUID", "")),
        label=decode(properties.get("ID_FS_LABEL_ENC") or properties.get("ID_FS_LABEL", "")),
    )


class Database:
    """Reads entries, and remembers them: udev replaces the file of an entry whenever it changes."""

    def __init__(self, roots: Roots) -> None:
        self._prefix = f"{roots.udev}/data/b"
        self._known: dict[str, tuple[tuple[int, int, int], Entry]] = {}

    def entry(self, node: Node, diskseq: str) -> Entry | None:
        """The entry of a device; None if there is none, or if it is about another medium than `diskseq`. Blocks."""
        path = f"{self._prefix}{node.major}:{node.minor}"
        try:
            entry = self._entry(path)
        except OSError:
            self._known.pop(path, None)
            return None
        return entry if entry.is_of(diskseq) else None

    def _entry(self, path: str) -> Entry:
        version = _version(os.stat(path))  # noqa: PTH116 - Path costs as much again as the call.
        known = self._known.get(path)
        if known is not None and known[0] == version:
            return known[1]
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            version = _version(os.fstat(fd))
            text = os.read(fd, 65536).decode("utf-8", "replace")
        finally:
            os.close(fd)
        entry = parse(text)
        self._known[path] = (version, entry)
        return entry


def _version(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_mtime_ns, status.st_size


def decode(value: str) -> str:
    r"""Undo udev's escapes, as in `ID_FS_LABEL_ENC`: `\x20` for a byte that may not stand in a file name."""
    if "\\x" not in value:
        return value
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), value.encode()).decode("utf-8", "replace")
