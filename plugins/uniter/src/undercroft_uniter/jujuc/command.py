"""One call of a hook tool: its arguments taken apart, the tool run, its answer printed, its exit status."""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from undercroft_hookspecs import UndercroftError
from undercroft_hookspecs.hook_tools import Flag, ToolCall, ToolUsageError
from undercroft_uniter.jujuc.arguments import Parsed, invalid_value, parse, unrecognized
from undercroft_uniter.jujuc.formats import render
from undercroft_uniter.jujuc.help import help_text
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.tools.tool import Tool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from undercroft_hookspecs.hook_tools import HookContext, HookTool

_log = logging.getLogger(__name__)

SUCCESS: Final = 0
FAILURE: Final = 1
MISUSE: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How a call ended, and what its client is to print."""

    code: int = SUCCESS
    stdout: str = ""
    stderr: str = ""
    output: str = ""
    """The file that `stdout` goes to instead, as the charm has named it."""


def refused(message: object, *, code: int = FAILURE) -> Answer:
    """The answer that says that something is wrong."""
    return Answer(code=code, stderr=f"ERROR {message}\n")


async def run(
    tool: HookTool,
    context: HookContext,
    arguments: Sequence[str],
    *,
    folder: Path,
    read: Callable[[str], Awaitable[bytes]],
) -> Answer:
    """Run a tool in a hook, with the arguments that follow its name; whatever goes wrong is in the answer."""
    warnings: list[str] = []
    try:
        flags = all_flags(tool, context)
        parsed = parse(arguments, flags)
        if parsed.is_help:
            return Answer(stdout=help_text(tool, flags))
        form, output = _form(tool, parsed)
        call = ToolCall(
            arguments=_checked(tool, parsed.arguments),
            values=parsed.values,
            switches=frozenset(parsed.switches),
            format=form,
            folder=folder,
            read=read,
            warn=warnings.append,
        )
        result = await tool.run(context, call)
        stdout = render(result, form) if form else _as_it_is(result)
        return Answer(stdout=stdout, stderr=_lines(warnings), output=output)
    except ToolUsageError as error:
        return Answer(code=MISUSE, stderr=f"{_lines(warnings)}ERROR {error}\n")
    except UndercroftError as error:
        return Answer(code=FAILURE, stderr=f"{_lines(warnings)}ERROR {error}\n")
    except (
        Exception
    ) as error:  # Any plugin's tool comes through here: its mistake is the hook's failure, not the unit's.
        _log.exception("the hook tool %s of unit %s, in %s, is broken", tool.name, context.unit, context.hook)
        return refused(f"the hook tool {tool.name} is broken: {type(error).__name__}; the agent's log has more")


def all_flags(tool: HookTool, context: HookContext) -> Sequence[Flag]:
    """The flags of a tool, with those that the uniter adds to one that has formats."""
    flags = tool.flags(context)
    if not tool.formats:
        return flags
    return (*flags, *_output_flags(tuple(tool.formats)))


@functools.lru_cache(maxsize=64)
def _output_flags(formats: tuple[str, ...]) -> tuple[Flag, ...]:
    choices = "|".join(sorted(formats))
    summary = f"Specify output format ({choices})"
    return (
        Flag(names=("format",), summary=summary, value="format", default=formats[0]),
        Flag(names=("o", "output"), summary="Specify an output file", value="file"),
    )


def _form(tool: HookTool, parsed: Parsed) -> tuple[str, str]:
    if not tool.formats:
        return "", ""
    form = parsed.values.pop("format")
    if form not in tool.formats:
        raise invalid_value(form, "format", f"unknown format {quoted(form)}")
    return form, parsed.values.pop("output", "")


def _checked(tool: HookTool, arguments: list[str]) -> tuple[str, ...]:
    fewest, most = tool.arity
    if most is not None and len(arguments) > most:
        raise unrecognized(arguments[most:])
    if len(arguments) < fewest:
        said = tool.missing if isinstance(tool, Tool) else ""
        raise ToolUsageError(said or f"too few arguments; usage: {tool.name} {tool.usage}")
    return tuple(arguments)


def _as_it_is(result: object) -> str:
    if result is None:
        return ""
    if not isinstance(result, str):
        raise TypeError(f"a hook tool without formats cannot answer with a {type(result).__name__}")
    return result


def _lines(warnings: list[str]) -> str:
    return "".join(f"{line}\n" for line in warnings)
