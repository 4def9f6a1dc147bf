"""Scopes: which units take part in a relation.

A unit enters when it begins to take part, with its first settings, and leaves when it is through. In between it may be
departing: no longer shown to the others, though they can still read what it said. What a unit said stays readable until
the relation is removed.

In a relation of container scope units see only those on their own principal. Subordinates come into being there: the
first time that a principal enters, with it and beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.errors import CannotEnterScope, CannotEnterScopeYet
from undercroft_hookspecs.state import Life, Settings, Unit
from undercroft_model.cleanups import note_loss
from undercroft_model.relations import endpoint_in, need_relation, other_endpoint
from undercroft_model.rows import Scope
from undercroft_model.tables import (
    APPLICATIONS,
    RELATION_SCOPES,
    RELATION_SETTINGS,
    RELATIONS,
    UNITS,
    parts_of,
)
from undercroft_model.units import need_unit

if TYPE_CHECKING:
    from datetime import datetime

    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Endpoint, Relation
    from undercroft_model.transaction import Transaction


async def enter_scope(
    tx: Transaction, model: ModelId, relation: int, unit: str, *, settings: Mapping[str, str], now: datetime
) -> None:
    """Let a unit take part in a relation, with these settings to begin with; nothing if it does already.

    Raises:
        CannotEnterScope: the unit or the relation is gone or on its way out, or the relation is none of the unit's.
        CannotEnterScopeYet: a subordinate has to come into being beside it, but the one before is not gone yet.
    """
    record = await tx.get(RELATIONS.of(model), str(relation))
    entering = await tx.get(UNITS.of(model), *parts_of(unit))
    if record is None or record.life is not Life.ALIVE:
        raise CannotEnterScope(f"unit {unit} cannot enter relation {relation}: it is gone or being removed")
    if entering is None or entering.life is not Life.ALIVE:
        raise CannotEnterScope(f"unit {unit} cannot enter relation {relation}: the unit is gone or being removed")
    endpoint = endpoint_in(record, parts_of(unit)[0])
    if endpoint is None or not is_party(record, entering):
        raise CannotEnterScope(f'unit {unit} has no part in relation "{record.key}"')
    if record.scope == "container" and not entering.principal:
        await _ensure_subordinate(tx, model, entering, other_endpoint(record, endpoint.application), now)
    scope = await tx.get(RELATION_SCOPES.of(model), str(relation), *parts_of(unit))
    if scope is None:
        bag = Settings(values=dict(settings))
        tx.put(RELATION_SETTINGS.of(model), str(relation), *parts_of(unit), record=bag)
    if scope is None or scope.departing:
        tx.put(RELATION_SCOPES.of(model), str(relation), *parts_of(unit), record=Scope(entered=now))


async def depart_scope(tx: Transaction, model: ModelId, relation: int, unit: str) -> None:
    """Show a unit to the others no longer; nothing if it is not in the relation's scope."""
    scope = await tx.get(RELATION_SCOPES.of(model), str(relation), *parts_of(unit))
    if scope is not None:
        departing = msgspec.structs.replace(scope, departing=True)
        tx.put(RELATION_SCOPES.of(model), str(relation), *parts_of(unit), record=departing)


async def leave_scope(tx: Transaction, model: ModelId, relation: int, unit: str) -> None:
    """Take a unit out of a relation's scope; nothing if it is not in it. The last one to leave a dying one ends it."""
    if await tx.get(RELATION_SCOPES.of(model), str(relation), *parts_of(unit)) is None:
        return
    tx.delete(RELATION_SCOPES.of(model), str(relation), *parts_of(unit))
    record = await tx.get(RELATIONS.of(model), str(relation))
    if record is not None and record.life is not Life.ALIVE:
        note_loss(tx, model, "relation", str(relation))


async def members(tx: Transaction, model: ModelId, relation: int, *, seen_by: str) -> list[str]:
    """The units that a unit sees in a relation, sorted as text: of the other side, and on its own principal only in
    container scope.

    Raises:
        NotFoundError: there is no such relation or unit.
    """
    record = await need_relation(tx, model, relation)
    viewer = await need_unit(tx, model, seen_by)
    application = other_endpoint(record, parts_of(seen_by)[0]).application
    scopes = await tx.look(RELATION_SCOPES.of(model), str(relation), application)
    names = ["/".join(parts[1:]) for parts, scope in scopes.items() if not scope.departing]
    if record.scope == "container":
        beside = {viewer.principal, *viewer.subordinates}
        names = [name for name in names if name in beside]
    return sorted(name for name in names if name != seen_by)


def is_party(relation: Relation, unit: Unit) -> bool:
    """Whether a relation of a unit's application is also the unit's: a subordinate has no part in those of its
    application with other principals."""
    application = parts_of(unit.name)[0]
    if relation.scope != "container" or not unit.principal or len(relation.endpoints) == 1:
        return True
    return other_endpoint(relation, application).application == parts_of(unit.principal)[0]


async def _ensure_subordinate(
    tx: Transaction, model: ModelId, principal: Unit, endpoint: Endpoint, now: datetime
) -> None:
    application = await tx.get(APPLICATIONS.of(model), endpoint.application)
    if application is None or application.life is not Life.ALIVE:
        raise CannotEnterScope(f"unit {principal.name} cannot enter: {endpoint.application} is gone or being removed")
    if not application.subordinate:
        return
    for name in principal.subordinates:
        if parts_of(name)[0] == application.name:
            present = await tx.get(UNITS.of(model), *parts_of(name))
            if present is not None and present.life is Life.ALIVE:
                return
            raise CannotEnterScopeYet(f"unit {principal.name} cannot enter yet: {name} is still being removed")
    name = f"{application.name}/{application.next_unit}"
    born = Unit(name=name, machine=principal.machine, principal=principal.name, created=now)
    tx.put(UNITS.of(model), *parts_of(name), record=born)
    grown = msgspec.structs.replace(principal, subordinates=(*principal.subordinates, name))
    tx.put(UNITS.of(model), *parts_of(principal.name), record=grown)
    counted = msgspec.structs.replace(application, next_unit=application.next_unit + 1)
    tx.put(APPLICATIONS.of(model), application.name, record=counted)
