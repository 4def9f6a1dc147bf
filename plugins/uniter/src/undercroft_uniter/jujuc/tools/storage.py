"""Storage: storage-add, storage-get and storage-list."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.hook_tools import Flag, StorageContext, ToolUsageError
from undercroft_uniter.jujuc.arguments import invalid_value
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.tools.tool import ANSWER, Tool, part_or_none

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import HookContext, ToolCall

_STORE = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?", re.ASCII)
_STORAGE = re.compile(rf"{_STORE.pattern}/(?:0|[1-9][0-9]*)", re.ASCII)
_COUNT = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)


async def _add(context: HookContext, call: ToolCall) -> None:
    counts: dict[str, int] = {}
    for argument in call.arguments:
        name, separator, count = argument.partition("=")
        if not _STORE.fullmatch(name):
            raise ToolUsageError(f"{quoted(name)} is not the name of a store")
        if name in counts:
            raise ToolUsageError(f"storage {quoted(name)} specified more than once")
        if separator and not _COUNT.fullmatch(count):
            raise ToolUsageError(f"cannot add {quoted(count)} of storage {quoted(name)}: expected a count above 0")
        counts[name] = int(count) if separator else 1
    await context.get(StorageContext).add(counts)


async def _get(context: HookContext, call: ToolCall) -> object:
    storage = context.get(StorageContext)
    name = call.values.get("s", "")
    if not name:
        raise ToolUsageError("no storage instance specified")
    if not _STORAGE.fullmatch(name):
        raise invalid_value(name, "s", "invalid storage id")
    found = (await storage.attached()).get(name)
    if found is None:
        raise invalid_value(name, "s", "storage not found")
    attributes = {"kind": found.kind, "location": found.location}
    if not call.arguments or not call.arguments[0]:
        return attributes
    if call.arguments[0] not in attributes:
        raise UndercroftError(f"invalid storage attribute {quoted(call.arguments[0])}, expected kind or location")
    return attributes[call.arguments[0]]


async def _list(context: HookContext, call: ToolCall) -> list[str]:
    attached = await context.get(StorageContext).attached()
    name = call.arguments[0] if call.arguments else ""
    return sorted(one for one in attached if not name or one.partition("/")[0] == name)


def _storage_flag(context: HookContext) -> Sequence[Flag]:
    storage = part_or_none(context, StorageContext)
    default = storage.current if storage is not None else ""
    return (Flag(names=("s",), value="STORAGE", summary="which storage, by its id", default=default),)


ADD = Tool(
    name="storage-add",
    summary="Ask for more storage of a store of the charm",
    usage="<store>[=<count>] [<store>[=<count>] ...]",
    details="The default is one piece. It is asked for when the hook has succeeded.",
    arity=(1, None),
    missing="storage add requires a storage directive",
    work=_add,
)
GET = Tool(
    name="storage-get",
    summary="Print what a piece of storage is and where",
    usage="[kind|location]",
    details="The default is the storage that the hook is run for.",
    formats=ANSWER,
    arity=(0, 1),
    options_of=_storage_flag,
    work=_get,
)
LIST = Tool(
    name="storage-list",
    summary="List the storage that is attached to the unit, by id",
    usage="[<store>]",
    formats=ANSWER,
    arity=(0, 1),
    work=_list,
)
TOOLS = (ADD, GET, LIST)
