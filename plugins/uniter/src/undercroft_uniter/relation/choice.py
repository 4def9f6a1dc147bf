"""Which hook is due in a relation: a decision on what the unit has seen and what is there now, and on nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undercroft_hookspecs.relation_facades import RelationMembers
from undercroft_hookspecs.state import Life
from undercroft_uniter.hook.info import HookInfo, HookKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undercroft_uniter.relation.state import RelationState
    from undercroft_uniter.remotestate.snapshot import RelationSnapshot, Snapshot

NOBODY = RelationMembers()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What is there of a relation now, for one unit."""

    remote_application: str
    members: RelationMembers = field(default_factory=RelationMembers)
    is_over: bool = False
    """For this unit: it is to be as if nobody were there."""
    is_peer: bool = False
    departing_local_unit: str = ""
    """The unit's own name, if it is the unit itself, or its application, that is on its way out."""


def sight_of(seen: RelationSnapshot, snapshot: Snapshot, *, unit: str) -> Sight:
    """What a unit sees of one of its relations."""
    is_leaving = snapshot.life is not Life.ALIVE or snapshot.application_life is not Life.ALIVE
    return Sight(
        remote_application=seen.relation.remote.application,
        members=seen.members,
        is_over=is_over(seen, snapshot),
        is_peer=seen.relation.endpoint.role == "peer",
        departing_local_unit=unit if is_leaving else "",
    )


def is_over(seen: RelationSnapshot, snapshot: Snapshot) -> bool:
    """Whether a relation is at its end for the unit, or suspended."""
    return seen.is_suspended or seen.life is not Life.ALIVE or snapshot.life is not Life.ALIVE


def next_hook(state: RelationState, sight: Sight) -> HookInfo | None:
    """The hook that is due; None if the charm has been told of everything.

    Whoever joined is followed by its relation-changed, come what may. Then whoever has left departs, before others join
    or change; names are sorted as text.
    """
    members = NOBODY if sight.is_over else sight.members
    if state.changed_pending:
        version = members.units.get(state.changed_pending, 0)
        return _hook(state, HookKind.RELATION_CHANGED, sight, state.changed_pending, version)
    unit = min(state.members.keys() - members.units.keys(), default="")
    if unit:
        departing = sight.departing_local_unit or unit
        version = state.members[unit]
        return _hook(state, HookKind.RELATION_DEPARTED, sight, unit, version, departing=departing)
    if sight.is_over:
        return None if sight.is_peer else _hook(state, HookKind.RELATION_BROKEN, sight)
    return _news(state, sight)


def following(hook: HookInfo, state: RelationState, sight: Sight) -> Iterator[HookInfo]:
    """The hooks that are due after `hook`, each once those before it have been run, up to relation-broken."""
    due: HookInfo | None = hook
    while due is not None:
        state = state.apply(due)
        due = next_hook(state, sight)
        if due is None or due.kind is HookKind.RELATION_BROKEN:
            return
        yield due


def _news(state: RelationState, sight: Sight) -> HookInfo | None:
    """Who has something to say: an application, a new unit, a known one."""
    for application, version in sorted(sight.members.applications.items()):
        if version != state.applications.get(application, 0):
            return HookInfo(
                kind=HookKind.RELATION_CHANGED,
                relation=state.id,
                remote_application=application,
                change_version=version,
            )
    units = sight.members.units
    unit = min(units.keys() - state.members.keys(), default="")
    if unit:
        return _hook(state, HookKind.RELATION_JOINED, sight, unit, units[unit])
    unit = min((name for name, version in units.items() if version != state.members[name]), default="")
    return _hook(state, HookKind.RELATION_CHANGED, sight, unit, units[unit]) if unit else None


def _hook(
    state: RelationState, kind: HookKind, sight: Sight, unit: str = "", version: int = 0, *, departing: str = ""
) -> HookInfo:
    return HookInfo(
        kind=kind,
        relation=state.id,
        remote_unit=unit,
        remote_application=unit.partition("/")[0] or sight.remote_application,
        change_version=version,
        departing_unit=departing,
    )
