"""The unit's log and its machine: juju-log and juju-reboot."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from undercroft_hookspecs.hook_tools import (
    ActionContext,
    Flag,
    LogContext,
    NotInContextError,
    RebootContext,
    RelationsContext,
)
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.tools.tool import DEPRECATED_FORMAT, Tool, part_or_none, warn_of_format

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.hook_tools import HookContext, ToolCall

_TRACE = 5
_LEVELS: Mapping[str, int] = {
    "TRACE": _TRACE,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARNING": logging.WARNING,
    "WARN": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
}


async def _log(context: HookContext, call: ToolCall) -> None:
    log = context.get(LogContext)
    warn_of_format(call, "juju-log")
    given = call.values["log-level"]
    level = _LEVELS.get(given.upper())
    if level is None:
        unknown = f"{quoted(given)} is no level to log at; using INFO"
        log.log(logging.WARNING, unknown)
        level = logging.INFO
    relations = part_or_none(context, RelationsContext)
    badge = f"{relations.current}: " if relations is not None and relations.current is not None else ""
    line = badge + " ".join(call.arguments)
    log.log(logging.DEBUG if "debug" in call.switches else level, line)


async def _reboot(context: HookContext, call: ToolCall) -> None:
    if part_or_none(context, ActionContext) is not None:
        raise NotInContextError("juju-reboot is not supported when running an action")
    await context.get(RebootContext).request_reboot(now="now" in call.switches)


LOG = Tool(
    name="juju-log",
    summary="Write a line to the unit's log",
    usage="<message> [<message> ...]",
    arity=(1, None),
    missing="no message specified",
    options=(
        Flag(names=("debug",), summary="log at the level DEBUG"),
        Flag(
            names=("l", "log-level"),
            value="LEVEL",
            default="INFO",
            summary="one of TRACE, DEBUG, INFO, WARNING, ERROR and CRITICAL, in capitals or not",
        ),
        DEPRECATED_FORMAT,
    ),
    work=_log,
)
REBOOT = Tool(
    name="juju-reboot",
    summary="Reboot the machine once the hook has succeeded",
    details="With --now the hook is killed and what it has written dropped; it is run again after the reboot.",
    options=(Flag(names=("now",), summary="do not wait for the end of the hook"),),
    work=_reboot,
)
TOOLS = (LOG, REBOOT)
