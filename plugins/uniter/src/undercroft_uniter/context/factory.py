"""Make the contexts of one unit's hooks, actions and commands."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft_hookspecs import NotValidError, UnitName
from undercroft_hookspecs.hook_tools import (
    ActionContext,
    CharmStateContext,
    ConfigContext,
    CredentialContext,
    GoalStateContext,
    LeadershipContext,
    LogContext,
    NetworkContext,
    PortsContext,
    RebootContext,
    RelationContext,
    RelationsContext,
    ResourcesContext,
    SecretsContext,
    StatusContext,
    StorageContext,
)
from undercroft_uniter.context.action import RunningAction
from undercroft_uniter.context.application import HookConfig, HookCredential, HookGoalState
from undercroft_uniter.context.changes import PendingChanges
from undercroft_uniter.context.charmstate import HookCharmState
from undercroft_uniter.context.context import CharmContext, UnitContext
from undercroft_uniter.context.firstread import FirstRead
from undercroft_uniter.context.leadership import HookLeadership
from undercroft_uniter.context.log import HookLog
from undercroft_uniter.context.members import MemberSettings
from undercroft_uniter.context.network import HookNetwork
from undercroft_uniter.context.ports import HookPorts
from undercroft_uniter.context.reboot import HookReboot
from undercroft_uniter.context.relations import HookRelations, RelationView
from undercroft_uniter.context.resources import HookResources
from undercroft_uniter.context.secrets import HookSecrets
from undercroft_uniter.context.status import HookStatus
from undercroft_uniter.context.storage import HookStores
from undercroft_uniter.hook.info import HookKind
from undercroft_uniter.jujuc.server import new_context_id

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from undercroft_hookspecs import UnitAgent
    from undercroft_hookspecs.charm import Charm
    from undercroft_hookspecs.state import Action
    from undercroft_uniter.context.facades import Facades
    from undercroft_uniter.hook.info import HookInfo
    from undercroft_uniter.paths import UnitPaths
    from undercroft_uniter.seams import Commands, Leadership, RelationTracker, StorageTracker, UnitLog

COMMANDS = "juju-exec"
_OF_SETTINGS = (HookKind.RELATION_JOINED, HookKind.RELATION_CHANGED)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitSide:
    """All that charm code of one unit may come to touch."""

    agent: UnitAgent
    paths: UnitPaths
    facades: Facades
    leadership: Leadership
    relations: RelationTracker
    storage: StorageTracker
    log: UnitLog

    async def charm(self) -> Charm:
        """The charm that the unit runs now."""
        return await self.facades.charm.charm((await self.facades.unit.unit()).charm)


class Contexts:
    """Makes contexts. What members of relations have said outlives them."""

    def __init__(self, side: UnitSide) -> None:
        self._side = side
        self._members = MemberSettings()

    def for_hook(self, info: HookInfo, script: str) -> UnitContext:
        """Of a hook; a member that it is run for has new settings from now on."""
        relations = dict(self._side.relations.contexts(info))
        relation, unit = info.relation, info.remote_unit
        is_met = info.kind in _OF_SETTINGS and unit
        if is_met and relation is not None and relation in relations:
            relations[relation] = _with_member(relations[relation], unit)
        self._prune(relations)
        if is_met and relation is not None:
            self._members.invalidate(relation, unit)
        view = RelationView(
            relations=relations,
            current=relation,
            remote_unit="" if info.kind is HookKind.RELATION_BROKEN else unit,
            remote_application=info.remote_application,
            departing_unit=info.departing_unit,
        )
        return self._make(script, script, view, storage=info.storage)

    def pass_over(self, info: HookInfo) -> None:
        """A hook counts as run: a member that it would have been run for has new settings from now on."""
        if info.kind in _OF_SETTINGS and info.remote_unit and info.relation is not None:
            self._members.invalidate(info.relation, info.remote_unit)

    def for_action(self, action: Action, parameters: Mapping[str, object]) -> UnitContext:
        """Of an action."""
        relations = self._side.relations.contexts()
        self._prune(relations)
        running = RunningAction(action.id, parameters, self._side.facades.action)
        return self._make(action.name, action.name, RelationView(relations=relations), action=running)

    def for_commands(self, commands: Commands) -> UnitContext:
        """Of commands.

        Raises:
            NotValidError: there is no such relation, or it cannot be told which remote unit is meant.
        """
        relations = self._side.relations.contexts()
        self._prune(relations)
        return self._make("run-commands", COMMANDS, commands_view(commands, relations))

    def _prune(self, relations: Mapping[int, RelationContext]) -> None:
        self._members.prune({number: each.members for number, each in relations.items()})

    def _make(
        self, name: str, hook: str, view: RelationView, *, storage: str = "", action: RunningAction | None = None
    ) -> UnitContext:
        side, facades, unit = self._side, self._side.facades, str(self._side.agent.unit)
        changes, reboot = PendingChanges(facades.hooks), HookReboot()
        charm = FirstRead(side.charm)
        leadership = HookLeadership(unit, side.leadership, facades.leadership)
        status = HookStatus(facades.status, facades.unit, leadership)

        async def endpoints() -> Sequence[str]:
            return tuple((await charm.get()).endpoints)

        async def stores() -> Collection[str]:
            return tuple((await charm.get()).storage)

        parts: dict[type, object] = {
            CharmStateContext: HookCharmState(facades.hooks, changes),
            ConfigContext: HookConfig(facades.config),
            CredentialContext: HookCredential(facades.application),
            GoalStateContext: HookGoalState(facades.application),
            LeadershipContext: leadership,
            LogContext: HookLog(side.log),
            NetworkContext: HookNetwork(facades.network),
            PortsContext: HookPorts(unit, facades.network, changes, endpoints),
            RelationsContext: HookRelations(
                unit,
                view,
                model_uuid=str(side.agent.model),
                facade=facades.relation,
                members=self._members,
                changes=changes,
                leadership=leadership,
            ),
            ResourcesContext: HookResources(side.paths.resources, facades.resource, facades.blobs),
            SecretsContext: HookSecrets(
                unit, facades.secret, changes, leadership, relations=view.relations, clock=side.agent.clock
            ),
            StatusContext: status,
            StorageContext: HookStores(
                facades.storage, changes, current=storage, announced=side.storage.announced(), stores=stores
            ),
        }
        parts |= {RebootContext: reboot} if action is None else {ActionContext: action}
        tools = CharmContext(id=new_context_id(unit, name), unit=unit, hook=hook, parts=parts)
        return UnitContext(
            tools=tools, changes=changes, status=status, reboot=reboot, action=action, view=view, storage=storage
        )


def commands_view(commands: Commands, relations: Mapping[int, RelationContext]) -> RelationView:
    """The relations as commands see them: in whose name, where there is but one remote unit, need not be said.

    Raises:
        NotValidError: there is no such relation, or it cannot be told which remote unit is meant.
    """
    unit = commands.remote_unit
    if commands.relation is None:
        if unit:
            message = f'remote unit "{unit}" provided without a relation: say in which one'
            raise NotValidError(message, field="remote_unit")
        return RelationView(relations=relations)
    relation = relations.get(commands.relation)
    if relation is None:
        raise NotValidError(f"unknown relation id: {commands.relation}", field="relation")
    if unit:
        UnitName.parse(unit)
    if not commands.force_remote_unit:
        unit = _member(relation, unit)
    application = unit.partition("/")[0] or relation.remote_application
    return RelationView(relations=relations, current=relation.id, remote_unit=unit, remote_application=application)


def _member(relation: RelationContext, unit: str) -> str:
    known = ", ".join(relation.members) or "none"
    if not unit:
        if len(relation.members) == 1:
            return relation.members[0]
        what = "ambiguous" if relation.members else "missing"
        message = f"remote unit for relation {relation} is {what}: its members are {known}"
        raise NotValidError(message, field="remote_unit")
    if unit not in relation.members:
        message = f'unit "{unit}" is no member of relation {relation}: its members are {known}'
        raise NotValidError(message, field="remote_unit")
    return unit


def _with_member(relation: RelationContext, unit: str) -> RelationContext:
    return dataclasses.replace(relation, members=tuple(sorted({*relation.members, unit})))
