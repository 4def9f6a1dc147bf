"""What there is to be, as charms ask for it with `goal-state`: the units of their application, and those related."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from undercroft_hookspecs.state import Life
from undercroft_model.relations import endpoint_in, other_endpoint, relations_of
from undercroft_model.scopes import is_party
from undercroft_model.tables import STATUS, UNITS, parts_of
from undercroft_model.units import need_unit

if TYPE_CHECKING:
    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Relation, Status, Unit
    from undercroft_model.transaction import Transaction

Goals = dict[str, object]


async def goal_state(tx: Transaction, model: ModelId, unit: str) -> Mapping[str, object]:
    """The document of `goal-state`: `units`, and `relations` by endpoint, each with its status and since when.

    Raises:
        NotFoundError: there is no such unit.
    """
    viewer = await need_unit(tx, model, unit)
    application = parts_of(unit)[0]
    relations: dict[str, Goals] = {}
    for relation in await relations_of(tx.store, model, application):
        endpoint = endpoint_in(relation, application)
        remote = other_endpoint(relation, application).application
        if endpoint is None or remote == application or not is_party(relation, viewer):
            continue
        goals = relations.setdefault(endpoint.name, {})
        goals[remote] = _of_relation(relation)
        goals.update(await _units(tx, model, remote, relation, viewer))
    return {"units": await _units(tx, model, application, None, viewer), "relations": relations}


async def _units(tx: Transaction, model: ModelId, application: str, relation: Relation | None, viewer: Unit) -> Goals:
    statuses = await tx.look(STATUS.of(model), "unit", application)
    beside = {viewer.principal, *viewer.subordinates}
    goals: Goals = {}
    for parts, unit in (await tx.look(UNITS.of(model), application)).items():
        if relation is not None and relation.scope == "container" and unit.name not in beside:
            continue
        goals[unit.name] = _of_unit(unit, statuses.get(("unit", *parts)))
    return goals


def _of_unit(unit: Unit, status: Status | None) -> Goals:
    current = status.current if status is not None else "waiting"
    if unit.life is not Life.ALIVE:
        current = str(unit.life)
    return _goal(current, status.since if status is not None else unit.created)


def _of_relation(relation: Relation) -> Goals:
    if relation.status is None:
        return _goal("joined", None)
    return _goal(relation.status.current, relation.status.since)


def _goal(current: str, since: datetime | None) -> Goals:
    shown = f"{since.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}" if since is not None else ""
    return {"status": current, "since": shown}
