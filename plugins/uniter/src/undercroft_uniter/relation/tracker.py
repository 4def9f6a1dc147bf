"""Follow a unit's relations: enter their scopes, write down what the charm has been told, and say what is due."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft_hookspecs import CannotEnterScope, CannotEnterScopeYet, NotFoundError, NotLeaderError, NotValidError
from undercroft_hookspecs.hook_tools import RelationContext
from undercroft_hookspecs.state import Life
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.relation.choice import following, is_over, next_hook, sight_of
from undercroft_uniter.relation.endpoints import is_implemented
from undercroft_uniter.relation.records import RelationRecords
from undercroft_uniter.relation.state import RelationState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from undercroft_hookspecs.charm import Charm
    from undercroft_hookspecs.facades import CharmFacade
    from undercroft_hookspecs.relation_facades import RelationFacade, UnitRelation
    from undercroft_hookspecs.state import Unit
    from undercroft_hookspecs.unit_facades import UnitFacade
    from undercroft_uniter.remotestate.snapshot import Snapshot

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Known:
    """A relation that has a record here; in its scope, or about to enter it."""

    seen: UnitRelation
    has_scope: bool = False
    is_entered: bool = False
    """Hooks are run for it, and see it."""
    is_suspended: bool = False


class Relations:
    """The seam `RelationTracker`, for one user at a time: no two of its methods may run at once."""

    def __init__(
        self, unit: Unit, records: RelationRecords, *, relations: RelationFacade, units: UnitFacade, charms: CharmFacade
    ) -> None:
        self._unit, self._principal = unit.name, unit.principal.partition("/")[0]
        self._records, self._facade, self._units, self._charms = records, relations, units, charms
        self._known: dict[int, _Known] = {}
        self._charm: Charm | None = None
        self._is_leader = False
        self._has_dismissed = False
        self._departed: set[int] = set()

    @classmethod
    async def open(cls, path: Path, *, relations: RelationFacade, units: UnitFacade, charms: CharmFacade) -> Self:
        """A tracker that agrees with the model: what is in scope has a record, and what is not is forgotten.

        Raises:
            NotFoundError: the unit has been removed.
            NotValidError: the file is damaged.
        """
        records = await RelationRecords.open(path)
        tracker = cls(await units.unit(), records, relations=relations, units=units, charms=charms)
        await tracker._reconcile()
        return tracker

    async def synchronize(self, snapshot: Snapshot) -> None:
        """Enter the scopes of new relations, and let go of those that are over and run no hooks.

        One that cannot be entered yet, because an old subordinate is still there, is tried again the next time; the
        others do not wait for it.
        """
        self._is_leader = snapshot.is_leader
        await self._let_go(snapshot)
        if snapshot.life is Life.ALIVE:
            await self._enter_new(snapshot)
        else:
            await self._depart(snapshot)
        await self._end_as_subordinate(snapshot)

    def created_hook(self, snapshot: Snapshot) -> HookInfo | None:
        """The next relation-created that is due."""
        for number, known in sorted(self._known.items()):
            seen, state = snapshot.relations.get(number), self._records.get(number)
            if seen is None or state is None or not known.is_entered or known.seen.is_implicit:
                continue
            if not state.is_created and not is_over(seen, snapshot):
                remote = known.seen.remote.application
                return HookInfo(kind=HookKind.RELATION_CREATED, relation=number, remote_application=remote)
        return None

    def next_hook(self, snapshot: Snapshot) -> HookInfo | None:
        """The next of the other relation hooks that is due."""
        for number, known in sorted(self._known.items()):
            seen, state = snapshot.relations.get(number), self._records.get(number)
            if seen is None or state is None or not known.is_entered or known.seen.is_implicit:
                continue
            hook = next_hook(state, sight_of(seen, snapshot, unit=self._unit))
            if hook is not None:
                return hook
        return None

    def following(self, hook: HookInfo, snapshot: Snapshot) -> Iterator[HookInfo]:
        """The hooks of the same relation that will be due once `hook` has been run."""
        number = _relation_of(hook)
        seen, state = snapshot.relations.get(number), self._records.get(number)
        is_among = hook.kind not in (HookKind.RELATION_CREATED, HookKind.RELATION_BROKEN)
        if is_among and seen is not None and state is not None:
            yield from following(hook, state, sight_of(seen, snapshot, unit=self._unit))

    def prepare(self, hook: HookInfo) -> str:
        """The name of the hook's script."""
        number = _relation_of(hook)
        known, state = self._known.get(number), self._records.get(number)
        if known is None or state is None or not known.is_entered:
            raise NotFoundError(str(number), f"{hook.kind} cannot be run: the unit is in no relation {number} any more")
        if known.seen.is_implicit:
            message = f"relation {known.seen.relation.key} is implicit, and runs no {hook.kind}"
            raise NotValidError(message, field="hook")
        state.validate(hook)
        return f"{known.seen.endpoint.name}-{hook.kind}"

    async def commit(self, hook: HookInfo, *further: HookInfo) -> None:
        """Write down that the hook was run (or skipped), with `further` ones that follow at once; again is nothing."""
        number = _relation_of(hook)
        known, state = self._known.get(number), self._records.get(number)
        if known is None or state is None:
            return
        if hook.kind is not HookKind.RELATION_BROKEN:
            for each in (hook, *further):
                state = state.apply(each)
            await self._records.put(state)
            return
        await self._leave(number)
        if known.is_suspended:
            await self._say(number, "suspended")

    def contexts(self, hook: HookInfo | None = None) -> Mapping[int, RelationContext]:
        """The relations as a hook sees them, by id: in relation-departed without the unit that departs."""
        return {
            number: self._context(known, hook if hook is not None and hook.relation == number else None)
            for number, known in sorted(self._known.items())
            if known.is_entered
        }

    async def _reconcile(self) -> None:
        """What the charm was told of a relation that is suspended is kept, in scope or not: it is to break it yet."""
        in_scope = set(await self._facade.relations_in_scope())
        present = {seen.relation.id: seen for seen in await self._facade.relations()}
        states = self._records.states()
        kept = {
            number
            for number, seen in present.items()
            if number in in_scope or (number in states and seen.relation.suspended and states[number].is_created)
        }
        await self._records.remove(states.keys() - kept)
        for number in sorted(kept):
            relation = present[number].relation
            if number not in states:
                await self._records.put(RelationState(id=number))
            self._known[number] = _Known(
                present[number], has_scope=number in in_scope, is_entered=True, is_suspended=relation.suspended
            )

    async def _let_go(self, snapshot: Snapshot) -> None:
        for number, known in sorted(self._known.items()):
            seen = snapshot.relations.get(number)
            if seen is None:
                logger.info("relation %s has been removed", known.seen.relation.key)
                await self._forget(number)
                continue
            known.seen, known.is_suspended = seen.relation, seen.is_suspended
            if not is_over(seen, snapshot):
                continue
            if known.seen.is_implicit:
                await self._leave(number)
            elif not known.is_entered:
                await self._forget(number)

    async def _enter_new(self, snapshot: Snapshot) -> None:
        for number, seen in sorted(snapshot.relations.items()):
            known = self._known.get(number)
            if is_over(seen, snapshot) or (known is not None and known.has_scope):
                continue
            if known is not None or await self._can_join(seen.relation):
                await self._enter(number, known or _Known(seen.relation))

    async def _can_join(self, relation: UnitRelation) -> bool:
        charm = await self._present_charm()
        if charm is None:
            return False
        if not is_implemented(relation, charm):
            logger.warning("relation %s waits: charm %s has no such endpoint", relation.relation.key, charm.name)
            return False
        return True

    async def _present_charm(self) -> Charm | None:
        """The charm that the unit runs now; None before its first one."""
        sha256 = (await self._units.unit()).charm
        if not sha256:
            return None
        if self._charm is None or self._charm.sha256 != sha256:
            try:
                self._charm = await self._charms.charm(sha256)
            except NotFoundError:
                logger.warning("nothing is known of the charm that %s runs: new relations wait", self._unit)
                return None
        return self._charm

    async def _enter(self, number: int, known: _Known) -> None:
        # First the record: after a crash in between there must be no scope without one.
        if self._records.get(number) is None:
            await self._records.put(RelationState(id=number))
        self._known[number] = known
        try:
            await self._facade.enter_scope(number)
        except CannotEnterScopeYet as error:
            logger.info("relation %s waits: %s", known.seen.relation.key, error)
            return
        except CannotEnterScope as error:
            logger.info("relation %s is not entered: %s", known.seen.relation.key, error)
            await self._forget(number)
            return
        known.has_scope = known.is_entered = True
        await self._say(number, "joined")

    async def _depart(self, snapshot: Snapshot) -> None:
        """A unit that is dying is not to be relied on any more, though it may take its time."""
        for number in sorted(self._known.keys() - self._departed):
            await self._facade.depart_scope(number)
            self._departed.add(number)
        if snapshot.has_subordinates and not self._has_dismissed:
            await self._units.remove_subordinates()
            self._has_dismissed = True

    async def _end_as_subordinate(self, snapshot: Snapshot) -> None:
        """A subordinate is there for the sake of its relation to its principal."""
        if not self._principal or snapshot.life is not Life.ALIVE:
            return
        for seen in snapshot.relations.values():
            is_to_principal = seen.relation.remote.application == self._principal
            if is_to_principal and seen.relation.relation.scope == "container" and seen.life is Life.ALIVE:
                return
        logger.info("subordinate %s has lost its last relation to %s", self._unit, self._principal)
        await self._units.destroy()

    async def _leave(self, number: int) -> None:
        # First the scope: the record says that there is something to leave.
        with suppress(NotFoundError):
            await self._facade.leave_scope(number)
        await self._forget(number)

    async def _forget(self, number: int) -> None:
        await self._records.remove({number})
        self._known.pop(number, None)
        self._departed.discard(number)

    async def _say(self, number: int, status: str) -> None:
        if self._is_leader:
            # Neither may have lasted; whoever leads next says it.
            with suppress(NotLeaderError, NotFoundError):
                await self._facade.set_relation_status(number, status)

    def _context(self, known: _Known, hook: HookInfo | None) -> RelationContext:
        seen = known.seen
        state = self._records.get(seen.relation.id) or RelationState(id=seen.relation.id)
        members = set(state.members)
        if hook is not None and hook.remote_unit:
            if hook.kind is HookKind.RELATION_DEPARTED:
                members.discard(hook.remote_unit)
            else:
                members.add(hook.remote_unit)
        return RelationContext(
            id=seen.relation.id,
            endpoint=seen.endpoint.name,
            remote_application=seen.remote.application,
            members=tuple(sorted(members)),
            is_peer=seen.endpoint.role == "peer",
            is_dead=seen.relation.life is Life.DEAD,
        )


def _relation_of(hook: HookInfo) -> int:
    if hook.relation is None or not hook.kind.is_relation:
        raise NotValidError(f"{hook.kind} is not run for a relation", field="hook")
    return hook.relation
