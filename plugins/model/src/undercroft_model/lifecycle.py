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
from undercroft_hookspecs.store import Check, Conflict, Delete, Revision
from undercroft_model.blobholds import note_blobs
from undercroft_model.burials import (
    Mortal,
    bury_application,
    bury_charm,
    bury_relation,
    bury_unit,
    kill_application,
    kill_relation,
    mark_units,
)
from undercroft_model.cleanups import LOSS
from undercroft_model.leftovers import Leftovers, read_leftovers
from undercroft_model.machines import units_on
from undercroft_model.relations import endpoint_in, other_endpoint, relations_of
from undercroft_model.scopes import leave_scope
from undercroft_model.storage.ending import doom_storage, let_go
from undercroft_model.sweep import batches, delete_all, keys_under
from undercroft_model.table import ModelTable
from undercroft_model.tables import (
    APPLICATIONS,
    CHARMS,
    CLEANUPS,
    MACHINES,
    MODEL,
    MODEL_NAMES,
    RELATION_SCOPES,
    RELATION_SETTINGS,
    RELATIONS,
    RESOURCES,
    STATUS,
    STATUS_LOG,
    STORAGE,
    UNITS,
    parts_of,
)
from undercroft_model.transaction import change

if TYPE_CHECKING:
    import random

    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Relation, Unit
    from undercroft_hookspecs.store import Entry, Store
    from undercroft_hookspecs.worker import Clock
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
        self._belongings: Mapping[str, tuple[ModelTable[Mortal], Callable[..., Awaitable[list[str]]]]] = {
            "application": (ModelTable(APPLICATIONS.name, Mortal), self._of_application),
            "relation": (ModelTable(RELATIONS.name, Mortal), self._of_relation),
            "unit": (ModelTable(UNITS.name, Mortal), self._of_unit),
        }
        self._doom = {"application": Life.DYING, "relation": Life.DYING, "unit": Life.DEAD}

    async def work_off(self) -> bool:
        """Work off the notes that are there now; says whether there were any."""
        notes = (await self._store.list(CLEANUPS.of(self._model).prefix)).entries
        if not notes:
            return False
        self._leftovers = await read_leftovers(self._store, self._model)
        units = [entry for entry in notes if self._subject(entry)[0] == "unit"]
        names = ["/".join(self._subject(entry)[1:]) for entry in units]
        await delete_all(self._store, self._leftovers.operations_without(names))
        await self._side_by_side(self._step, units)
        for entry in notes:
            if entry not in units:
                await self._step(entry)
        # What was written of something between its sweep and its burial: nothing more can come after that.
        self._leftovers = await read_leftovers(self._store, self._model)
        await self._side_by_side(self._finish, notes)
        return True

    async def _side_by_side(self, step: Callable[[Entry], Awaitable[None]], notes: Sequence[Entry]) -> None:
        async def one(entry: Entry) -> None:
            async with self._room:
                await step(entry)

        try:
            async with asyncio.TaskGroup() as tasks:
                for entry in notes:
                    tasks.create_task(one(entry))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from failed

    async def _step(self, entry: Entry) -> None:
        """Do what a note asks for."""
        kind, *parts = self._subject(entry)
        step = self._steps.get(kind)
        if step is None:
            logger.warning("a note asks for the removal of something unknown, and is dropped: %s", entry.key)
            return
        note: Cleanup = CLEANUPS.of(self._model).decode(entry)
        try:
            await step(tuple(parts), note.force)
        except Conflict:
            logger.debug("somebody else is about %s, too: it is looked at again", entry.key)

    async def _finish(self, entry: Entry) -> None:
        """Take away what is left of something that is gone, and the note unless it was written anew meanwhile."""
        kind, *parts = self._subject(entry)
        try:
            if kind in self._belongings:
                await self._sweep(kind, *parts, only_if_gone=True)
            await self._store.transact([Check(entry.key, entry.revision)], [Delete(entry.key)])
        except Conflict:
            return  # There is more to look at, or somebody else was faster, or there is a new one of that name.

    async def _sweep(self, kind: str, *parts: str, only_if_gone: bool = False) -> None:
        """Delete what belongs to something for as long as its own record is as it is now: absent, or doomed.

        Raises:
            Conflict: it is not any more.
        """
        table, belongings = self._belongings[kind]
        rows = table.of(self._model)
        entry = await self._store.get(rows.key(*parts))
        if entry is not None and (only_if_gone or rows.decode(entry).life is not self._doom[kind]):
            return  # Another one of that name, or not yet.
        guard = Check(rows.key(*parts), Revision(0) if entry is None else entry.revision)
        if kind == "application":
            await note_blobs(self._store, [resource.sha256 for resource in await self._list(RESOURCES, *parts)])
        await delete_all(self._store, await belongings(*parts), guard=guard)

    async def _of_application(self, name: str) -> list[str]:
        resources = await keys_under(self._store, RESOURCES.of(self._model).under(name))
        return [*self._leftovers.of_application(name), *resources]

    async def _of_relation(self, number: str) -> list[str]:
        scopes = await keys_under(self._store, RELATION_SCOPES.of(self._model).under(number))
        settings = await keys_under(self._store, RELATION_SETTINGS.of(self._model).under(number))
        return [*scopes, *settings, *self._leftovers.of_relation(int(number))]

    async def _of_unit(self, *parts: str) -> list[str]:
        return self._leftovers.of_unit("/".join(parts))

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
                await self._run(kill_relation, relation.id, force=force or is_peer)
        if units or relations:
            return
        await self._sweep("application", name)
        await self._run(bury_application, application)

    async def _relation(self, parts: tuple[str, ...], force: bool) -> None:
        relation = await self._get(RELATIONS, *parts)
        if relation is None or relation.life is Life.ALIVE:
            return
        scopes = await keys_under(self._store, RELATION_SCOPES.of(self._model).under(*parts))
        if scopes and not force:
            return
        await self._sweep("relation", *parts)
        await self._kill_subordinates(relation)
        await self._run(bury_relation, relation)

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
                await self._run(mark_units, batch, force=True)
            return  # The last of them notes that it is gone.
        for relation in self._leftovers.relations.values():
            if endpoint_in(relation, parts[0]) is not None:
                await self._run(leave_scope, relation.id, unit.name)
        for storage in await self._list(STORAGE):
            await self._run(let_go, storage.id, unit.name)
        await self._sweep("unit", *parts)
        await self._run(bury_unit, unit)

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
        await self._run(bury_charm, parts[0])

    async def _whole_model(self, parts: tuple[str, ...], force: bool) -> None:
        record = await self._get(MODEL, "self")
        if record is None or record.life is Life.ALIVE:
            return
        applications = await self._list(APPLICATIONS)
        for application in applications:
            if force or application.life is Life.ALIVE:
                await self._run(kill_application, application.name, force=force)
        if applications or await self._has_storage(force):
            return
        charms = [charm.sha256 for charm in await self._list(CHARMS)]
        await note_blobs(self._store, [*charms, *(resource.sha256 for resource in await self._list(RESOURCES))])
        notes = [CLEANUPS.of(self._model).key(*loss, "model", "self") for loss in ((), (LOSS,))]
        last = {MODEL.of(self._model).key("self"), *notes}
        # Again until nothing comes any more: an agent may not have noticed yet.
        while keys := set(await keys_under(self._store, f"/models/{self._model}/")) - last:
            await delete_all(self._store, keys)
        await delete_all(self._store, [*last, MODEL_NAMES.key(record.name)])

    async def _has_storage(self, force: bool) -> bool:
        """Whether there is storage that has to be taken down first, which is seen to; not with force."""
        storage = await self._list(STORAGE)
        for instance in storage:
            await self._run(doom_storage, instance.id)
        return bool(storage) and not force

    async def _kill_units(self, units: Sequence[Unit], *, force: bool = False) -> None:
        for batch in batches([unit.name for unit in units], MARKED_AT_ONCE):
            await self._run(mark_units, batch, force=force)

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
