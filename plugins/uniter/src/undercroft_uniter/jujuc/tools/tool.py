"""What every hook tool here is made of, and what several of them ask alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.hook_tools import ActionContext, Flag, NotInContextError

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import HookContext, ToolCall

T = TypeVar("T")
Work: TypeAlias = "Callable[[HookContext, ToolCall], Awaitable[object]]"
Flags: TypeAlias = "Callable[[HookContext], Sequence[Flag]]"

ANSWER = ("smart", "json", "yaml")
"""The formats of most tools that have an answer."""
DEPRECATED_FORMAT = Flag(names=("format",), value="FORMAT", summary="has no effect")
"""For tools without an answer that scripts of old give a format."""
NOT_LEADER = "this unit is not the leader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A hook tool: its description, and the function that does it."""

    name: str
    summary: str
    work: Work
    usage: str = ""
    details: str = ""
    formats: Sequence[str] = ()
    arity: tuple[int, int | None] = (0, 0)
    missing: str = ""
    """What it says of too few arguments, in Juju's words."""
    options: Sequence[Flag] = ()
    """The flags that it has in every hook."""
    options_of: Flags | None = None
    """The flags whose defaults depend on the hook."""

    def flags(self, context: HookContext) -> Sequence[Flag]:
        """The flags in that hook."""
        return (*self.options, *(self.options_of(context) if self.options_of is not None else ()))

    async def run(self, context: HookContext, call: ToolCall) -> object:
        """Do it, and give the answer."""
        return await self.work(context, call)


def action(context: HookContext) -> ActionContext:
    """The action that a tool is called in.

    Raises:
        NotInContextError: it is called in a hook.
    """
    try:
        return context.get(ActionContext)
    except NotInContextError:
        raise NotInContextError("not running an action") from None


def warn_of_format(call: ToolCall, tool: str) -> None:
    """Say that DEPRECATED_FORMAT has no effect, where it was given."""
    if "format" in call.values:
        call.warn(f'--format flag deprecated for command "{tool}"')


def part_or_none(context: HookContext, kind: type[T]) -> T | None:
    """A part of the hook, where this kind of hook has it."""
    try:
        return context.get(kind)
    except NotInContextError:
        return None


def failed(message: str, error: Exception) -> UndercroftError:
    """An error for the charm, with what went wrong behind it."""
    return UndercroftError(f"{message}: {error}")
