"""Status for eyes: juju's tables, made of the documents."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from undercroft_model.commands.columns import columns

# Any: JSON.
Document = Mapping[str, Any]

_APPLICATIONS = ("App", "Version", "Status", "Scale", "Charm", "Channel", "Rev", "Exposed", "Message")
_UNITS = ("Unit", "Workload", "Agent", "Machine", "Public address", "Ports", "Message")
_MACHINES = ("Machine", "State", "Address", "Inst id", "Base", "AZ", "Message")
_RELATIONS = ("Integration provider", "Requirer", "Interface", "Type", "Message")
_AT_WORK = ("idle", "executing", "running")
_STORAGE = ("Storage Unit", "Storage ID", "Type", "Pool", "Mountpoint", "Size", "Status", "Message")


def status_table(document: Document, *, storage: bool) -> str:
    """The whole status."""
    model = document["model"]
    head = (
        model["name"],
        model["controller"],
        f"{model['cloud']}/{model['region']}",
        model["version"],
        model["sla"],
        document["controller"]["timestamp"],
    )
    parts = [columns(("Model", "Controller", "Cloud/Region", "Version", "SLA", "Timestamp"), [head])]
    if message := model["model-status"].get("message"):
        parts.append(f"Model: {message}")
    parts += _section(_APPLICATIONS, _applications(document), right=("Scale", "Rev"))
    parts += _section(_UNITS, _units(document))
    parts += _section(_MACHINES, _machines(document))
    parts += _section(_RELATIONS, _relations(document))
    if storage:
        parts += _section(_STORAGE, _storage(document), right=("Size",))
    if len(parts) == 1:
        parts.append(f'Model "admin/{model["name"]}" is empty.')
    return "\n\n".join(parts)


def unit_lines(document: Document) -> str:
    """A line for each unit."""
    lines = []
    for application in document["applications"].values():
        for name, unit in application.get("units", {}).items():
            lines.append(f"- {_unit_line(name, unit)}")
            lines += [f"  - {_unit_line(each, entry)}" for each, entry in unit.get("subordinates", {}).items()]
    return "\n".join(lines)


def summary(document: Document) -> str:
    """How many of each there are."""
    applications = document["applications"].values()
    units = [unit for application in applications for unit in application.get("units", {}).values()]
    statuses = Counter(unit["workload-status"]["current"] for unit in units)
    lines = [f"Machines: {len(document['machines'])}", f"Units: {len(units)}"]
    lines += [f"  {status}: {number}" for status, number in sorted(statuses.items())]
    lines.append(f"Applications: {len(applications)}")
    lines += [
        f"  {name}: {len(application.get('units', {}))}" + (" exposed" if application["exposed"] else "")
        for name, application in document["applications"].items()
    ]
    return "\n".join(lines)


def machines_table(document: Document) -> str:
    """The machines, and the hosts that are none of the model's yet."""
    used = {entry.get("instance-id") for entry in document["machines"].values()}
    parts = _section(_MACHINES, _machines(document))
    rows = [
        (host["hostname"], "up" if host["present"] else "down", ", ".join(host["addresses"][:1]), number, host["base"])
        for number, host in sorted(document["hosts"].items(), key=lambda item: str(item[1]["hostname"]))
        if number not in used
    ]
    parts += _section(("Other host", "State", "Address", "Id", "Base"), rows)
    return "\n\n".join(parts) or "No machines to display."


def status_log_table(rows: Sequence[Mapping[str, object]]) -> str:
    """The last statuses of something."""
    if not rows:
        return "No status history available."
    cells = [[str(row[key]) for key in ("time", "type", "status", "message")] for row in rows]
    return columns(("Time", "Type", "Status", "Message"), cells)


def _section(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = ()) -> list[str]:
    return [columns(heads, rows, right=right)] if rows else []


def _applications(document: Document) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for name, application in document["applications"].items():
        status = application["application-status"]
        rows.append(
            (
                name,
                application.get("version", ""),
                status["current"],
                _scale(name, application, document),
                application["charm-name"],
                application.get("charm-channel", ""),
                str(application["charm-rev"]),
                "yes" if application["exposed"] else "no",
                status.get("message", ""),
            )
        )
    return rows


def _scale(name: str, application: Document, document: Document) -> str:
    """How many units there are, and before that how many of them are at work, if not all are."""
    units = list(application.get("units", {}).values())
    if "subordinate-to" in application:
        principals = [unit for each in document["applications"].values() for unit in each.get("units", {}).values()]
        below = [item for unit in principals for item in unit.get("subordinates", {}).items()]
        units = [unit for full_name, unit in below if full_name.rpartition("/")[0] == name]
    working = sum(unit["juju-status"]["current"] in _AT_WORK for unit in units)
    return str(len(units)) if working == len(units) else f"{working}/{len(units)}"


def _units(document: Document) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for application in document["applications"].values():
        for name, unit in application.get("units", {}).items():
            rows.append(_unit(name, unit, unit.get("machine", "")))
            for subordinate, entry in unit.get("subordinates", {}).items():
                rows.append(_unit(f"  {subordinate}", entry, ""))
    return rows


def _unit(name: str, unit: Document, machine: str) -> Sequence[str]:
    workload, agent = unit["workload-status"], unit["juju-status"]
    # Juju shows what the agent has to say only where the workload has nothing; but why it has failed is news.
    said = (agent, workload) if agent["current"] == "failed" else (workload, agent)
    return (
        name + ("*" if unit.get("leader") else ""),
        workload["current"],
        agent["current"],
        machine,
        unit.get("public-address", ""),
        ", ".join(unit.get("open-ports", ())),
        said[0].get("message", "") or said[1].get("message", ""),
    )


def _unit_line(name: str, unit: Document) -> str:
    agent, workload = unit["juju-status"]["current"], unit["workload-status"]["current"]
    ports = "".join(f" {ports}" for ports in unit.get("open-ports", ()))
    return f"{name}: {unit.get('public-address', '')} (agent:{agent}, workload:{workload}){ports}"


def _machines(document: Document) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    for number, machine in document["machines"].items():
        base = machine.get("base", {})
        status = machine["juju-status"]
        rows.append(
            (
                number,
                status["current"],
                machine.get("dns-name", ""),
                machine.get("hostname", "") or machine["instance-id"],
                f"{base['name']}@{base['channel']}" if base else "",
                "",
                status.get("message", "") or machine["machine-status"].get("message", ""),
            )
        )
    return rows


def _relations(document: Document) -> list[Sequence[str]]:
    return [
        tuple(str(relation[key]) for key in ("provider", "requirer", "interface", "type", "message"))
        for relation in document.get("integrations", ())
    ]


def _storage(document: Document) -> list[Sequence[str]]:
    rows: list[Sequence[str]] = []
    section = document.get("storage") or {}
    for storage, entry in section.get("storage", {}).items():
        status = entry["status"]
        units = (entry.get("attachments") or {}).get("units") or {"": {}}
        for unit, attachment in units.items():
            rows.append(
                (
                    unit,
                    storage,
                    entry["kind"],
                    entry.get("pool", ""),
                    attachment.get("location", ""),
                    f"{entry['size']} MiB" if "size" in entry else "",
                    status["current"],
                    status.get("message", ""),
                )
            )
    return rows
