"""All that is wanted of a unit, at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from undercroft_hookspecs.state import Life
from undercroft_hookspecs.unit_facades import ConfigHashes

if TYPE_CHECKING:
    from undercroft_hookspecs.relation_facades import RelationMembers, UnitRelation
    from undercroft_hookspecs.state import Action
    from undercroft_hookspecs.storage_facades import UnitStorage
    from undercroft_uniter.hook.info import HookInfo
    from undercroft_uniter.operation.state import CharmReference


@dataclass(frozen=True, slots=True, kw_only=True)
class RelationSnapshot:
    """A relation, and whom the unit is to see in it."""

    relation: UnitRelation
    members: RelationMembers

    @property
    def life(self) -> Life:
        """The relation's."""
        return self.relation.relation.life

    @property
    def is_suspended(self) -> bool:
        """It is to be as if it were broken, until it is resumed."""
        return self.relation.relation.suspended


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What is wanted of the unit. Versions and counters grow; compare for equality only."""

    life: Life
    resolved: Literal["", "retry-hooks", "no-hooks"] = ""
    charm: CharmReference
    """The application's."""
    charm_modified_version: int = 0
    force_charm: bool = False
    has_subordinates: bool = False
    is_subordinate: bool = False
    application_life: Life = Life.ALIVE
    hashes: ConfigHashes = field(default_factory=lambda: ConfigHashes(config="", trust="", addresses=""))
    is_leader: bool = False
    leader_settings_version: int = 0
    retry_hook_version: int = 0
    update_status_version: int = 0
    relations: Mapping[int, RelationSnapshot] = field(default_factory=dict)
    """By id, in their order."""
    storage: Mapping[str, UnitStorage] = field(default_factory=dict)
    actions: tuple[Action, ...] = ()
    """Those that are not finished, the oldest first."""
    commands: tuple[int, ...] = ()
    """The commands that somebody on this machine waits for, the oldest first."""
    secrets: tuple[HookInfo, ...] = ()
    """The secret hooks that are due, the most urgent first."""
