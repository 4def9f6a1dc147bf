"""Charm code that has outlived its agent: what an agent that is killed has left running is ended by the next one.

Which process runs is noted in a file while it does. Without that the next agent would run a unit's hook beside one of
its own. What the code itself has left running, as a service of the charm is, lives on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from pathlib import Path

import msgspec

from undercroft.files import in_thread
from undercroft.linux.pidfd import wait_pid

END_SECONDS = 10.0

_log = logging.getLogger(__name__)


class Running(msgspec.Struct, frozen=True):
    """A process; pids are given again, together with the moment of their start they are not."""

    pid: int
    started: int


def note(path: Path, pid: int) -> None:
    """Note that the process runs. Blocks."""
    try:
        started = _started(pid)
    except OSError:
        return  # It has ended already.
    try:
        path.write_bytes(msgspec.json.encode(Running(pid, started)))
    except OSError as error:
        _log.warning("should this agent be killed, nobody will know that process %d runs: %s", pid, error)


def forget(path: Path) -> None:
    """It runs no longer. Blocks."""
    path.unlink(missing_ok=True)


async def end_leftover(path: Path) -> None:
    """Kill what is noted, with all of its group, if it still runs, and return when it is dead."""
    left = await in_thread(_left, path)
    if left is not None:
        _log.warning("process %d of a hook has outlived the agent that ran it, and is killed", left.pid)
        try:
            os.killpg(left.pid, signal.SIGKILL)
            async with asyncio.timeout(END_SECONDS):
                await wait_pid(left.pid)
        except ProcessLookupError:
            pass
        except TimeoutError:
            _log.error("process %d does not die; the unit goes on beside it", left.pid)
    await in_thread(forget, path)


def _left(path: Path) -> Running | None:
    try:
        noted = msgspec.json.decode(path.read_bytes(), type=Running)
        is_same = _started(noted.pid) == noted.started and os.getpgid(noted.pid) == noted.pid
    except (OSError, msgspec.DecodeError):  # It was never written whole, or the process is no more.
        return None
    return noted if is_same else None


def _started(pid: int) -> int:
    """When it was started, in ticks since the boot."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return int(fields[19])
