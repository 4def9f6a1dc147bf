"""What operations and resolvers work with."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undercroft_hookspecs import UnitName
    from undercroft_hookspecs.unit_facades import ActionFacade, ModelFacade, StatusFacade, UnitFacade
    from undercroft_uniter.seams import (
        AgentStatus,
        CharmDeployer,
        CommandsQueue,
        Executions,
        Leadership,
        RelationTracker,
        StorageTracker,
        UnitLog,
    )

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facades:
    """What operations and resolvers ask of the model."""

    unit: UnitFacade
    model: ModelFacade
    status: StatusFacade
    actions: ActionFacade


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """The other rooms of the unit agent, and the model."""

    unit: UnitName
    boot_id: str
    """Of the machine's present boot; empty if it cannot be told."""
    model: Facades
    agent_status: AgentStatus
    deployer: CharmDeployer
    executions: Executions
    relations: RelationTracker
    storage: StorageTracker
    leadership: Leadership
    commands: CommandsQueue
    log: UnitLog

    def say(self, level: int, message: str) -> None:
        """Say what is done with the unit, in the agent's log and in the unit's own, as Juju's agent does."""
        _log.log(level, "%s: %s", self.unit, message)
        self.log.write_own(level, "operation", message)
