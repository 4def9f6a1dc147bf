"""The whole status of a model as one document, in the JSON shape of juju's `status --format json`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from undercroft_hookspecs.state import Life
from undercroft_model.reckoning import application_status, base_of, status_entry, timestamp, unit_statuses
from undercroft_model.relations import other_endpoint
from undercroft_model.storage.document import storage_document
from undercroft_model.view import View, read_view

if TYPE_CHECKING:
    from datetime import datetime

    from undercroft_hookspecs.state import Application, Machine, Model, Relation, Status, Unit
    from undercroft_hookspecs.store import Store

JUJU_VERSION = "3.6.9"
CONTROLLER = "undercroft"
CLOUD = "localhost"
SPACE = "alpha"


async def status_document(
    store: Store, model: Model, *, now: datetime, version: str = JUJU_VERSION
) -> dict[str, object]:
    """The status of a model; `now` is its timestamp, and `version` the juju version that it is to be of."""
    view = await read_view(store, model)
    return await asyncio.to_thread(document_of, view, now=now, version=version)


def document_of(view: View, *, now: datetime, version: str = JUJU_VERSION) -> dict[str, object]:
    """The document of what was read."""
    related = _related(view.relations)
    return {
        "model": model_entry(view.model, version),
        "machines": {
            machine.id: _machine(view, machine, version)
            for machine in sorted(view.machines.values(), key=lambda machine: machine.id)
        },
        "applications": {
            name: _application(view, application, related.get(name, ()), version)
            for name, application in sorted(view.applications.items())
        },
        "storage": storage_document(view.storage),
        "controller": {"timestamp": f"{now:%H:%M:%SZ}"},
    }


def model_entry(model: Model, version: str = JUJU_VERSION) -> dict[str, object]:
    """The document's section about the model itself."""
    return {
        "name": model.name,
        "type": "iaas",
        "controller": CONTROLLER,
        "cloud": CLOUD,
        "region": CLOUD,
        "version": version,
        "model-status": model_status(model),
        "sla": "unsupported",
    }


def model_status(model: Model) -> dict[str, object]:
    """How the model stands: available, or being destroyed."""
    current = "available" if model.life is Life.ALIVE else "destroying"
    return {"current": current, "since": timestamp(model.created)}


def _related(relations: Sequence[Relation]) -> Mapping[str, Sequence[Relation]]:
    related = defaultdict(list)
    for relation in relations:
        for endpoint in relation.endpoints:
            related[endpoint.application].append(relation)
    return related


def _machine(view: View, machine: Machine, version: str) -> dict[str, object]:
    host = view.host_of(machine.id)
    present = view.is_present(machine.id)
    agent: dict[str, object] = {"current": "started" if present else "down"}
    if not present:
        agent["message"] = "agent is not communicating with the server"
    if machine.created is not None:
        agent["since"] = timestamp(machine.created)
    agent["version"] = version
    if machine.life is not Life.ALIVE:
        agent["life"] = str(machine.life)
    entry: dict[str, object] = {
        "juju-status": agent,
        "instance-id": machine.host,
        "machine-status": {"current": "running", "since": agent.get("since", "")},
        "modification-status": {"current": "applied", "since": agent.get("since", "")},
        "network-interfaces": {},
    }
    if host is not None:
        entry |= {
            "hostname": host.hostname,
            "display-name": host.hostname,
            "dns-name": view.address_of(machine.id),
            "ip-addresses": list(host.addresses),
            "hardware": f"cores={host.cores} mem={host.memory_mib}M",
        }
        if host.base:
            entry["base"] = base_of(host.base)
    return entry


def _application(
    view: View, application: Application, relations: Sequence[Relation], version: str
) -> dict[str, object]:
    charm = view.charms.get(application.charm)
    units = view.units_of.get(application.name, ())
    shown = {unit.name: unit_statuses(view, unit) for unit in units}
    entry: dict[str, object] = {
        "charm": application.charm_url,
        "charm-origin": "local",
        "charm-name": application.charm_name,
        "charm-rev": int(application.charm_url.rpartition("-")[2]),
        "exposed": application.exposed,
        "application-status": status_entry(application_status(view, application.name, list(shown.values()))),
        "relations": _relations(application.name, relations),
        "endpoint-bindings": {"": SPACE, **dict.fromkeys(charm.endpoints if charm is not None else (), SPACE)},
    }
    base = _base(view, application, units)
    optional = {
        "base": base_of(base) if base else "",
        "charm-channel": application.channel,
        "charm-version": charm.version if charm is not None else "",
        "life": "" if application.life is Life.ALIVE else str(application.life),
        "version": _workload_version(view, application.name, units),
        "subordinate-to": _principals(application, relations),
    }
    entry |= {key: value for key, value in optional.items() if value}
    if not application.subordinate:
        entry["units"] = {unit.name: _unit(view, unit, version, statuses=shown[unit.name]) for unit in units}
    return entry


def _relations(application: str, relations: Sequence[Relation]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    for relation in relations:
        other = other_endpoint(relation, application)
        mine = relation.endpoints[0] if relation.endpoints[0].application == application else relation.endpoints[-1]
        seen = {"related-application": other.application, "interface": other.interface, "scope": relation.scope}
        found.setdefault(mine.name, []).append(seen)
    return found


def _principals(application: Application, relations: Sequence[Relation]) -> list[str]:
    if not application.subordinate:
        return []
    related = (relation for relation in relations if relation.scope == "container")
    return sorted({other_endpoint(relation, application.name).application for relation in related})


def _base(view: View, application: Application, units: Sequence[Unit]) -> str:
    """What the application runs on: its units' host, or what its charm is made for."""
    host = view.host_of(units[0].machine) if units else None
    if host is not None and host.base:
        return host.base
    charm = view.charms.get(application.charm)
    return charm.bases[0] if charm is not None and charm.bases else ""


def _workload_version(view: View, application: str, units: Sequence[Unit]) -> str:
    leader = view.units.get(view.leaders.get(application, ""))
    if leader is not None and leader.workload_version:
        return leader.workload_version
    return next((unit.workload_version for unit in units if unit.workload_version), "")


def _unit(view: View, unit: Unit, version: str, *, statuses: tuple[Status, Status] | None = None) -> dict[str, object]:
    workload, agent = statuses or unit_statuses(view, unit)
    entry: dict[str, object] = {
        "workload-status": status_entry(workload),
        "juju-status": status_entry(agent, version=version if unit.charm_url else ""),
    }
    if unit.life is not Life.ALIVE:
        entry["juju-status"] = {**status_entry(agent, version=version), "life": str(unit.life)}
    application = unit.name.partition("/")[0]
    present = view.applications.get(application)
    outdated = present is not None and unit.charm_url not in ("", present.charm_url)
    opened = view.ports.get(unit.name)
    optional = {
        "leader": view.leaders.get(application) == unit.name,
        "upgrading-from": unit.charm_url if outdated else "",
        "machine": "" if unit.principal else unit.machine,
        "open-ports": [str(ports) for ports in sorted(opened.ranges)] if opened is not None else [],
        "public-address": view.address_of(unit.machine),
        "subordinates": {
            name: _unit(view, view.units[name], version) for name in unit.subordinates if name in view.units
        },
    }
    return entry | {key: value for key, value in optional.items() if value}
