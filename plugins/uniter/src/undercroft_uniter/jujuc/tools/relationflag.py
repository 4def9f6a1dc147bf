"""The flag by which tools are told which relation is meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from undercroft_hookspecs.hook_tools import Flag, RelationsContext, ToolUsageError
from undercroft_uniter.jujuc.arguments import invalid_value
from undercroft_uniter.jujuc.tools.tool import part_or_none

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import HookContext, RelationContext, ToolCall

NAMES = ("relation", "r")


def relation_flag(context: HookContext) -> Sequence[Flag]:
    """`-r`, with the relation that the hook is run for as its default."""
    relations = part_or_none(context, RelationsContext)
    current = relations.current if relations is not None else None
    default = str(current) if current is not None else ""
    return (Flag(names=NAMES, value="RELATION", summary="which relation, by its id", default=default),)


def relation_in(context: HookContext, call: ToolCall) -> RelationContext:
    """The relation that was named, or else that the hook is run for.

    Raises:
        ToolUsageError: none was named, and there is no other; or there is no such relation.
    """
    given = call.values.get("r", "")
    if not given:
        raise ToolUsageError("no relation id specified")
    number = given.rpartition(":")[2]
    # Only ASCII digits: int() takes more than an id can be.
    if not (number.isascii() and number.isdigit() and len(number) < 20):
        raise invalid_value(given, "r", "invalid relation id")
    found = context.get(RelationsContext).relations().get(int(number))
    if found is None:
        raise invalid_value(given, "r", "relation not found")
    return found
