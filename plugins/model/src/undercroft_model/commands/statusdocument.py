"""What status and its sisters show, as documents in the JSON shapes of juju."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, cast

from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.state import Life
from undercroft_model.charmrecords import charm_of, need_application
from undercroft_model.document import SPACE, status_document
from undercroft_model.hosts import read_hosts
from undercroft_model.machines import Placed
from undercroft_model.reckoning import base_of, timestamp
from undercroft_model.statuses import status_log
from undercroft_model.table import Table
from undercroft_model.tables import HOSTS, RELATIONS, UNITS
from undercroft_model.units import need_unit

if TYPE_CHECKING:
    from undercroft_hookspecs.state import Relation
    from undercroft_model.operator import Desk
    from undercroft_model.statuses import StatusKind

# Any: JSON.
Document = dict[str, Any]

REDRAW_SECONDS = 0.2


async def read_status(desk: Desk, patterns: Sequence[str] = (), *, relations: bool = False) -> Document:
    """The status of the model, or of what fits one of the patterns; `relations` adds each with both of its ends."""
    document = await status_document(desk.store, desk.record, now=desk.operator.clock.now())
    if patterns:
        document = filtered(document, patterns)
    if relations:
        shown = document["applications"]
        document["integrations"] = [
            _integration(relation)
            for relation in await _relations(desk)
            if any(endpoint.application in cast("Document", shown) for endpoint in relation.endpoints)
        ]
    return document


async def statuses(
    desk: Desk, patterns: Sequence[str] = (), *, relations: bool = False
) -> AsyncGenerator[Document, None]:
    """The status now, and again when anything has changed: several changes in a short time count as one."""
    prefix = f"/models/{desk.model}/"
    # Presence is not of the model: what is watched is all of the store, and what does not matter is passed over.
    since = (await desk.store.list(f"/models/{desk.model}/model/")).revision
    yield await read_status(desk, patterns, relations=relations)
    async with desk.store.watch("/", since=since) as commits:
        async for commit in commits:
            if commit.revision <= since:
                continue
            if not any(change.key.startswith((prefix, HOSTS.prefix)) for change in commit.changes):
                continue
            await desk.operator.clock.sleep(REDRAW_SECONDS)
            since = (await desk.store.list(f"/models/{desk.model}/model/")).revision
            yield await read_status(desk, patterns, relations=relations)


def filtered(document: Document, patterns: Sequence[str]) -> Document:
    """Only what fits one of the patterns: applications and units by name, machines by number, with what they are on."""
    applications, machines = {}, set()
    for name, application in document["applications"].items():
        units = cast("Document", application.get("units", {}))
        whole = any(fnmatchcase(name, pattern) for pattern in patterns)
        fitting = {unit: entry for unit, entry in units.items() if whole or _fits(unit, entry, patterns)}
        if whole or fitting:
            applications[name] = {**application, **({"units": fitting} if units else {})}
            machines |= {entry.get("machine") for entry in fitting.values()}
    kept = {
        number: entry
        for number, entry in document["machines"].items()
        if number in machines or any(fnmatchcase(number, pattern) for pattern in patterns)
    }
    return {**document, "applications": applications, "machines": kept}


def pruned_unit(document: Document, *, of_application: bool, endpoint: str | None, related: str | None) -> Document:
    """What show-unit was asked for of what there is."""
    pruned: Document = {}
    for name, unit in document.items():
        relations = []
        for relation in unit["relation-info"]:
            if endpoint is not None and relation["endpoint"] != endpoint:
                continue
            entry = dict(relation)
            if of_application:
                entry.pop("local-unit", None)
                entry.pop("related-units", None)
            elif related is not None:
                units = entry.get("related-units", {})
                entry["related-units"] = {key: value for key, value in units.items() if key == related}
            relations.append(entry)
        pruned[name] = {**unit, "relation-info": relations}
    return pruned


async def show_application(desk: Desk, name: str) -> Document:
    """What there is to know of an application.

    Raises:
        NotFoundError: there is none of that name.
    """
    application = await desk.look(need_application, name)
    charm = await desk.look(charm_of, application)
    endpoints = {"": SPACE, **dict.fromkeys(charm.endpoints, SPACE)}
    entry: Document = {
        "charm": application.charm_name,
        "charm-version": charm.version,
        "base": base_of(charm.bases[0]) if charm.bases else None,
        "channel": application.channel,
        "principal": not application.subordinate,
        "exposed": application.exposed,
        "remote": False,
        "life": str(application.life),
        "trust": application.trust,
        "endpoint-bindings": {**endpoints, **application.bindings},
    }
    return {key: value for key, value in entry.items() if value is not None and value != ""}


async def machines_document(desk: Desk) -> Document:
    """The machines of the model, and the hosts of the fleet."""
    document = await read_status(desk)
    table = Table(UNITS.of(desk.model).prefix, Placed)
    units: dict[str, list[str]] = {}
    for entry in (await desk.store.list(table.prefix)).entries:
        placed = table.decode(entry)
        units.setdefault(placed.machine, []).append(placed.name)
    machines = {number: {**entry, "units": units.get(number, [])} for number, entry in document["machines"].items()}
    hosts = {
        host: {
            "hostname": seen.host.hostname,
            "present": seen.present,
            "base": seen.host.base,
            "addresses": list(seen.host.addresses),
        }
        for host, seen in (await read_hosts(desk.store)).items()
    }
    return {"model": document["model"], "machines": machines, "hosts": hosts}


async def status_log_document(desk: Desk, entity: str, kind: str, number: int) -> list[dict[str, object]]:
    """The last statuses of something, oldest first.

    Raises:
        NotFoundError: there is no such unit.
        NotValidError: there is no such kind.
    """
    kinds: Mapping[str, Sequence[StatusKind]] = {
        "unit": ("agent", "unit"),
        "juju-unit": ("agent",),
        "workload": ("unit",),
        "application": ("application",),
        "machine": ("machine",),
        "model": ("model",),
    }
    if kind not in kinds:
        raise NotValidError(f'unexpected status type "{kind}": one of {", ".join(kinds)}', field="type")
    if "unit" in kinds[kind] or "agent" in kinds[kind]:
        await desk.look(need_unit, entity)
    found = []
    for each in kinds[kind]:
        for status in await desk.look(status_log, each, entity):
            label = {"agent": "juju-unit", "unit": "workload"}.get(each, each)
            found.append((status.since, label, status.current, status.message))
    found.sort()
    return [
        {"time": timestamp(since), "type": label, "status": current, "message": message}
        for since, label, current, message in found[-number:]
    ]


async def _relations(desk: Desk) -> list[Relation]:
    table = RELATIONS.of(desk.model)
    relations = [table.decode(entry) for entry in (await desk.store.list(table.prefix)).entries]
    return sorted(relations, key=lambda relation: relation.id)


def _integration(relation: Relation) -> Document:
    """A relation for the table of them; peers are on both sides."""
    ends = {endpoint.role: endpoint for endpoint in relation.endpoints}
    provider = ends.get("provider") or relation.endpoints[0]
    requirer = ends.get("requirer") or relation.endpoints[-1]
    subordinate = relation.scope == "container"
    return {
        "id": relation.id,
        "provider": str(provider),
        "requirer": str(requirer),
        "interface": provider.interface,
        "type": "peer" if provider.role == "peer" else "subordinate" if subordinate else "regular",
        "status": relation.status.current if relation.status is not None else "",
        "message": "" if relation.life is Life.ALIVE else f"{relation.life}",
    }


def _fits(unit: str, entry: Document, patterns: Sequence[str]) -> bool:
    """Whether a unit, or a subordinate on it, is asked for."""
    names = (unit, *entry.get("subordinates", {}))
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns) or any(
        entry.get("workload-status", {}).get("current") == pattern for pattern in patterns
    )
