"""What the charm keeps with its unit: state-get, state-set and state-delete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotFoundError
from undercroft_hookspecs.hook_tools import CharmStateContext, Flag
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.tools.mapping import read_changes
from undercroft_uniter.jujuc.tools.tool import ANSWER, Tool

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import HookContext, ToolCall


async def _get(context: HookContext, call: ToolCall) -> dict[str, str] | str:
    key = call.arguments[0] if call.arguments else "-"
    state = await context.get(CharmStateContext).charm_state()
    if key in ("", "-"):
        return dict(state)
    if key not in state and "strict" in call.switches:
        raise NotFoundError(key, f"{quoted(key)} not found")
    return state.get(key, "")


async def _set(context: HookContext, call: ToolCall) -> None:
    changes = await read_changes(call)
    if changes:
        await context.get(CharmStateContext).change_charm_state(changes)


async def _delete(context: HookContext, call: ToolCall) -> None:
    if call.arguments and call.arguments[0]:
        await context.get(CharmStateContext).change_charm_state({call.arguments[0]: None})


GET = Tool(
    name="state-get",
    summary="Print what the charm has kept",
    usage="[<key>|-]",
    details="Without a key, or with -, prints all of it.",
    formats=ANSWER,
    arity=(0, 1),
    options=(Flag(names=("strict",), summary="fail if there is no such key"),),
    work=_get,
)
SET = Tool(
    name="state-set",
    summary="Keep something with the unit",
    usage="<key>=<value> [<key>=<value> ...]",
    details=(
        "It is written when the hook has succeeded. With --file it is read from a YAML (or JSON) mapping of texts, or\n"
        "from what is piped in if FILE is -; arguments win over it."
    ),
    arity=(0, None),
    options=(Flag(names=("file",), value="FILE", summary="a file that has the values, - for what is piped in"),),
    work=_set,
)
DELETE = Tool(
    name="state-delete",
    summary="Keep something no longer",
    usage="<key>",
    details="It is deleted when the hook has succeeded; it is no error if there is no such key.",
    arity=(0, 1),
    work=_delete,
)
TOOLS = (GET, SET, DELETE)
