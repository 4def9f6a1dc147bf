"""What is shown of statuses, where it is more than what was set.

A unit's error is kept by its agent, and shown as its workload's. A unit that nobody has heard of yet has the statuses
of one that waits for its machine; one whose host is away is lost. An application whose leader has set nothing has the
worst status of its units.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from undercroft_hookspecs.state import Status
from undercroft_model.tables import parts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft_hookspecs.state import Unit
    from undercroft_model.view import View

_SEVERITY: Mapping[str, int] = {
    name: rank
    for rank, name in enumerate(("unknown", "terminated", "active", "waiting", "maintenance", "blocked", "error"))
}
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


def unit_statuses(view: View, unit: Unit) -> tuple[Status, Status]:
    """What is shown as a unit's workload status, and as its agent's."""
    parts = parts_of(unit.name)
    since = unit.created or _BEGINNING
    workload = view.statuses.get(("unit", *parts))
    agent = view.statuses.get(("agent", *parts))
    if workload is None:
        workload = Status(current="waiting", message="waiting for machine", since=since)
    if agent is None:
        return workload, Status(current="allocating", since=since)
    if agent.current == "error":
        return agent, Status(current="idle", since=agent.since)
    if agent.current not in ("allocating", "lost") and not view.is_present(unit.machine):
        lost = Status(current="lost", message="agent is not communicating with the server", since=agent.since)
        return _workload_of_lost(unit, workload), lost
    return workload, agent


def _workload_of_lost(unit: Unit, workload: Status) -> Status:
    if workload.current in ("error", "terminated"):
        return workload
    message = f"agent lost, see 'undercroft show-status-log {unit.name}'"
    return Status(current="unknown", message=message, since=workload.since)


def application_status(view: View, application: str, units: Sequence[tuple[Status, Status]]) -> Status:
    """What an application's leader has set, or the worst of what is shown of its units."""
    status = view.statuses.get(("application", application))
    if status is not None and status.current != "unset":
        return status
    if not units:
        return Status(current="unknown", since=view.model.created)
    return max((workload for workload, _ in units), key=lambda status: _SEVERITY.get(status.current, 0))


def status_entry(status: Status, *, version: str = "") -> dict[str, object]:
    """A status in a document."""
    entry: dict[str, object] = {"current": status.current}
    if status.message:
        entry["message"] = status.message
    entry["since"] = timestamp(status.since)
    if version:
        entry["version"] = version
    return entry


def timestamp(moment: datetime) -> str:
    """A time as juju's documents have it, in UTC."""
    return f"{moment.astimezone(UTC):%d %b %Y %H:%M:%SZ}"


def base_of(base: str) -> dict[str, str]:
    """A base in a document: `ubuntu@22.04` has its channel, which is stable."""
    name, _, channel = base.partition("@")
    return {"name": name, "channel": channel.removesuffix("/stable")}
