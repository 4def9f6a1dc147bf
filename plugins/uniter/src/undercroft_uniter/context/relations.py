"""Relations as a hook sees them, and what it says in them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undercroft_hookspecs import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.hook_tools import RelationContext
    from undercroft_hookspecs.relation_facades import RelationFacade
    from undercroft_uniter.context.changes import PendingChanges
    from undercroft_uniter.context.leadership import HookLeadership
    from undercroft_uniter.context.members import MemberSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationView:
    """The relations that charm code sees, by id, and for which of them, and whom in it, it is run."""

    relations: Mapping[int, RelationContext] = field(default_factory=dict)
    current: int | None = None
    remote_unit: str = ""
    remote_application: str = ""
    departing_unit: str = ""

    @property
    def context(self) -> RelationContext | None:
        """The relation that it is run for."""
        return self.relations.get(self.current) if self.current is not None else None


class HookRelations:
    """The part `RelationsContext`. Whatever was read once stays the same for this hook, but for what it says itself."""

    def __init__(
        self,
        unit: str,
        view: RelationView,
        *,
        model_uuid: str,
        facade: RelationFacade,
        members: MemberSettings,
        changes: PendingChanges,
        leadership: HookLeadership,
    ) -> None:
        self._unit, self._view, self._model_uuid = unit, view, model_uuid
        self._facade, self._members, self._changes, self._leadership = facade, members, changes, leadership
        self._read: dict[tuple[int, str], Mapping[str, str]] = {}

    @property
    def current(self) -> RelationContext | None:
        """The relation that the hook is run for."""
        return self._view.context

    @property
    def remote_unit(self) -> str:
        """The remote unit that the hook is run for."""
        return self._view.remote_unit

    @property
    def remote_application(self) -> str:
        """The remote application that the hook is run for."""
        return self._view.remote_application

    def relations(self) -> Mapping[int, RelationContext]:
        """The unit's relations, by id."""
        return self._view.relations

    async def read(self, relation: int, name: str) -> Mapping[str, str]:
        """What a unit or an application has said; its own: with what this hook has set."""
        known = self._known(relation)
        pending: Mapping[str, str] = {}
        if name == self._unit:
            pending = self._changes.current.unit_settings.get(relation, {})
        elif name == self._application:
            if not known.is_peer:
                await self._leadership.require()
            pending = self._changes.current.application_settings.get(relation, {})
        bag = {**await self._stored(relation, name), **pending}
        return {key: value for key, value in bag.items() if value}

    async def set(self, relation: int, changes: Mapping[str, str], *, application: bool) -> None:
        """Say something, as the unit or (by its leader) as the application; an empty value deletes."""
        self._known(relation)
        if application:
            await self._leadership.require()
        current = self._changes.current
        before = current.application_settings if application else current.unit_settings
        if not changes and relation not in before:
            return
        after = {**before, relation: {**before.get(relation, {}), **changes}}
        if application:
            self._changes.propose(dataclasses.replace(current, application_settings=after))
        else:
            self._changes.propose(dataclasses.replace(current, unit_settings=after))

    async def model_uuid(self, relation: int) -> str:
        """The model of the relation's other side, which is the unit's own."""
        self._known(relation)
        return self._model_uuid

    @property
    def _application(self) -> str:
        return self._unit.partition("/")[0]

    def _known(self, relation: int) -> RelationContext:
        found = self._view.relations.get(relation)
        if found is None:
            raise NotFoundError(str(relation), f'relation "{relation}" not found')
        return found

    async def _stored(self, relation: int, name: str) -> Mapping[str, str]:
        key = (relation, name)
        if key not in self._read:
            bag = self._members.get(relation, name)
            if bag is None:
                bag = await self._facade.read_settings(relation, name)
                self._members.put(relation, name, bag)
            self._read[key] = bag
        return self._read[key]
