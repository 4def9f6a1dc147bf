"""How the workload is: status-get, status-set and application-version-set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotLeaderError
from undercroft_hookspecs.hook_tools import Flag, StatusContext, ToolUsageError
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.tools.tool import ANSWER, NOT_LEADER, Tool, part_or_none

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.hook_tools import HookContext, ToolCall
    from undercroft_hookspecs.state import Status
    from undercroft_hookspecs.unit_facades import ApplicationStatuses

STATUSES = ("maintenance", "blocked", "waiting", "active")
"""Those that a charm may set."""


async def _get(context: HookContext, call: ToolCall) -> object:
    with_data = "include-data" in call.switches
    statuses = part_or_none(context, StatusContext)
    if statuses is None:
        return _shown({"status": "unknown"}, call, with_data=with_data)
    if "application" in call.switches:
        try:
            found = await statuses.application_statuses()
        except NotLeaderError:
            raise NotLeaderError(NOT_LEADER) from None
        return _of_application(found, call, with_data=with_data)
    return _shown(_document(await statuses.unit_status(), with_data=with_data), call, with_data=with_data)


def _of_application(found: ApplicationStatuses, call: ToolCall, *, with_data: bool) -> object:
    if call.format == "smart" and not with_data:
        return found.application.current
    document = _document(found.application, with_data=with_data)
    document["units"] = {name: _document(one, with_data=with_data) for name, one in sorted(found.units.items())}
    return {"application-status": document}


def _shown(document: Mapping[str, object], call: ToolCall, *, with_data: bool) -> object:
    return document["status"] if call.format == "smart" and not with_data else document


def _document(status: Status, *, with_data: bool) -> dict[str, object]:
    if not with_data:
        return {"status": status.current}
    return {"status": status.current, "message": status.message, "status-data": dict(status.data)}


async def _set(context: HookContext, call: ToolCall) -> None:
    current = call.arguments[0]
    message = call.arguments[1] if len(call.arguments) > 1 else ""
    if current not in STATUSES:
        raise ToolUsageError(f"invalid status {quoted(current)}, expected one of [{' '.join(STATUSES)}]")
    statuses = context.get(StatusContext)
    if "application" not in call.switches:
        await statuses.set_unit_status(current, message)
        return
    try:
        await statuses.set_application_status(current, message)
    except NotLeaderError:
        raise NotLeaderError(NOT_LEADER) from None


async def _set_version(context: HookContext, call: ToolCall) -> None:
    await context.get(StatusContext).set_workload_version(call.arguments[0])


_NAMES = ("service", "application")

GET = Tool(
    name="status-get",
    summary="Print the status of the unit or of its application",
    details="Without data, and in the format smart, that is one word. Only the leader sees the application's.",
    formats=ANSWER,
    options=(
        Flag(names=("include-data",), summary="print the message and the data, too"),
        Flag(names=_NAMES, summary="the application's status, and those of its units"),
    ),
    work=_get,
)
SET = Tool(
    name="status-set",
    summary="Say how the unit, or its application, is",
    usage="<maintenance|blocked|waiting|active> [<message>]",
    details="It is written at once, whatever becomes of the hook.",
    arity=(1, 2),
    missing="invalid args, require <status> [message]",
    options=(Flag(names=_NAMES, summary="the application's, which only the leader may"),),
    work=_set,
)
VERSION = Tool(
    name="application-version-set",
    summary="Say which version of the software runs",
    usage="<version>",
    arity=(1, 1),
    missing="no version specified",
    work=_set_version,
)
TOOLS = (GET, SET, VERSION)
