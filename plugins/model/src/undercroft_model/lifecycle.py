"""The end of things: what is dying is taken down, and what is dead is removed with all that belongs to it.

A transaction takes 100 operations, and what has to go can be more. So whatever ends leaves a note in `cleanups/`, and
`reap` works the notes off in batches. Every step can be run again, by several at a time and after a crash at any point;
a record goes last, when nothing of it is left.

    application   dying: its relations and units die; gone once the last of them is
    relation      dying: gone once nobody is in its scope, or at once with force
    unit          dead: gone, and its subordinates with it
    machine       dying: gone once no unit is on it
    charm         gone once neither an application nor a unit has it
    model         dying: its applications die; everything goes once the last of them has
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import msgspec

from undercroft_hookspecs.state import Life
from undercroft_hookspecs.store import Check, Conflict, Delete
from undercroft_model.applications import remove_application
from undercroft_model.cleanups import LOSS, note_loss
from undercroft_model.leftovers import Leftovers, read_leftovers
from undercroft_model.machines import units_on
from undercroft_model.relations import endpoint_in, other_endpoint, relation_dying, relations_of
from undercroft_model.scopes import leave_scope
from undercroft_model.sweep import batches, delete_all, keys_under
from undercroft_model.table import ModelTable
from undercroft_model.tables import (
    APPLICATIONS,
    CHARM_REVISIONS,
    CHARMS,
    CLEANUPS,
    MACHINES,
    MODEL,
    MODEL_NAMES,
    RELATION_KEYS,
    RELATION_SCOPES,
    RELATION_SETTINGS,
    RELATIONS,
    RESOURCES,
    STATUS,
    STATUS_LOG,
    UNITS,
    parts_of,
)
from undercroft_model.transaction import change
from undercroft_model.units import unit_dying

if TYPE_CHECKING:
    import random

    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Application, Machine, Model, Relation, Unit
    from undercroft_hookspecs.store import Entry, Store
    from undercroft_hookspecs.worker import Clock
    from undercroft_model.cleanups import CleanupKind
    from undercroft_model.rows import Cleanup
    from undercroft_model.transaction import Transaction

P = ParamSpec("P")
R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")

MARKED_AT_ONCE = 20
"""How many units are marked in one transaction: each takes up to four operations."""

UNITS_AT_ONCE = 16
"""How many units are removed side by side: their commits share the disk's time."""

logger = logging.getLogger(__name__)


class Mortal(msgspec.Struct, frozen=True):
    """Of a record, only where in its life it is."""

    life: Life


async def reap(store: Store, model: ModelId, *, clock: Clock, rng: random.Random) -> None:
    """Work off all notes of a model, and those that come of it."""
    reaper = Reaper(store, model, clock=clock, rng=rng)
    while await reaper.work_off():
        pass


class Reaper:
    """Works off the notes of one model."""

    def __init__(self, store: Store, model: ModelId, *, clock: Clock, rng: random.Random) -> None:
        self._store, self._model = store, model
        self._clock, self._rng = clock, rng
        self._leftovers: Leftovers
        self._room = asyncio.Semaphore(UNITS_AT_ONCE)
        self._steps: Mapping[str, Callable[[tuple[str, ...], bool], Awaitable[None]]] = {
            "application": self._application,
            "relation": self._relation,
            "unit": self._unit,
            "machine": self._machine,
            "charm": self._charm,
            "model": self._whole_model,
        }

    async def work_off(self) -> bool:
        """Work off the notes that are there now; says whether there were any."""
        notes = (await self._store.list(CLEANUPS.of(self._model).prefix)).entries
        if not notes:
            return False
        self._leftovers = await read_leftovers(self._store, self._model)
        is_unit = [self._subject(entry)[0] == "unit" for entry in notes]
        await self._units([entry for entry, unit in zip(notes, is_unit, strict=True) if unit])
        for entry, unit in zip(notes, is_unit, strict=True):
            if not unit:
                await self._note(entry)
        return True

    async def _units(self, notes: Sequence[Entry]) -> None:
        async def one(entry: Entry) -> None:
            async with self._room:
                await self._note(entry)

        async with asyncio.TaskGroup() as tasks:
            for entry in notes:
                tasks.create_task(one(entry))
        gone = ["/".join(self._subject(entry)[1:]) for entry in notes]
        await delete_all(self._store, self._leftovers.operations_without(gone))

    async def _note(self, entry: Entry) -> None:
        """Do what a note asks for, and take it away unless it was written anew meanwhile."""
        kind, *parts = self._subject(entry)
        step = self._steps.get(kind)
        if step is None:
            logger.warning("a note asks for the removal of something unknown, and is dropped: %s", entry.key)
        else:
            note: Cleanup = CLEANUPS.of(self._model).decode(entry)
            await step(tuple(parts), note.force)
        try:
            await self._store.transact([Check(entry.key, entry.revision)], [Delete(entry.key)])
        except Conflict:
            return  # There is more to look at, or somebody else was faster.

    def _subject(self, entry: Entry) -> tuple[str, ...]:
        parts = CLEANUPS.of(self._model).parts(entry.key)
        return parts[1:] if parts[0] == LOSS else parts

    async def _application(self, parts: tuple[str, ...], force: bool) -> None:
        name = parts[0]
        application = await self._get(APPLICATIONS, name)
        if application is None or application.life is Life.ALIVE:
            return
        units = await self._list(UNITS, name)
        await self._kill_units([unit for unit in units if force or unit.life is Life.ALIVE], force=force)
        relations = await relations_of(self._store, self._model, name)
        for relation in relations:
            is_peer = relation.endpoints[0].role == "peer"
            # Peers are the last to go: units see one another until they are gone.
            if not is_peer or not units:
                await self._run(_kill_relation, relation.id, force=force or is_peer)
        if units or relations:
            return
        keys = self._leftovers.of_application(name)
        await delete_all(self._store, [*keys, *await keys_under(self._store, RESOURCES.of(self._model).under(name))])

        await self._run(_bury_application, name)

    async def _relation(self, parts: tuple[str, ...], force: bool) -> None:
        relation = await self._get(RELATIONS, *parts)
        if relation is None or relation.life is Life.ALIVE:
            return
        scopes = await keys_under(self._store, RELATION_SCOPES.of(self._model).under(*parts))
        if scopes and not force:
            return
        settings = await keys_under(self._store, RELATION_SETTINGS.of(self._model).under(*parts))
        await delete_all(self._store, [*scopes, *settings, *self._leftovers.of_relation(relation.id)])
        await self._kill_subordinates(relation)

        await self._run(_bury_relation, relation)

    async def _kill_subordinates(self, relation: Relation) -> None:
        """Subordinates live as long as a relation with their principal's application."""
        if relation.scope != "container":
            return
        for endpoint in relation.endpoints:
            units = [unit for unit in await self._list(UNITS, endpoint.application) if unit.principal]
            principal = other_endpoint(relation, endpoint.application).application
            orphans = [unit for unit in units if parts_of(unit.principal)[0] == principal]
            if orphans and not await self._joined_otherwise(relation, endpoint.application):
                await self._kill_units(orphans)

    async def _joined_otherwise(self, relation: Relation, application: str) -> bool:
        principal = other_endpoint(relation, application).application
        return any(
            other.id != relation.id
            and other.life is Life.ALIVE
            and other.scope == "container"
            and endpoint_in(other, principal) is not None
            for other in await relations_of(self._store, self._model, application)
        )

    async def _unit(self, parts: tuple[str, ...], force: bool) -> None:
        unit = await self._get(UNITS, *parts)
        if unit is None or unit.life is not Life.DEAD:
            return
        if unit.subordinates:
            for batch in batches(unit.subordinates, MARKED_AT_ONCE):
                await self._run(_mark_units, batch, force=True)
            return  # The last of them notes that it is gone.
        for relation in self._leftovers.relations.values():
            if endpoint_in(relation, parts[0]) is not None:
                await self._run(leave_scope, relation.id, unit.name)
        await delete_all(self._store, self._leftovers.of_unit(unit.name))
        await self._run(_bury_unit, unit)

    async def _machine(self, parts: tuple[str, ...], force: bool) -> None:
        machine = await self._get(MACHINES, *parts)
        if machine is None or machine.life is Life.ALIVE:
            return
        names = await units_on(self._store, self._model, machine.id)
        if force:
            units = [await self._get(UNITS, *parts_of(name)) for name in names]
            await self._kill_units([unit for unit in units if unit is not None], force=True)
        if names:
            return
        statuses = [table.of(self._model).key("machine", *parts) for table in (STATUS, STATUS_LOG)]
        await delete_all(self._store, [MACHINES.of(self._model).key(*parts), *statuses])

    async def _charm(self, parts: tuple[str, ...], force: bool) -> None:
        await self._run(_bury_charm, parts[0])

    async def _whole_model(self, parts: tuple[str, ...], force: bool) -> None:
        record = await self._get(MODEL, "self")
        if record is None or record.life is Life.ALIVE:
            return
        applications = await self._list(APPLICATIONS)
        for application in applications:
            if force or application.life is Life.ALIVE:
                await self._run(_kill_application, application.name, force=force)
        if applications:
            return
        notes = [CLEANUPS.of(self._model).key(*loss, "model", "self") for loss in ((), (LOSS,))]
        last = {MODEL.of(self._model).key("self"), *notes}
        # Again until nothing comes any more: an agent may not have noticed yet.
        while keys := set(await keys_under(self._store, f"/models/{self._model}/")) - last:
            await delete_all(self._store, keys)
        await delete_all(self._store, [*last, MODEL_NAMES.key(record.name)])

    async def _kill_units(self, units: Sequence[Unit], *, force: bool = False) -> None:
        for batch in batches([unit.name for unit in units], MARKED_AT_ONCE):
            await self._run(_mark_units, batch, force=force)

    async def _get(self, table: ModelTable[R], *parts: str) -> R | None:
        rows = table.of(self._model)
        entry = await self._store.get(rows.key(*parts))
        return None if entry is None else rows.decode(entry)

    async def _list(self, table: ModelTable[R], *parts: str) -> list[R]:
        rows = table.of(self._model)
        return [rows.decode(entry) for entry in (await self._store.list(rows.under(*parts))).entries]

    async def _run(
        self, operation: Callable[Concatenate[Transaction, ModelId, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one operation of this model as a change of its own."""

        async def decide(tx: Transaction) -> T:
            return await operation(tx, self._model, *args, **kwargs)

        return await change(self._store, decide, clock=self._clock, rng=self._rng)


async def _kill_application(tx: Transaction, model: ModelId, name: str, *, force: bool) -> None:
    if await tx.get(APPLICATIONS.of(model), name) is not None:
        await remove_application(tx, model, name, force=force)


async def _mark_units(tx: Transaction, model: ModelId, names: Sequence[str], *, force: bool) -> None:
    for name in names:
        await unit_dying(tx, model, name, force=force)


async def _kill_relation(tx: Transaction, model: ModelId, relation: int, *, force: bool) -> None:
    present = await tx.get(RELATIONS.of(model), str(relation))
    if present is not None and (force or present.life is Life.ALIVE):
        await relation_dying(tx, model, present, force=force)


async def _bury_application(tx: Transaction, model: ModelId, name: str) -> None:
    application = await tx.get(APPLICATIONS.of(model), name)
    if application is not None:
        tx.delete(APPLICATIONS.of(model), name)
        note_loss(tx, model, "charm", application.charm)
        await _note_if_dying(tx, model, MODEL, "model", "self")


async def _bury_relation(tx: Transaction, model: ModelId, relation: Relation) -> None:
    index = await tx.get(RELATION_KEYS.of(model), relation.key)
    if index is not None and index.id == relation.id:
        tx.delete(RELATION_KEYS.of(model), relation.key)
    tx.delete(RELATIONS.of(model), str(relation.id))
    for endpoint in relation.endpoints:
        await _note_if_dying(tx, model, APPLICATIONS, "application", endpoint.application)


async def _bury_unit(tx: Transaction, model: ModelId, unit: Unit) -> None:
    parts = parts_of(unit.name)
    if await tx.get(UNITS.of(model), *parts) is None:
        return
    tx.delete(UNITS.of(model), *parts)
    if unit.principal:
        await _forget_subordinate(tx, model, unit)
    if unit.charm:
        note_loss(tx, model, "charm", unit.charm)
    await _note_if_dying(tx, model, APPLICATIONS, "application", parts[0])
    await _note_if_dying(tx, model, MACHINES, "machine", *parts_of(unit.machine))


async def _forget_subordinate(tx: Transaction, model: ModelId, unit: Unit) -> None:
    principal = await tx.get(UNITS.of(model), *parts_of(unit.principal))
    if principal is None:
        return
    left = tuple(name for name in principal.subordinates if name != unit.name)
    record = msgspec.structs.replace(principal, subordinates=left)
    tx.put(UNITS.of(model), *parts_of(unit.principal), record=record)
    if principal.life is Life.DEAD and not left:
        note_loss(tx, model, "unit", *parts_of(unit.principal))


async def _bury_charm(tx: Transaction, model: ModelId, sha256: str) -> None:
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
