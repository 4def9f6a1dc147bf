"""What the unit is told of its application and model: config-get, goal-state, credential-get and resource-get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotPermittedError
from undercroft_hookspecs.hook_tools import (
    ConfigContext,
    CredentialContext,
    Flag,
    GoalStateContext,
    ResourcesContext,
    ToolUsageError,
)
from undercroft_uniter.jujuc.formats import Ordered
from undercroft_uniter.jujuc.tools.tool import ANSWER, Tool

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import HookContext, ToolCall

_REFUSED = "cannot access cloud credentials: "


async def _config(context: HookContext, call: ToolCall) -> object:
    key = call.arguments[0] if call.arguments else ""
    with_unset = "all" in call.switches
    if key and with_unset:
        raise ToolUsageError("cannot use argument --all together with an option's name")
    settings = await context.get(ConfigContext).settings()
    if key:
        return settings.get(key)
    return {name: value for name, value in sorted(settings.items()) if with_unset or value is not None}


async def _goals(context: HookContext, call: ToolCall) -> Ordered:
    del call
    goals = await context.get(GoalStateContext).goal_state()
    relations = {name: _statuses(one) for name, one in _map(goals["relations"]).items()}
    return Ordered(units=_statuses(goals["units"]), relations=relations)


def _statuses(found: object) -> Mapping[str, Ordered]:
    entries = {name: _map(one) for name, one in _map(found).items()}
    return {name: Ordered(status=one["status"], since=one["since"]) for name, one in entries.items()}


def _map(value: object) -> Mapping[str, object]:
    assert isinstance(value, Mapping)
    return value


async def _credential(context: HookContext, call: ToolCall) -> object:
    del call
    try:
        return await context.get(CredentialContext).credential()
    except NotPermittedError as error:
        raise NotPermittedError(f"{_REFUSED}{str(error).removeprefix(_REFUSED)}") from error


async def _resource(context: HookContext, call: ToolCall) -> str:
    return str(await context.get(ResourcesContext).resource(call.arguments[0]))


CONFIG = Tool(
    name="config-get",
    summary="Print the application's config",
    usage="[<option>]",
    details="Without an option, prints all that are set or have a default.",
    formats=ANSWER,
    arity=(0, 1),
    options=(Flag(names=("a", "all"), summary="print those that are not set, too"),),
    work=_config,
)
GOALS = Tool(
    name="goal-state",
    summary="Print which units and relations there are to be, with their statuses",
    formats=("yaml", "json"),
    work=_goals,
)
CREDENTIAL = Tool(
    name="credential-get",
    summary="Print the cloud and its credential",
    details="Only an application that is trusted may see it.",
    formats=ANSWER,
    work=_credential,
)
RESOURCE = Tool(
    name="resource-get",
    summary="Print where the file of a resource is",
    usage="<resource>",
    details="It is fetched if there is none yet, or another one has been attached. No newline follows the path.",
    arity=(1, 1),
    missing="missing required resource name",
    work=_resource,
)
TOOLS = (CONFIG, GOALS, CREDENTIAL, RESOURCE)
