"""The unit's relations, and whom it sees in each.

A relation is shown only once its members are known, and with the others of its time: a subordinate that was shown the
end of its one relation a moment before the next one would take it that it has none left.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from undercroft_hookspecs import NotFoundError
from undercroft_uniter.remotestate.following import follow
from undercroft_uniter.remotestate.snapshot import RelationSnapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from undercroft_hookspecs import Clock
    from undercroft_hookspecs.relation_facades import RelationFacade, RelationMembers, UnitRelation


class RelationsSource:
    """Follows all relations of a unit. `on_change` is called whenever what is shown has become something else."""

    def __init__(self, facade: RelationFacade, *, clock: Clock, on_change: Callable[[], None]) -> None:
        self._facade, self._clock, self._on_change = facade, clock, on_change
        self._followers: dict[int, _Follower] = {}
        self._shown: dict[int, RelationSnapshot] = {}

    def shown(self) -> Mapping[int, RelationSnapshot]:
        """The relations, by id in order; a copy."""
        return dict(self._shown)

    async def run(self) -> NoReturn:
        """Follow them until cancelled."""
        async with asyncio.TaskGroup() as group:
            await follow(self._facade.watch_relations, partial(self._take, group), clock=self._clock)

    async def _take(self, group: asyncio.TaskGroup, relations: Sequence[UnitRelation]) -> None:
        present = {seen.relation.id: seen for seen in relations}
        for number in self._followers.keys() - present.keys():
            self._followers.pop(number).task.cancel()
        for number in present.keys() - self._followers.keys():
            self._followers[number] = _Follower(number, group, self)
        for number in present:
            await self._followers[number].answered.wait()
        self._shown = {
            number: RelationSnapshot(relation=present[number], members=members)
            for number in sorted(present)
            if (members := self._followers[number].members) is not None
        }
        self._on_change()

    async def follow_members(self, number: int, take: Callable[[RelationMembers], None]) -> None:
        """Tell who is in a relation, until it has been removed."""

        async def taken(members: RelationMembers) -> None:
            take(members)
            if number in self._shown:
                self._shown[number] = RelationSnapshot(relation=self._shown[number].relation, members=members)
                self._on_change()

        try:
            await follow(lambda: self._facade.watch_members(number), taken, clock=self._clock)
        except NotFoundError:
            return  # The relations will say so, too, and then it is shown no longer.


class _Follower:
    """Who is in one relation; None if it was gone before anybody could say."""

    def __init__(self, number: int, group: asyncio.TaskGroup, source: RelationsSource) -> None:
        self.members: RelationMembers | None = None
        self.answered = asyncio.Event()
        self.task = group.create_task(self._run(number, source), name=f"members of relation {number}")

    async def _run(self, number: int, source: RelationsSource) -> None:
        await source.follow_members(number, self._take)
        self.answered.set()

    def _take(self, members: RelationMembers) -> None:
        self.members = members
        self.answered.set()
