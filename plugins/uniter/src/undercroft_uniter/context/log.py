"""The unit's log, as a hook writes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undercroft_uniter.seams import UnitLog

MODULE = "juju-log"


class HookLog:
    """The part `LogContext`."""

    def __init__(self, log: UnitLog) -> None:
        self._log = log

    def log(self, level: int, message: str) -> None:
        """Write a line now, whatever becomes of the hook."""
        self._log.write(level, MODULE, message)
