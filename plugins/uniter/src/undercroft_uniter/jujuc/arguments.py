"""The arguments of a hook tool, taken apart as Juju does: flags anywhere, `--` ends them.

`--name value` and `--name=value`, `-n value` and `-nvalue`, switches together as in `-ab`, and `--switch=False`. The
last of several wins. A `-` alone is an argument.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undercroft_hookspecs.hook_tools import ToolUsageError
from undercroft_uniter.jujuc.quoting import quoted, quoted_list

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.hook_tools import Flag

_TRUE = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE = frozenset(("0", "f", "F", "FALSE", "false", "False"))


@dataclass(slots=True, kw_only=True)
class Parsed:
    """Arguments, taken apart. Flags are under the name that they are known by."""

    arguments: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    switches: set[str] = field(default_factory=set)
    is_help: bool = False
    """`--help` was met before anything wrong."""


def dashed(name: str) -> str:
    """The name of a flag as it is typed."""
    return f"-{name}" if len(name) == 1 else f"--{name}"


def invalid_value(value: str, flag: str, reason: object) -> ToolUsageError:
    """The error for a value that a flag does not take; `flag` as it was typed if that is known, without dashes."""
    return ToolUsageError(f"invalid value {quoted(value)} for option {dashed(flag)}: {reason}")


def unrecognized(arguments: Sequence[str]) -> ToolUsageError:
    """The error for arguments that are too many."""
    return ToolUsageError(f"unrecognized args: {quoted_list(arguments)}")


def parse(arguments: Sequence[str], flags: Sequence[Flag]) -> Parsed:
    """Take the arguments apart.

    Raises:
        ToolUsageError: there is no such flag, its value is missing, or a switch has another than true and false.
    """
    parsed = Parsed(values={flag.names[-1]: flag.default for flag in flags if flag.value and flag.default})
    known = {name: flag for flag in flags for name in flag.names}
    rest = deque(arguments)
    while rest and not parsed.is_help:
        word = rest.popleft()
        if word == "--":
            parsed.arguments.extend(rest)
            break
        if word == "-" or not word.startswith("-"):
            parsed.arguments.append(word)
        elif word.startswith("--"):
            _long(word, known, rest, parsed)
        else:
            _short(word, known, rest, parsed)
    return parsed


def _long(word: str, known: dict[str, Flag], rest: deque[str], parsed: Parsed) -> None:
    name, is_given, value = word[2:].partition("=")
    if not name:
        raise ToolUsageError(f"empty option in argument {quoted(word)}")
    flag = _known(name, known, parsed)
    if flag is None:
        return
    if is_given:
        _set(flag, name, value, parsed)
    else:
        _take(flag, name, rest, parsed)


def _short(word: str, known: dict[str, Flag], rest: deque[str], parsed: Parsed) -> None:
    letters = word[1:]
    while letters and not parsed.is_help:
        name, letters = letters[0], letters[1:]
        flag = _known(name, known, parsed)
        if flag is None:
            return
        if letters and (flag.value or letters.startswith("=")):
            _set(flag, name, letters.removeprefix("="), parsed)
            return
        _take(flag, name, rest, parsed)


def _known(name: str, known: dict[str, Flag], parsed: Parsed) -> Flag | None:
    flag = known.get(name)
    if flag is None:
        if name not in ("help", "h"):
            raise ToolUsageError(f"option provided but not defined: {dashed(name)}")
        parsed.is_help = True
    return flag


def _take(flag: Flag, name: str, rest: deque[str], parsed: Parsed) -> None:
    if not flag.value:
        parsed.switches.add(flag.names[-1])
    elif rest:
        _set(flag, name, rest.popleft(), parsed)
    else:
        raise ToolUsageError(f"option needs an argument: {dashed(name)}")


def _set(flag: Flag, name: str, value: str, parsed: Parsed) -> None:
    known_by = flag.names[-1]
    if flag.value:
        parsed.values[known_by] = value
    elif value in _TRUE:
        parsed.switches.add(known_by)
    elif value in _FALSE:
        parsed.switches.discard(known_by)
    else:
        raise invalid_value(value, name, "it is either true or false")
