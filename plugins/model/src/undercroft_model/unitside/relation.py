"""A unit's view of its relations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.errors import NotFoundError, NotPermittedError
from undercroft_hookspecs.relation_facades import RelationMembers, UnitRelation
from undercroft_hookspecs.state import Status
from undercroft_model.hosts import LOOPBACK
from undercroft_model.relations import endpoint_in, is_implicit, need_relation, other_endpoint
from undercroft_model.scopes import depart_scope, enter_scope, is_party, leave_scope
from undercroft_model.tables import (
    HOSTS,
    RELATION_SCOPES,
    RELATION_SETTINGS,
    RELATIONS,
    UNITS,
    parts_of,
)
from undercroft_model.watching import folder, record

if TYPE_CHECKING:
    from undercroft_hookspecs.state import Relation, Unit
    from undercroft_model.transaction import Transaction
    from undercroft_model.unitside.standpoint import Standpoint


class OwnRelations:
    """The facade `RelationFacade`."""

    def __init__(self, here: Standpoint) -> None:
        self._here = here

    async def relations(self) -> Sequence[UnitRelation]:
        """The unit's relations, by id, whatever their life."""
        tx = self._here.look()
        unit = await self._here.need_unit(tx)
        return _seen(unit, (await tx.look(RELATIONS.of(self._here.model))).values())

    def watch_relations(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[UnitRelation]]]:
        """The unit's relations, and again whenever there are others or one has changed."""
        model = self._here.model
        relations, unit = folder(RELATIONS.of(model)), record(UNITS.of(model), *self._here.parts)

        def build() -> Sequence[UnitRelation]:
            return _seen(unit.need(), relations.records())

        return self._here.watch([relations, unit], build)

    async def relations_in_scope(self) -> Sequence[int]:
        """The ids of the relations whose scope the unit is in."""
        tx, model = self._here.look(), self._here.model
        found = []
        for seen in await self.relations():
            scope = await tx.get(RELATION_SCOPES.of(model), str(seen.relation.id), *self._here.parts)
            if scope is not None:
                found.append(seen.relation.id)
        return found

    @asynccontextmanager
    async def watch_members(self, relation: int) -> AsyncIterator[AsyncIterator[RelationMembers]]:
        """Whom the unit sees, and again whenever somebody came, went or said something else."""
        model, number = self._here.model, str(relation)
        known = await need_relation(self._here.look(), model, relation)
        remote = other_endpoint(known, self._here.application).application
        present = record(RELATIONS.of(model), number)
        viewer = record(UNITS.of(model), *self._here.parts)
        scopes = folder(RELATION_SCOPES.of(model), number, remote)
        settings = folder(RELATION_SETTINGS.of(model), number, remote)
        said = record(RELATION_SETTINGS.of(model), number, remote)

        def build() -> RelationMembers:
            present.need()
            unit, versions = viewer.need(), settings.versions()
            beside = {unit.principal, *unit.subordinates} if known.scope == "container" else None
            units = {}
            for parts, scope in scopes.items():
                name = "/".join(parts[1:])
                # A version comes with the scope, in one commit, but may be seen a moment later: not here until then.
                is_seen = not scope.departing and name != unit.name and parts in versions
                if is_seen and (beside is None or name in beside):
                    units[name] = versions[parts]
            applications = {remote: said.version()} if said.version() else {}
            return RelationMembers(units=units, applications=applications)

        async with self._here.watch([present, viewer, scopes, settings, said], build) as states:
            yield states

    async def enter_scope(self, relation: int) -> None:
        """Take part, with the unit's addresses as its first settings."""
        here = self._here

        async def decide(tx: Transaction) -> None:
            host = await tx.get(HOSTS, str(here.host), "host")
            tx.unwatched(HOSTS, str(here.host), "host")
            address = host.addresses[0] if host is not None and host.addresses else LOOPBACK
            settings = {"private-address": address, "ingress-address": address, "egress-subnets": subnet_of(address)}
            await enter_scope(tx, here.model, relation, here.unit, settings=settings, now=here.clock.now())

        await here.change(decide)

    async def depart_scope(self, relation: int) -> None:
        """Be shown to the others no longer."""
        await self._here.run(depart_scope, relation, self._here.unit)

    async def leave_scope(self, relation: int) -> None:
        """Take part no longer."""
        await self._here.run(leave_scope, relation, self._here.unit)

    async def read_settings(self, relation: int, name: str) -> Mapping[str, str]:
        """What a unit or an application has said in a relation."""
        tx, here = self._here.look(), self._here
        known = await need_relation(tx, here.model, relation)
        await self._check_readable(tx, known, name)
        found = await tx.get(RELATION_SETTINGS.of(here.model), str(relation), *parts_of(name))
        if found is None and "/" in name:
            message = f'cannot read settings for unit "{name}" in relation "{known.key}": settings not found'
            raise NotFoundError(name, message)
        return found.values if found is not None else {}

    async def set_relation_status(self, relation: int, current: str, message: str = "") -> None:
        """Say how a relation is."""
        here = self._here

        async def decide(tx: Transaction) -> None:
            await here.need_leadership(tx)
            known = await need_relation(tx, here.model, relation)
            before = known.status
            if before is None or (before.current, before.message) != (current, message):
                status = Status(current=current, message=message, since=here.clock.now())
                changed = msgspec.structs.replace(known, status=status)
                tx.put(RELATIONS.of(here.model), str(relation), record=changed)

        await here.change(decide)

    async def _check_readable(self, tx: Transaction, relation: Relation, name: str) -> None:
        here = self._here
        if endpoint_in(relation, here.application) is None:
            raise NotPermittedError(f'unit {here.unit} has no part in relation "{relation.key}"')
        remote = other_endpoint(relation, here.application).application
        owner = parts_of(name)[0]
        if name != here.unit and owner not in (remote, here.application):
            raise NotPermittedError(f'{name} has no part in relation "{relation.key}"')
        if owner == here.application != remote and name not in (here.unit, here.application):
            raise NotPermittedError(f"unit {here.unit} may not read what {name} says to {remote}")
        if name == here.application != remote:
            await here.need_leadership(tx)


def subnet_of(address: str) -> str:
    """The subnet of one address."""
    return f"{address}/128" if ":" in address else f"{address}/32"


def _seen(unit: Unit, relations: Iterable[Relation]) -> Sequence[UnitRelation]:
    application = parts_of(unit.name)[0]
    found = []
    for relation in relations:
        endpoint = endpoint_in(relation, application)
        if endpoint is None or not is_party(relation, unit):
            continue
        remote = other_endpoint(relation, application)
        found.append(
            UnitRelation(relation=relation, endpoint=endpoint, remote=remote, is_implicit=is_implicit(endpoint))
        )
    return tuple(sorted(found, key=_id))


def _id(seen: UnitRelation) -> int:
    return seen.relation.id
