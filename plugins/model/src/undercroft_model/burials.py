"""The single transactions by which things are let die and, once nothing of them is left, removed.

Whoever waits for what goes is told by a note in the same transaction: see `cleanups`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.state import Life, RemovedUnit
from undercroft_model.applications import remove_application
from undercroft_model.blobholds import note_blob
from undercroft_model.cleanups import note_loss
from undercroft_model.relations import relation_dying
from undercroft_model.table import ModelTable
from undercroft_model.tables import (
    APPLICATIONS,
    CHARM_REVISIONS,
    CHARMS,
    MACHINES,
    MODEL,
    RELATION_KEYS,
    RELATIONS,
    REMOVED_UNITS,
    UNITS,
    parts_of,
)
from undercroft_model.units import unit_dying

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Application, Machine, Model, Relation, Unit
    from undercroft_model.cleanups import CleanupKind
    from undercroft_model.transaction import Transaction


class Mortal(msgspec.Struct, frozen=True):
    """Of a record, only where in its life it is."""

    life: Life


async def kill_application(tx: Transaction, model: ModelId, name: str, *, force: bool) -> None:
    """Let an application die, if it is there."""
    if await tx.get(APPLICATIONS.of(model), name) is not None:
        await remove_application(tx, model, name, force=force)


async def mark_units(tx: Transaction, model: ModelId, names: Sequence[str], *, force: bool) -> None:
    """Let units die; as many as fit into a transaction."""
    for name in names:
        await unit_dying(tx, model, name, force=force)


async def kill_relation(tx: Transaction, model: ModelId, relation: int, *, force: bool) -> None:
    """Let a relation die, if it is there; with force even if it is dying."""
    present = await tx.get(RELATIONS.of(model), str(relation))
    if present is not None and (force or present.life is Life.ALIVE):
        await relation_dying(tx, model, present, force=force)


async def bury_application(tx: Transaction, model: ModelId, dying: Application) -> None:
    """Remove the record of an application that is dying, unless it is another one's by now, and tell its charm and its
    model.
    """
    name = dying.name
    application = await tx.get(APPLICATIONS.of(model), name)
    # Each deployment has a URL of its own.
    if application is not None and application.life is not Life.ALIVE and application.charm_url == dying.charm_url:
        tx.delete(APPLICATIONS.of(model), name)
        note_loss(tx, model, "charm", application.charm)
        await _note_if_dying(tx, model, MODEL, "model", "self")


async def bury_relation(tx: Transaction, model: ModelId, relation: Relation) -> None:
    """Remove a relation's record, and tell its applications."""
    index = await tx.get(RELATION_KEYS.of(model), relation.key)
    if index is not None and index.id == relation.id:
        tx.delete(RELATION_KEYS.of(model), relation.key)
    tx.delete(RELATIONS.of(model), str(relation.id))
    for endpoint in relation.endpoints:
        await _note_if_dying(tx, model, APPLICATIONS, "application", endpoint.application)


async def bury_unit(tx: Transaction, model: ModelId, unit: Unit) -> None:
    """Remove the record of a unit that is dead, unless it is another one's by now, and tell its principal, charm,
    application and machine.
    """
    parts = parts_of(unit.name)
    present = await tx.get(UNITS.of(model), *parts)
    if present is None or present.life is not Life.DEAD:
        return
    tx.delete(UNITS.of(model), *parts)
    await _tell_host(tx, model, unit)
    if unit.principal:
        await _forget_subordinate(tx, model, unit)
    if unit.charm:
        note_loss(tx, model, "charm", unit.charm)
    await _note_if_dying(tx, model, APPLICATIONS, "application", parts[0])
    await _note_if_dying(tx, model, MACHINES, "machine", *parts_of(unit.machine))


async def _tell_host(tx: Transaction, model: ModelId, unit: Unit) -> None:
    """Have the unit's host know that it is gone, even if nobody there is looking now."""
    machine = await tx.get(MACHINES.of(model), *parts_of(unit.machine)) if unit.machine else None
    if machine is not None and machine.host:
        removed = RemovedUnit(model=str(model), unit=unit.name, created=unit.created)
        tx.put(REMOVED_UNITS, machine.host, str(model), *parts_of(unit.name), record=removed)


async def _forget_subordinate(tx: Transaction, model: ModelId, unit: Unit) -> None:
    principal = await tx.get(UNITS.of(model), *parts_of(unit.principal))
    if principal is None:
        return
    left = tuple(name for name in principal.subordinates if name != unit.name)
    record = msgspec.structs.replace(principal, subordinates=left)
    tx.put(UNITS.of(model), *parts_of(unit.principal), record=record)
    if principal.life is Life.DEAD and not left:
        note_loss(tx, model, "unit", *parts_of(unit.principal))


async def bury_charm(tx: Transaction, model: ModelId, sha256: str) -> None:
    """Remove a charm's record, unless somebody has that charm."""
    charm = await tx.get(CHARMS.of(model), sha256)
    if charm is None:
        return
    # Whoever begins to use a charm counts this up: it is read before we look who does.
    await tx.get(CHARM_REVISIONS.of(model), charm.name)
    applications = (await tx.look(APPLICATIONS.of(model))).values()
    if any(application.charm == sha256 for application in applications):
        return
    units = (await tx.look(UNITS.of(model))).values()
    if not any(unit.charm == sha256 for unit in units):
        tx.delete(CHARMS.of(model), sha256)
        note_blob(tx, sha256)


async def _note_if_dying(
    tx: Transaction,
    model: ModelId,
    table: ModelTable[Application] | ModelTable[Machine] | ModelTable[Model],
    kind: CleanupKind,
    *parts: str,
) -> None:
    record = await tx.get(ModelTable(table.name, Mortal).of(model), *parts)
    if record is not None and record.life is not Life.ALIVE:
        note_loss(tx, model, kind, *parts)
