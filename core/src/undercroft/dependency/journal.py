"""What the engine tells: its log, its events, its metrics, and the last transitions for whoever asks."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Literal

from undercroft.worker.reporting import error_text, observe
from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.worker import Event

if TYPE_CHECKING:
    from datetime import datetime

    from undercroft.dependency.config import EngineConfig
    from undercroft.dependency.node import Node
    from undercroft_hookspecs.worker import Clock

    Kind = Literal["starting", "started", "stopping", "stopped", "restarting", "removed", "fatal", "hung"]
    Entry = tuple[Kind, str, datetime, BaseException | None, float | None]

KEPT = 100
"""How many transitions are kept."""


class Journal:
    """Writes down each transition once, and passes it on to those who listen."""

    __slots__ = ("_config", "_engine", "_entries", "_events", "_is_logged", "_logger", "_now")

    def __init__(self, engine: str, config: EngineConfig, clock: Clock) -> None:
        self._engine = engine
        self._config = config
        self._now = clock.now
        self._events = config.events
        self._logger = config.logger or logging.getLogger("undercroft.engine")
        self._is_logged = self._logger.isEnabledFor
        # Kept as tuples: an Event costs five times as much, and most are never asked for.
        self._entries: deque[Entry] = deque(maxlen=KEPT)

    def note(
        self,
        kind: Kind,
        node: Node,
        error: BaseException | None = None,
        delay: float | None = None,
        *,
        level: int = logging.DEBUG,
    ) -> datetime:
        """Write down a transition, and say when it was."""
        at = self._now()
        self._entries.append((kind, node.path, at, error, delay))
        if self._is_logged(level):
            self._log(level, kind, node.path, error, delay)
        if self._events is not None:
            observe(self._events, Event(kind, node.path, at, error, delay))
        return at

    def started(self, node: Node) -> datetime:
        """Write down that a worker is up, and count it."""
        at = self.note("started", node)
        if self._config.metrics is not None:
            observe(self._config.metrics.record_start, node.name)
        return at

    def internal(self, error: BaseException) -> None:
        """Log an internal error."""
        self._logger.error("%s: internal error: %s", self._engine, error_text(error), exc_info=error)

    def transitions(self) -> list[Event]:
        """The last transitions, oldest first."""
        return [Event(*entry) for entry in self._entries]

    def _log(self, level: int, kind: Kind, path: str, error: BaseException | None, delay: float | None) -> None:
        text = "" if error is None else error_text(error)
        if kind == "restarting":
            self._logger.log(level, "%s failed, and starts again in %.3g s: %s", path, delay, text)
        elif kind == "fatal":
            # An error of ours is a message for people; how it came about is for whoever asks for all there is.
            is_told = isinstance(error, UndercroftError) and not self._is_logged(logging.DEBUG)
            trace = None if is_told else error
            self._logger.log(level, "%s failed, which is fatal: %s", path, text, exc_info=trace)
        elif kind == "hung":
            self._logger.log(level, "%s is still alive %g s after its kill", path, self._config.kill_timeout)
        elif text:
            self._logger.log(level, "%s: %s: %s", path, kind, text)
        else:
            self._logger.log(level, "%s: %s", path, kind)
