"""Make the executions of one unit's hooks, actions and commands."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from undercroft.files import in_thread
from undercroft_hookspecs import UndercroftError
from undercroft_uniter.context.factory import COMMANDS, Contexts
from undercroft_uniter.errors import ActionNotValid
from undercroft_uniter.runner.action import ActionExecution
from undercroft_uniter.runner.commands import BashExecution
from undercroft_uniter.runner.environment import (
    Surroundings,
    action_variables,
    own_base,
    own_home,
    own_path,
    script_variables,
    secret_variables,
)
from undercroft_uniter.runner.hook import HookExecution
from undercroft_uniter.runner.parameters import checked
from undercroft_uniter.runner.workshop import Workshop

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from undercroft_hookspecs import UnitAgent
    from undercroft_hookspecs.hook_tools import HookTool
    from undercroft_hookspecs.state import Action
    from undercroft_uniter.context.facades import Facades
    from undercroft_uniter.context.factory import UnitSide
    from undercroft_uniter.hook.info import HookInfo
    from undercroft_uniter.paths import UnitPaths
    from undercroft_uniter.runner.process import Tools
    from undercroft_uniter.seams import Commands

OLD_COMMANDS = "juju-run"
_NANOSECONDS = 1_000_000_000


class UnitExecutions:
    """The `Executions` of one unit."""

    def __init__(self, side: UnitSide, server: Tools, tools: Mapping[str, HookTool]) -> None:
        self._side, self._server, self._tools = side, server, tools
        self._contexts = Contexts(side)
        self._workshop: Workshop | None = None

    async def lacking(self, scripts: Collection[str]) -> frozenset[str]:
        """Those of the hooks' scripts that the charm has not, and that nobody wants to debug."""
        workshop = await self._ready()
        try:
            return await workshop.lacking(scripts)
        except UndercroftError:
            return frozenset()

    def pass_over(self, hook: HookInfo) -> None:
        """A hook counts as run: what its unit has said is seen from now on."""
        self._contexts.pass_over(hook)

    async def hook(self, info: HookInfo, script: str) -> HookExecution:
        """For a hook, of which `script` is the name."""
        workshop = await self._ready()
        context = self._contexts.for_hook(info, script)
        environment = {
            **await workshop.environment(context),
            **script_variables(script, f"hooks/{script}"),
            **secret_variables(info),
        }
        return HookExecution(script, context, workshop, environment=environment)

    async def action(self, action: Action) -> ActionExecution:
        """For an action of the charm, or commands that an operator has sent. Raises ActionNotValid."""
        text, timeout = None, None
        if action.name in (COMMANDS, OLD_COMMANDS):
            text, timeout = _commands_of(action)
            parameters: Mapping[str, object] = action.parameters
        else:
            parameters = await self._parameters(action)
        workshop = await self._ready()
        context = self._contexts.for_action(action, parameters)
        path = "" if text is not None else f"actions/{action.name}"
        environment = {
            **await workshop.environment(context),
            **script_variables("", path),
            **action_variables(action),
        }
        return ActionExecution(action.id, context, workshop, environment=environment, text=text, timeout=timeout)

    async def commands(self, commands: Commands) -> BashExecution:
        """For commands. Raises NotValidError."""
        workshop = await self._ready()
        context = self._contexts.for_commands(commands)
        environment = {**await workshop.environment(context), **script_variables("")}
        return BashExecution(commands.text, context, workshop, environment=environment)

    async def _parameters(self, action: Action) -> Mapping[str, object]:
        charm = await self._side.charm()
        if action.name not in charm.actions:
            raise ActionNotValid(f'action "{action.name}" not defined on unit "{self._side.agent.unit}"')
        schema = charm.actions[action.name].parameters
        if not action.parameters and not schema.get("properties") and not schema.get("required"):
            return {}
        return await checked(self._side.agent.process, action.name, action.parameters, schema)

    async def _ready(self) -> Workshop:
        if self._workshop is None:
            side = self._side
            surroundings = await surroundings_of(side.agent, side.paths, side.facades)
            self._workshop = Workshop(
                side=self._side, server=self._server, tools=self._tools, surroundings=surroundings
            )
        return self._workshop


async def surroundings_of(agent: UnitAgent, paths: UnitPaths, facades: Facades) -> Surroundings:
    """What stays the same for all charm code of the unit."""
    unit, model = await facades.unit.unit(), await facades.model.model()
    base, series = await in_thread(own_base)
    return Surroundings(
        unit=str(agent.unit),
        model_uuid=str(agent.model),
        model_name=model.name,
        machine=str(agent.machine),
        principal=unit.principal,
        charm=paths.charm,
        tools=paths.tools,
        path=own_path(os.environ.get("PATH", "")),
        home=own_home(),
        base=base,
        series=series,
    )


def _commands_of(action: Action) -> tuple[str, float | None]:
    """The text of commands, and after how many seconds they are killed.

    Raises:
        ActionNotValid: there is no text.
    """
    text, timeout = action.parameters.get("command"), action.parameters.get("timeout")
    if not isinstance(text, str) or not text:
        raise ActionNotValid(f'"{action.name}" needs the parameter "command", a text')
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout > 0:
        return text, None
    return text, timeout / _NANOSECONDS
