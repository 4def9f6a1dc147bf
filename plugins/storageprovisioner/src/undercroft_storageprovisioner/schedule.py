"""When filesystems are trimmed that nobody asked to be: as often as their pool says."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from undercroft_hookspecs.storage_state import Filesystem

PERIODS = {"daily": timedelta(days=1), "weekly": timedelta(days=7), "monthly": timedelta(days=30)}


def trim_due(filesystems: Iterable[Filesystem], now: datetime) -> frozenset[str]:
    """Those that are to be trimmed now, by id."""
    return frozenset(each.id for each in filesystems if _is_due(each, now))


def _is_due(filesystem: Filesystem, now: datetime) -> bool:
    period = PERIODS.get(filesystem.attributes.get("trim", "never"))
    if period is None:
        return False
    return filesystem.trimmed is None or now - filesystem.trimmed >= period
