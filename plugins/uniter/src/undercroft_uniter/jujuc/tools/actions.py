"""Actions: action-get, action-set, action-fail and action-log, which are called function-get... by some charms."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from undercroft_hookspecs.hook_tools import ToolUsageError
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.tools.tool import ANSWER, Tool, action

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import HookContext, ToolCall

_SEGMENT = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_RESERVED = frozenset(("stdout", "stdout-encoding", "stderr", "stderr-encoding"))
"""Where what the action prints goes."""
_NO_REASON = "action failed without reason given, check action for errors"


async def _get(context: HookContext, call: ToolCall) -> object:
    value: object = dict(action(context).parameters)
    path = call.arguments[0] if call.arguments else ""
    for key in path.split(".") if path else ():
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


async def _set(context: HookContext, call: ToolCall) -> None:
    # All are looked at before the first is set.
    results = [_result(argument) for argument in call.arguments]
    running = action(context)
    for path, value in results:
        running.set_result(path, value)


def _result(argument: str) -> tuple[list[str], str]:
    key, separator, value = argument.partition("=")
    if not separator:
        raise ToolUsageError(f"argument {quoted(argument)} must be of the form key...=value")
    path = key.split(".")
    if not all(map(_SEGMENT.fullmatch, path)):
        raise ToolUsageError(
            f"key {quoted(key)} must start and end with lowercase alphanumeric, "
            "and contain only lowercase alphanumeric, hyphens and periods"
        )
    if path[0] in _RESERVED:
        raise ToolUsageError(f"cannot set reserved action key {quoted(path[0])}")
    return path, value


async def _fail(context: HookContext, call: ToolCall) -> None:
    action(context).fail(call.arguments[0] if call.arguments else _NO_REASON)


async def _log(context: HookContext, call: ToolCall) -> None:
    await action(context).log(" ".join(call.arguments))


GET = Tool(
    name="action-get",
    summary="Print the action's parameters",
    usage="[<key>[.<key>...]]",
    details="Without a key, prints all of them, with the defaults that the charm gives. Keys go deeper with dots.",
    formats=ANSWER,
    arity=(0, 1),
    work=_get,
)
SET = Tool(
    name="action-set",
    summary="Add to the action's results",
    usage="<key>[.<key>...]=<value> [<key>[.<key>...]=<value> ...]",
    details="A later value takes the place of an earlier one. Results are kept even if the action fails.",
    arity=(0, None),
    work=_set,
)
FAIL = Tool(
    name="action-fail",
    summary="Say that the action has failed, and why",
    usage="[<message>]",
    details="The action goes on, and its results are kept.",
    arity=(0, 1),
    work=_fail,
)
LOG = Tool(
    name="action-log",
    summary="Report the action's progress",
    usage="<message> [<message> ...]",
    details="Whoever waits for the action sees it at once.",
    arity=(1, None),
    missing="no message specified",
    work=_log,
)
_ACTIONS = (GET, SET, FAIL, LOG)
TOOLS = (*_ACTIONS, *(replace(tool, name=tool.name.replace("action", "function")) for tool in _ACTIONS))
