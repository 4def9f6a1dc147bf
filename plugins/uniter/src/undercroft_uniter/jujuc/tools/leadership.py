"""Who leads, and what the leader has said: is-leader, leader-get and leader-set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotLeaderError, UndercroftError
from undercroft_hookspecs.hook_tools import LeadershipContext, ToolUsageError
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.settings import key_values
from undercroft_uniter.jujuc.tools.tool import ANSWER, NOT_LEADER, Tool, failed

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import HookContext, ToolCall


async def _is_leader(context: HookContext, call: ToolCall) -> bool:
    del call
    leadership = context.get(LeadershipContext)
    try:
        return await leadership.is_leader()
    except UndercroftError as error:
        raise failed("leadership status unknown", error) from error


async def _get(context: HookContext, call: ToolCall) -> dict[str, str] | str | None:
    key = call.arguments[0] if call.arguments else "-"
    if "=" in key:
        raise ToolUsageError(f"invalid key {quoted(key)}")
    leadership = context.get(LeadershipContext)
    try:
        settings = await leadership.leader_settings()
    except UndercroftError as error:
        raise failed("cannot read leadership settings", error) from error
    return dict(settings) if key in ("", "-") else settings.get(key)


async def _set(context: HookContext, call: ToolCall) -> None:
    changes = key_values(call.arguments)
    leadership = context.get(LeadershipContext)
    try:
        await leadership.merge_leader_settings(changes)
    except NotLeaderError:
        raise NotLeaderError(f"cannot write leadership settings: {NOT_LEADER}") from None
    except UndercroftError as error:
        raise failed("cannot write leadership settings", error) from error


IS_LEADER = Tool(
    name="is-leader",
    summary="Print whether the unit leads its application",
    details="True holds for 30 seconds at least. Once it is False, it stays so for the whole hook.",
    formats=ANSWER,
    work=_is_leader,
)
GET = Tool(
    name="leader-get",
    summary="Print what the leader has said to the units",
    usage="[<key>|-]",
    details="Without a key, or with -, prints all of it.",
    formats=ANSWER,
    arity=(0, 1),
    work=_get,
)
SET = Tool(
    name="leader-set",
    summary="Say something to the units, as their leader",
    usage="<key>=<value> [<key>=<value> ...]",
    details="An empty value deletes the key. It is written at once, whatever becomes of the hook.",
    arity=(0, None),
    work=_set,
)
TOOLS = (IS_LEADER, GET, SET)
