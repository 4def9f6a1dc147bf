"""What supervisors say of their workers: to people in reports, to callbacks, and to metrics."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from datetime import datetime

T = TypeVar("T")

_logger = logging.getLogger("undercroft")


class Metrics(Protocol):
    """Counts the workers that come up."""

    def record_start(self, name: str) -> None:
        """A worker came up under this id or name."""


def error_text(error: BaseException) -> str:
    """An error as reports show it: its text, or the name of its type if that is empty."""
    return str(error) or type(error).__name__


def time_text(at: datetime) -> str:
    """A time as reports show it: "YYYY-MM-DD HH:MM:SS", in UTC."""
    return at.strftime("%Y-%m-%d %H:%M:%S")


def report_of(worker: object) -> dict[str, object] | None:
    """The worker's own report; None if it has none, it is empty, or it raises (which is logged)."""
    report: Callable[[], dict[str, object]] | None = getattr(worker, "report", None)
    if not callable(report):
        return None
    return observe(report) or None


def observe(callback: Callable[..., T], *arguments: object) -> T | None:
    """Call an observing callback: what it raises is logged and swallowed."""
    try:
        return callback(*arguments)
    except Exception:  # Observers never disturb what they observe.
        _logger.exception("%r failed", callback)
        return None
