"""What a unit's workers see of its relations, and of who leads its application."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from undercroft_hookspecs.records import Record
from undercroft_hookspecs.state import Endpoint, Relation


class UnitRelation(Record, frozen=True, kw_only=True):
    """A relation as one unit sees it. An implicit one (`juju-info`) has scope and members, but runs no hooks."""

    relation: Relation
    endpoint: Endpoint
    """The unit's own side."""
    remote: Endpoint
    """The side that it sees: for peers, its own."""
    is_implicit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationMembers:
    """Whom the unit sees in a relation, each with the version of its settings.

    A version is another number after each change, and never 0; compare for equality only. An application is there once
    its leader has said something.
    """

    units: Mapping[str, int] = field(default_factory=dict)
    applications: Mapping[str, int] = field(default_factory=dict)


@runtime_checkable
class RelationFacade(Protocol):
    """The relations that the unit has a part in. A subordinate has none in those with other principals than its own."""

    async def relations(self) -> Sequence[UnitRelation]:
        """The unit's relations, by id, whatever their life."""
        ...

    def watch_relations(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[UnitRelation]]]:
        """The unit's relations, and again whenever there are others or one has changed."""
        ...

    async def relations_in_scope(self) -> Sequence[int]:
        """The ids of the relations whose scope the unit is in."""
        ...

    def watch_members(self, relation: int) -> AbstractAsyncContextManager[AsyncIterator[RelationMembers]]:
        """Whom the unit sees, and again whenever somebody came, went or said something else; ends with NotFoundError
        when the relation has been removed."""
        ...

    async def enter_scope(self, relation: int) -> None:
        """Take part, with the unit's addresses as its first settings; nothing if it does already.

        Raises:
            CannotEnterScope: the unit or the relation is on its way out, or the relation is none of the unit's.
            CannotEnterScopeYet: a subordinate of the same application is not gone yet.
        """

    async def depart_scope(self, relation: int) -> None:
        """Be shown to the others no longer; what the unit said stays readable."""

    async def leave_scope(self, relation: int) -> None:
        """Take part no longer; nothing if the unit did not."""

    async def read_settings(self, relation: int, name: str) -> Mapping[str, str]:
        """What a unit or an application (`name`) has said in a relation.

        Raises:
            NotFoundError: no such relation, or that unit has never been in it.
            NotPermittedError: the relation or that unit is none of this unit's.
            NotLeaderError: `name` is the unit's own application, and the unit does not lead it.
        """
        ...

    async def set_relation_status(self, relation: int, current: str, message: str = "") -> None:
        """Say how a relation is: `joined`, `suspended`... Raises NotLeaderError."""


@runtime_checkable
class LeadershipFacade(Protocol):
    """Who leads the unit's application. There are never two.

    Leadership is held by a lease of 60 s. Who renews it every 30 s, by `claim`, keeps it; the unit itself stops
    believing in it 40 s after its last renewal, long before anybody else could have it.
    """

    async def claim(self) -> bool:
        """Become leader, or stay it: True says that the unit leads for at least 30 s from now on; False, that another
        unit leads. Renews what has less than 30 s left."""
        ...

    def certain_seconds(self) -> float:
        """For how much longer the unit leads for certain, whatever happens; 0 if it does not."""
        ...

    async def wait_released(self) -> None:
        """Return when nobody else leads, so that a claim may succeed."""

    async def resign(self) -> None:
        """Lead no longer, at once; nothing if the unit does not."""

    async def leader_settings(self) -> Mapping[str, str]:
        """What the leaders of the application have said to its units."""
        ...

    async def merge_leader_settings(self, changes: Mapping[str, str]) -> None:
        """Say something to the application's units; an empty value deletes. Raises NotLeaderError."""

    def watch_leader_settings(self) -> AbstractAsyncContextManager[AsyncIterator[Mapping[str, str]]]:
        """What the leaders have said, and again whenever it has changed."""
        ...
