"""The logs of models: what the hooks of their units say, in `<data>/models/<uuid>/debug.log`, one JSON object a line.

One thread writes for all units of this agent, so that no disk that hangs holds up the loop. Lines wait in a queue of
bounded size; what does not fit is counted, and the count is written instead. A log that has grown to MOST_BYTES is
renamed to `debug.log.1`, in the place of the one before.
"""

from __future__ import annotations

import logging
import os
import queue
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import msgspec

from undercroft import SimpleWorker
from undercroft.dependency import OutputError
from undercroft.files import in_thread

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from undercroft import Stop
    from undercroft_hookspecs import Clock, Worker
    from undercroft_uniter.seams import UnitLog

MOST_BYTES = 64 * 1024 * 1024
MOST_WAITING = 100_000
MOST_WAITING_BYTES = 16 * 1024 * 1024
BATCH = 1000
OWN = "juju.worker.uniter"
"""Begins the modules of what the agent says, as in Juju's logs, which people filter by it."""

_log = logging.getLogger(__name__)


class Line(msgspec.Struct, frozen=True):
    """A line of a model's log; `module` is like `unit.mysql/0.juju-log`, or `juju.worker.uniter.operation`."""

    time: str
    entity: str
    level: str
    module: str
    message: str


@runtime_checkable
class UnitLogs(Protocol):
    """The output of the manifold `unit-logs`."""

    def of(self, file: Path, unit: str) -> UnitLog:
        """The log of a unit, in the file of its model."""
        ...


class UnitLogsWorker:
    """The worker of the manifold `unit-logs`. When it has ended, all that was said is written."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._writer = LogWriter()
        self._worker = SimpleWorker(self._run, name="unit-logs", grace=5, clock=clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once."""
        self._worker.kill()

    async def wait(self) -> None:
        """Return when all is written."""
        await self._worker.wait()

    def of(self, file: Path, unit: str) -> UnitLog:
        """The log of a unit, in the file of its model."""
        return FileLog(self._writer, file, unit, self._clock)

    async def _run(self, stop: Stop) -> None:
        try:
            await stop.wait()
        finally:
            await in_thread(self._writer.close)


@dataclass(frozen=True, slots=True)
class FileLog:
    """The seam `UnitLog`."""

    writer: LogWriter
    file: Path
    unit: str
    clock: Clock

    def write(self, level: int, module: str, message: str) -> None:
        """Add a line of the charm's."""
        self._add(level, f"unit.{self.unit}.{module}", message)

    def write_own(self, level: int, room: str, message: str) -> None:
        """Add a line of the agent's."""
        self._add(level, f"{OWN}.{room}", message)

    def _add(self, level: int, module: str, message: str) -> None:
        if not self.writer.has_room():  # Nor time, for what is going to be lost.
            self.writer.lose()
            return
        name = "TRACE" if level < logging.DEBUG else logging.getLevelName(level)
        line = _line(self.clock.now(), self.unit, name, module, message)
        self.writer.add(self.file, line)


class LogWriter:
    """Writes lines to files, in a thread of its own, which begins with the first line.

    A file's folder is there as long as there is anything of its model's units; what is said after that is not kept.
    """

    def __init__(self, *, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._queue: queue.Queue[tuple[Path, bytes] | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._lost = 0
        # Each is counted up in one thread only; what waits is the difference.
        self._added_bytes = self._taken_bytes = 0

    def add(self, file: Path, line: bytes) -> None:
        """Have a line written, soon."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="unit logs", daemon=True)
            self._thread.start()
        if not self.has_room(len(line)):
            self.lose()
            return
        self._queue.put_nowait((file, line))  # Nobody else puts anything there meanwhile.
        self._added_bytes += len(line)

    def has_room(self, size: int = 0) -> bool:
        """So much more can wait."""
        return self._added_bytes - self._taken_bytes + size <= MOST_WAITING_BYTES and not self._queue.full()

    def lose(self) -> None:
        """Count a line that cannot be kept."""
        self._lost += 1

    def close(self) -> None:
        """Return when all is written. Blocks: to be called in a thread."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            batch: dict[Path, list[bytes]] = {}
            self._collect(batch, item)
            is_over = False
            for _ in range(BATCH):
                try:
                    more = self._queue.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    is_over = True
                    break
                self._collect(batch, more)
            for file, lines in batch.items():
                self._write(file, lines)
                self._taken_bytes += sum(map(len, lines))
            if is_over or self._queue.empty():
                self._say_lost()
            if is_over:
                return
        self._say_lost()

    def _collect(self, batch: dict[Path, list[bytes]], item: tuple[Path, bytes]) -> None:
        file, line = item
        batch.setdefault(file, []).append(line)

    def _say_lost(self) -> None:
        """Say it once for all that was lost in a row."""
        if self._lost:
            lost, self._lost = self._lost, 0
            _log.warning("%d lines of unit logs were lost: they came faster than they can be written", lost)

    def _write(self, file: Path, lines: list[bytes]) -> None:
        try:
            self._append(file, b"".join(lines))
        except FileNotFoundError:
            _log.debug("%d lines are not kept: the model of %s is no more", len(lines), file)
        except OSError as error:
            _log.warning("%d lines of a unit log were lost: %s: %s", len(lines), file, error.strerror)

    def _append(self, file: Path, data: bytes) -> None:
        opened = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(opened).st_size
            view = memoryview(data)
            while view:
                view = view[os.write(opened, view) :]
        finally:
            os.close(opened)
        if size + len(data) > self._most_bytes:
            file.replace(file.with_name(f"{file.name}.1"))


def unit_logs_output(worker: Worker, kind: type) -> object:
    """The output function of the manifold `unit-logs`: UnitLogs alone."""
    if not isinstance(worker, UnitLogsWorker):
        raise OutputError(f"{type(worker).__name__} is not the worker of the unit logs")
    if kind is not UnitLogs:
        raise OutputError(f"unit-logs puts out UnitLogs, not {kind.__name__}")
    return worker


def _sound(text: str) -> str:
    """The text as UTF-8 can hold it: arguments of hook tools may be any bytes."""
    return text.encode("utf-8", "replace").decode()


def _line(now: datetime, unit: str, level: str, module: str, message: str) -> bytes:
    return msgspec.json.encode(Line(now.isoformat(), unit, level, module, _sound(message))) + b"\n"
