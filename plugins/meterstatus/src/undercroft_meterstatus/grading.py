"""How severe it is, decided without looking at anything: isolation by its length, senders by how they fare, and all
of it together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from undercroft_hookspecs.state import MeterStatus

if TYPE_CHECKING:
    from undercroft_hookspecs import SenderHealth

SEVERITY = ("GREEN", "AMBER", "RED")
ISOLATED = "unit agent has been disconnected"
FAILING = "failed to send metrics"
OVERDUE = "failed to send metrics, exceeded grace period"
FAILURES = 3
"""How often in a row a sender has to fail for it to matter."""


def shown(status: MeterStatus) -> MeterStatus:
    """As charms are told: GREEN, AMBER or RED, and why."""
    if status.code == "NOT SET":
        return MeterStatus(code="AMBER", info=status.info or "not set")
    if status.code == "NOT AVAILABLE":
        return MeterStatus(code="RED", info=status.info or "not available")
    return status


def severity(status: MeterStatus) -> int:
    """0 for GREEN, 1 for AMBER, 2 for RED."""
    return SEVERITY.index(shown(status).code)


def worst(statuses: Iterable[MeterStatus | None]) -> MeterStatus | None:
    """The most severe of those that there are; of several, the first."""
    return max((status for status in statuses if status is not None), key=severity, default=None)


def of_isolation(elapsed: float, *, amber: float, red: float) -> MeterStatus | None:
    """What it means to be cut off for that many seconds; `amber` and `red` are from when on it means something."""
    if elapsed >= red:
        return MeterStatus(code="RED", info=ISOLATED)
    return MeterStatus(code="AMBER", info=ISOLATED) if elapsed >= amber else None


def until_worse(elapsed: float, *, amber: float, red: float) -> float | None:
    """In how many seconds `of_isolation` says something else; None: never."""
    return next((limit - elapsed for limit in (amber, red) if elapsed < limit), None)


def of_senders(senders: Sequence[SenderHealth], now: datetime) -> MeterStatus | None:
    """What it means that senders fail: AMBER at first, RED when a receiver has waited for longer than it bears."""
    return worst(_of_sender(sender, now) for sender in senders)


def _of_sender(sender: SenderHealth, now: datetime) -> MeterStatus | None:
    if sender.failures < FAILURES:
        return None
    # What has never succeeded is not overdue at once: it is counted from the first try.
    heard = sender.last_success or sender.trying_since
    if heard is not None and now - heard >= timedelta(seconds=sender.grace):
        return MeterStatus(code="RED", info=f"{OVERDUE} ({sender.sender})")
    return MeterStatus(code="AMBER", info=f"{FAILING} ({sender.sender})")
