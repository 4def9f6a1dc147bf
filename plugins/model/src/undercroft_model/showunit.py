"""One unit, or one model, as a document: the JSON shapes of juju's `show-unit` and `show-model`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotFoundError
from undercroft_hookspecs.identity import HostId
from undercroft_hookspecs.state import Settings
from undercroft_model.document import CLOUD, CONTROLLER, JUJU_VERSION, model_status
from undercroft_model.models import model_id
from undercroft_model.relations import endpoint_in, other_endpoint, relations_of
from undercroft_model.scopes import is_party
from undercroft_model.tables import RELATION_SCOPES, RELATION_SETTINGS, parts_of
from undercroft_model.view import View, read_view

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.state import Model, Relation, Unit
    from undercroft_hookspecs.store import Store

NO_CONTROLLER = HostId("00000000-0000-0000-0000-000000000000")


async def show_unit(store: Store, model: Model, unit: str) -> dict[str, object]:
    """What there is to know of a unit, its relations' data included, under its name.

    Raises:
        NotFoundError: there is no such unit.
    """
    view = await read_view(store, model)
    record = view.units.get(unit)
    if record is None:
        raise NotFoundError(unit, f'unit "{unit}" not found')
    application = parts_of(unit)[0]
    opened = view.ports.get(unit)
    relations = await relations_of(store, model_id(model), application)
    host = view.machines.get(record.machine)
    entry: dict[str, object] = {
        "workload-version": record.workload_version,
        "machine": record.machine,
        "opened-ports": [str(ports) for ports in sorted(opened.ranges)] if opened is not None else [],
        "public-address": view.address_of(record.machine),
        "charm": record.charm_url or view.applications[application].charm_url,
        "leader": view.leaders.get(application) == unit,
        "life": str(record.life),
        "relation-info": [
            await _relation(store, view, record, relation) for relation in relations if is_party(relation, record)
        ],
        "provider-id": host.host if host is not None else "",
        "address": view.address_of(record.machine),
    }
    return {unit: entry}


async def show_model(store: Store, model: Model, *, version: str = JUJU_VERSION) -> dict[str, object]:
    """What there is to know of a model, under its name."""
    view = await read_view(store, model)
    machines = {}
    for machine in view.machines.values():
        host = view.host_of(machine.id)
        machines[machine.id] = {"cores": host.cores if host is not None else 0}
    entry = {
        "name": f"{model.owner}/{model.name}",
        "short-name": model.name,
        "model-uuid": model.uuid,
        "model-type": "iaas",
        "controller-uuid": str(NO_CONTROLLER),
        "controller-name": CONTROLLER,
        "is-controller": False,
        "owner": model.owner,
        "cloud": CLOUD,
        "region": CLOUD,
        "type": "manual",
        "life": str(model.life),
        "status": model_status(model),
        "users": {
            model.owner: {"display-name": model.owner, "access": "admin", "last-connection": "never connected"},
        },
        "machines": machines,
        "sla": "unsupported",
        "agent-version": version,
        "supported-features": [],
    }
    return {model.name: entry}


async def _relation(store: Store, view: View, unit: Unit, relation: Relation) -> dict[str, object]:
    """A relation as one of its units sees it."""
    application = parts_of(unit.name)[0]
    mine, other = endpoint_in(relation, application), other_endpoint(relation, application)
    bags = await _bags(store, view, relation)
    scopes = await _in_scope(store, view, relation)
    beside = {unit.principal, *unit.subordinates}
    others = [
        name
        for name in scopes
        if parts_of(name)[0] == other.application
        and name != unit.name
        and (relation.scope != "container" or name in beside)
    ]
    return {
        "relation-id": relation.id,
        "endpoint": mine.name if mine is not None else other.name,
        "related-endpoint": other.name,
        "application-data": dict(bags.get(other.application, {})),
        "local-unit": _member(unit.name, bags, scopes),
        "related-units": {name: _member(name, bags, scopes) for name in sorted(others)},
    }


def _member(name: str, bags: Mapping[str, Mapping[str, str]], scopes: frozenset[str]) -> dict[str, object]:
    return {"in-scope": name in scopes, "data": dict(bags.get(name, {}))}


async def _bags(store: Store, view: View, relation: Relation) -> Mapping[str, Mapping[str, str]]:
    table = RELATION_SETTINGS.of(model_id(view.model))
    entries = (await store.list(table.under(str(relation.id)))).entries
    bags: dict[str, Settings] = {"/".join(table.parts(entry.key)[1:]): table.decode(entry) for entry in entries}
    return {name: bag.values for name, bag in bags.items()}


async def _in_scope(store: Store, view: View, relation: Relation) -> frozenset[str]:
    table = RELATION_SCOPES.of(model_id(view.model))
    entries = (await store.list(table.under(str(relation.id)))).entries
    return frozenset("/".join(table.parts(entry.key)[1:]) for entry in entries)
