"""What a debug session is, and which hooks are for it.

A session is a tmux session by the unit's name and, in the unit's folder, a file that says which hooks it is for. If one
of them is missing, there is none: whoever lost their terminal holds up no hook.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import msgspec

from undercroft_hookspecs import UndercroftError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from undercroft_hookspecs import Process

_log = logging.getLogger(__name__)

TMUX: Final[Sequence[str]] = ("tmux", "-L", "undercroft")
"""A server of our own: the person's settings and sessions are left alone."""
_SECONDS = 5.0


class DebugSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which hooks and actions a session is for; none: all of them. `at`: where to break, in `debug-code`."""

    hooks: tuple[str, ...] = ()
    at: str = ""

    def matches(self, name: str) -> bool:
        """The hook or action of that name is to be run in the session."""
        return not self.hooks or name in self.hooks


def session_of(hooks: Sequence[str], *, at: str = "") -> DebugSession:
    """A session for these hooks; `*` among them stands for all."""
    return DebugSession(hooks=() if "*" in hooks else tuple(hooks), at=at)


def read_session(file: Path) -> DebugSession | None:
    """What the file says; None if there is none, or it says nothing that can be understood."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=DebugSession)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        _log.warning("%s is no debug session, and is passed over: %s", file, error)
        return None


async def is_open(process: Process, unit: str) -> bool:
    """There is a tmux session for the unit."""
    try:
        done = await process.run([*TMUX, "has-session", "-t", f"={unit}"], timeout=_SECONDS, check=False)
    except (UndercroftError, OSError):
        return False  # No tmux, no session; nor where it hangs (TimeoutError is an OSError).
    return done.returncode == 0
