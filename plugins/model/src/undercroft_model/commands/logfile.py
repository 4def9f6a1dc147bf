"""The model's log on this host: `<data>/models/<uuid>/debug.log`, one JSON object a line.

    {"time": "2026-01-31T12:00:00+00:00", "entity": "mysql/0", "level": "INFO", "module": "unit.mysql/0.juju-log",
     "message": "..."}

It is shown as juju shows it: `unit-mysql-0: 12:00:00 INFO unit.mysql/0.juju-log ...`. A line that is none of these is
passed over.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import msgspec

from undercroft.files import in_thread
from undercroft.linux.watch import IN_CLOSE_WRITE, IN_CREATE, IN_MODIFY, IN_MOVED_TO, Inotify

RANKS = {"TRACE": 0, "DEBUG": 1, "INFO": 2, "WARNING": 3, "WARN": 3, "ERROR": 4, "CRITICAL": 5}


class Line(msgspec.Struct, frozen=True):
    """A line of the log."""

    time: str
    message: str
    entity: str = ""
    level: str = "INFO"
    module: str = ""

    @property
    def tag(self) -> str:
        """Who says it, as juju writes that: `unit-mysql-0`."""
        kind = "unit" if "/" in self.entity else "machine" if self.entity.isdecimal() else "application"
        return f"{kind}-{self.entity.replace('/', '-')}" if self.entity else "agent"

    def __str__(self) -> str:
        return f"{self.tag}: {self.time[11:19]} {self.level} {self.module} {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which lines are shown. Entities are given as `mysql/0`, `unit-mysql-0` or `mysql` (all its units)."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    include_module: tuple[str, ...] = ()
    exclude_module: tuple[str, ...] = ()
    level: str = ""

    def passes(self, line: Line) -> bool:
        """Whether a line is to be shown."""
        if RANKS.get(line.level, 2) < RANKS.get(self.level, 0):
            return False
        if self.include and not any(_is_of(line, entity) for entity in self.include):
            return False
        if any(_is_of(line, entity) for entity in self.exclude):
            return False
        if self.include_module and not any(_is_in(line.module, module) for module in self.include_module):
            return False
        return not any(_is_in(line.module, module) for module in self.exclude_module)


async def show_log(
    file: Path, chosen: Filter, *, last: int | None, follow: bool, write: Callable[[str], object]
) -> None:
    """Write the last lines that pass, or all for None; with `follow` go on with what is added, without end."""
    if not follow:
        for line in await in_thread(_last_lines, file, chosen, last):
            write(str(line))
        return
    await in_thread(file.parent.mkdir, mode=0o700, parents=True, exist_ok=True)
    changed = asyncio.Event()
    with Inotify(lambda _, name: changed.set()) as inotify:
        inotify.watch(file.parent, IN_CREATE | IN_MODIFY | IN_MOVED_TO | IN_CLOSE_WRITE)
        reader = Reader(file)
        lines = deque(filter(chosen.passes, await in_thread(reader.read)), maxlen=last)
        while True:
            for line in lines:
                write(str(line))
            await changed.wait()
            changed.clear()
            lines = deque(filter(chosen.passes, await in_thread(reader.read)))


class Reader:
    """Reads on from where it was, or a new file from its beginning. It blocks: call it in a thread."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._inode, self._offset = 0, 0

    def read(self) -> list[Line]:
        """The whole lines that have come."""
        try:
            opened = self._file.open("rb")
        except FileNotFoundError:
            return []
        with opened:
            return list(self._lines(opened))

    def _lines(self, opened: IO[bytes]) -> Iterator[Line]:
        inode = self._file.stat().st_ino
        if inode != self._inode or opened.seek(0, 2) < self._offset:
            self._inode, self._offset = inode, 0
        opened.seek(self._offset)
        for raw in opened:
            if not raw.endswith(b"\n"):
                break  # It is still being written.
            self._offset += len(raw)
            line = _parsed(raw)
            if line is not None:
                yield line


def _last_lines(file: Path, chosen: Filter, last: int | None) -> list[Line]:
    return list(deque(filter(chosen.passes, Reader(file).read()), maxlen=last))


def _parsed(raw: bytes) -> Line | None:
    try:
        return msgspec.json.decode(raw, type=Line)
    except msgspec.DecodeError:
        return None


def _is_of(line: Line, entity: str) -> bool:
    application = line.entity.partition("/")[0]
    return entity in (line.entity, line.tag, application, f"{application}/*")


def _is_in(module: str, wanted: str) -> bool:
    return module == wanted or module.startswith(f"{wanted}.")
