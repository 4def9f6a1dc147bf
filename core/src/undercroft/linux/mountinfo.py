"""What is mounted, as this process sees it: `/proc/self/mountinfo`, parsed and followed."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from undercroft.linux.watch import watching_proc

MOUNTINFO = Path("/proc/self/mountinfo")
_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount. `major` and `minor` are the filesystem's: 0 and a number of its own where it is not one device's."""

    mount_id: int
    parent_id: int
    major: int
    minor: int
    root: str
    """The folder of the filesystem that is mounted: `/` unless it is a bind mount or a subvolume."""
    target: str
    """The mount point."""
    options: str
    filesystem_type: str
    source: str
    """What was mounted, as the caller of mount named it."""
    super_options: str


def read(path: Path = MOUNTINFO) -> list[Mount]:
    """All mounts, in the order in which they were made."""
    return parse(path.read_bytes().decode("utf-8", "surrogateescape"))


def parse(text: str) -> list[Mount]:
    """The mounts in a mountinfo file; lines that are not understood are left out."""
    # Not splitlines: a mount point may contain what else that takes for the end of a line.
    return [mount for line in text.split("\n") if (mount := _parse_line(line)) is not None]


def watch(changed: Callable[[], None], path: Path = MOUNTINFO) -> AbstractAsyncContextManager[None]:
    """Call `changed` on the running loop after each mount and unmount, for as long as the block lasts.

    The watch is in place when the block begins: read what is mounted for the first time in there.
    """
    return watching_proc(changed, path)


def decode(field: str) -> str:
    r"""Undo the kernel's escapes: space, tab, newline and backslash stand there as `\040 \011 \012 \134`."""
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), field) if "\\" in field else field


def _parse_line(line: str) -> Mount | None:
    # 36 35 98:0 /root /target rw,noatime shared:1 - ext3 /dev/root rw: any number of fields stand before the hyphen.
    before, separator, after = line.partition(" - ")
    fields, tail = before.split(" "), after.split(" ")
    if not separator or len(fields) < 6 or len(tail) < 2:
        return None
    major, _, minor = fields[2].partition(":")
    if not all(number.isdecimal() for number in (fields[0], fields[1], major, minor)):
        return None
    return Mount(
        mount_id=int(fields[0]),
        parent_id=int(fields[1]),
        major=int(major),
        minor=int(minor),
        root=decode(fields[3]),
        target=decode(fields[4]),
        options=fields[5],
        filesystem_type=decode(tail[0]),
        source=decode(tail[1]),
        super_options=tail[2] if len(tail) > 2 else "",
    )
