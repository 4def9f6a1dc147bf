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

_BY_DISKSEQ = re.compile(r"disk/by-diskseq/(\d+)(?:-part\d+)?$")
_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")


@dataclass(frozen=True, slots=True)
class Entry:
    """One device's entry: links relative to /dev, sorted, and properties."""

    links: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)

    def is_of(self, diskseq: str) -> bool:
        """Whether it is about the medium of that sequence number; an old udev does not say, and is believed."""
        told = [match[1] for link in self.links if (match := _BY_DISKSEQ.match(link))]
        return not told or not diskseq or diskseq in told


def parse(text: str) -> Entry:
    """Read an entry; lines of other kinds, and such as are no lines of an entry, are left out."""
    links: list[str] = []
    properties: dict[str, str] = {}
    for line in text.split("\n"):
        kind, value = line[:2], line[2:]
        if kind == "S:":
            links.append(value)
        elif kind == "E:" and "=" in value:
            key, _, content = value.partition("=")
            properties[key] = content
    return Entry(tuple(sorted(links)), properties)


def read(roots: Roots, node: Node) -> Entry | None:
    """The entry of a device; None if there is none, or if it is about a medium that has gone. Blocks."""
    try:
        fd = os.open(f"{roots.udev}/data/b{node.major}:{node.minor}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        text = os.read(fd, 65536).decode("utf-8", "replace")
    finally:
        os.close(fd)
    entry = parse(text)
    return entry if entry.is_of(node.diskseq) else None


def decode(value: str) -> str:
    r"""Undo udev's escapes, as in `ID_FS_LABEL_ENC`: `\x20` for a byte that may not stand in a file name."""
    if "\\x" not in value:
        return value
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), value.encode()).decode("utf-8", "replace")
