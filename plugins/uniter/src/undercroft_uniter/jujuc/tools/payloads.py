"""Payloads, which Juju has given up: payload-register, payload-unregister and payload-status-set.

What charms say of them is checked as it was, and kept nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from undercroft.files import in_thread
from undercroft_hookspecs.errors import NotFoundError, NotValidError, UndercroftError
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.tools.tool import Tool

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import HookContext, ToolCall

_DEEPEST = 100
STATUSES = ("starting", "running", "stopping", "stopped")


async def _register(context: HookContext, call: ToolCall) -> None:
    del context
    kind, name = call.arguments[:2]
    declared = await in_thread(_declared, await call.read("metadata.yaml"))
    if name not in declared:
        raise NotFoundError(name, f"payload {quoted(name)} not found in metadata.yaml")
    if declared[name] != kind:
        message = f"incorrect type {quoted(kind)} for payload {quoted(name)}, expected {quoted(declared[name])}"
        raise NotValidError(message, field="type")


def _declared(metadata: bytes) -> dict[str, str]:
    """The payloads that a charm's metadata.yaml declares, each with its type."""
    try:
        _check_depth(metadata)
        document = yaml.load(metadata, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UndercroftError("metadata.yaml cannot be parsed") from error
    payloads = document.get("payloads") if isinstance(document, dict) else None
    if not isinstance(payloads, dict):
        return {}
    types = {name: one.get("type") for name, one in payloads.items() if isinstance(one, dict)}
    return {name: kind for name, kind in types.items() if isinstance(name, str) and isinstance(kind, str)}


def _check_depth(metadata: bytes) -> None:
    # The C loader descends on the stack of the thread, and whatever is too deep for that would take the agent with it.
    depth = 0
    for event in yaml.parse(metadata, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise UndercroftError("metadata.yaml cannot be parsed: it is nested too deeply")


async def _unregister(context: HookContext, call: ToolCall) -> None:
    del context, call


async def _set_status(context: HookContext, call: ToolCall) -> None:
    del context
    status = call.arguments[2]
    if status not in STATUSES:
        message = f"status {quoted(status)} not supported; expected one of [{' '.join(STATUSES)}]"
        raise NotValidError(message, field="status")


_DETAILS = "It is checked, and has no effect: payloads were given up by Juju."

REGISTER = Tool(
    name="payload-register",
    summary="Say that a payload runs",
    usage="<type> <class> <id> [<label> ...]",
    details=_DETAILS,
    arity=(3, None),
    missing="missing required arguments",
    work=_register,
)
UNREGISTER = Tool(
    name="payload-unregister",
    summary="Say that a payload runs no longer",
    usage="<class> <id>",
    details=_DETAILS,
    arity=(2, 2),
    missing="missing required arguments",
    work=_unregister,
)
STATUS = Tool(
    name="payload-status-set",
    summary="Say how a payload is",
    usage="<class> <id> <starting|running|stopping|stopped>",
    details=_DETAILS,
    arity=(3, 3),
    missing="missing required arguments",
    work=_set_status,
)
TOOLS = (REGISTER, UNREGISTER, STATUS)
