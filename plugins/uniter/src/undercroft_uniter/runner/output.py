"""Where the output of charm code goes: into the unit's log, and the beginning of it to who asked for it."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING

from undercroft.process import Lines

if TYPE_CHECKING:
    from undercroft.process import Sink
    from undercroft_uniter.seams import UnitLog


class Captured:
    """A sink that keeps the beginning of what comes."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._lost = 0

    def feed(self, chunk: bytes) -> None:
        """Keep it as far as there is room."""
        taken = chunk[: self._limit - len(self._kept)]
        self._kept += taken
        self._lost += len(chunk) - len(taken)

    def end(self) -> None:
        """Nothing more to do."""

    def data(self) -> bytes:
        """What was kept, and how much was not."""
        if not self._lost:
            return bytes(self._kept)
        kept = _whole(bytes(self._kept))
        lost = self._lost + len(self._kept) - len(kept)
        return kept + f"\n... and {lost} bytes more\n".encode()


class Both:
    """A sink that gives everything to two others."""

    def __init__(self, one: Sink, other: Sink) -> None:
        self._one, self._other = one, other

    def feed(self, chunk: bytes) -> None:
        """Give it to both."""
        self._one.feed(chunk)
        self._other.feed(chunk)

    def end(self) -> None:
        """Tell both."""
        self._one.end()
        self._other.end()


def _whole(data: bytes) -> bytes:
    """Text without the beginning of a character that was cut off; anything else as it is."""
    for missing in range(4):
        kept = data[: len(data) - missing]
        try:
            kept.decode()
        except UnicodeDecodeError:
            continue
        return kept
    return data


def logged(log: UnitLog, script: str) -> tuple[Lines, Lines]:
    """Sinks for stdout and stderr that write each line to the unit's log, as Juju does."""

    def on_stdout(line: str) -> None:
        log.write(logging.DEBUG, script, line)

    def on_stderr(line: str) -> None:
        log.write(logging.WARNING, script, line)

    return Lines(on_stdout), Lines(on_stderr)


def as_results(returncode: int, stdout: bytes, stderr: bytes) -> dict[str, object]:
    """The output as an action's results have it: empty streams are left out, what is no UTF-8 is in base64."""
    results: dict[str, object] = {"return-code": returncode}
    for name, data in (("stdout", stdout), ("stderr", stderr)):
        if not data:
            continue
        try:
            results[name] = data.decode()
        except UnicodeDecodeError:
            results[name] = base64.b64encode(data).decode()
            results[f"{name}-encoding"] = "base64"
    return results


def exit_code(returncode: int) -> int:
    """An exit code as a shell has it: 128 and the signal's number for what died of one."""
    return returncode if returncode >= 0 else 128 - returncode
