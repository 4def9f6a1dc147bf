"""Every engine's events, in one place: kept for `transitions`, and told to whoever observes."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from undercroft.agent.plain import text

if TYPE_CHECKING:
    from collections.abc import Callable

    from undercroft_hookspecs import Event

_log = logging.getLogger(__name__)

KEPT = 100


class Events:
    """What the engines of one agent are given as `events`."""

    def __init__(self) -> None:
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._observers: list[Callable[[Event], object]] = []

    def __call__(self, event: Event) -> None:
        """Keep an event and tell it; an observer's error is logged and dropped."""
        self._kept.append(event)
        for observer in tuple(self._observers):
            try:
                observer(event)
            except Exception:  # An observer never disturbs what it observes.
                _log.exception("an observer of %s of %s failed", event.kind, event.path)

    def observe(self, observer: Callable[[Event], object]) -> Callable[[], None]:
        """Have an observer told of every event from now on; returns what ends that."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    def transitions(self) -> list[object]:
        """The last events, oldest first, as rows: kind, path, at, and error and delay where there are any."""
        return [_row(event) for event in self._kept]


def _row(event: Event) -> dict[str, object]:
    row: dict[str, object] = {"kind": event.kind, "path": event.path, "at": event.at.isoformat(timespec="milliseconds")}
    if event.error is not None:
        row["error"] = text(event.error)
    if event.delay is not None:
        row["delay"] = event.delay
    return row
