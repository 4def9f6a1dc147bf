"""Turn decoded settings into a struct, with errors that a person can act on.

msgspec says what is wrong in terms of its own; here that becomes: which file, which key, what was expected, what stands
there, and which key was perhaps meant.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from undercroft_hookspecs.errors import UndercroftError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

C = TypeVar("C", bound=msgspec.Struct)

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")
_ANY_KEY = "*"  # msgspec does not say which key of a mapping it is in.
_KINDS = {
    "bool": "true or false",
    "str": "a string",
    "int": "a whole number",
    "float": "a number",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}


class ConfigError(UndercroftError):
    """A setting cannot be used.

    `file` is None where no file was read; `key` is dotted, and "" where the whole file is meant; `found` is a predicate
    ("is 'yes'"). The command line answers it with exit code 78.
    """

    def __init__(self, *, expected: str, found: str, file: Path | None = None, key: str = "", remedy: str = "") -> None:
        where = f"{file or 'config'}{': ' if key else ''}{key}"
        super().__init__(f"{where} {found}; expected {expected}" + (f"; {remedy}" if remedy else ""))
        self.file = file
        self.key = key
        self.expected = expected
        self.found = found


def convert(values: Mapping[str, Any], kind: type[C], *, file: Path | None = None, prefix: str = "") -> C:
    """Make a `kind` of decoded TOML; `prefix` is the dotted key under which `values` stand in the file.

    Raises:
        ConfigError: a key that `kind` does not have, or a value of another type.
    """
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at ")
        steps = _steps(place)
        unknown = re.fullmatch(r"Object contains unknown field `(.*)`", message)
        if unknown:
            known = _fields(kind, steps)
            key = _dotted(prefix, [*steps, unknown[1]])
            expected = f"one of: {', '.join(known)}" if known else "no key at all: it has no settings"
            found = f"is not a known key{suggestion(unknown[1], known)}"
            raise ConfigError(file=file, key=key, expected=expected, found=found) from error
        shown = "something else" if _ANY_KEY in steps else _shown(_value(values, steps))
        key, found = _dotted(prefix, steps), f"is {shown}"
        raise ConfigError(file=file, key=key, expected=_expected(message), found=found) from error


def suggestion(name: str, known: Collection[str]) -> str:
    """` (did you mean "x"?)`, or "" where nothing is near."""
    near = get_close_matches(name, known, n=1)
    return f' (did you mean "{near[0]}"?)' if near else ""


def _steps(place: str) -> list[str | int]:
    return [int(index) if index else name or _ANY_KEY for name, index in _STEP.findall(place.strip("`"))]


def _dotted(prefix: str, steps: list[str | int]) -> str:
    key = prefix
    for step in steps:
        if isinstance(step, int):
            key += f"[{step}]"
        else:
            key += f".{step}" if key else step
    return key


def _value(values: object, steps: list[str | int]) -> object:
    for step in steps:
        if isinstance(values, dict):
            values = values.get(step)
        elif isinstance(values, list) and isinstance(step, int):
            values = values[step]
    return values


def _shown(value: object) -> str:
    kind = "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else ""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return kind or (text if len(text) <= 60 else f"{text[:60]}...")


def _expected(message: str) -> str:
    types = re.fullmatch(r"Expected `([^`]*)`(?:, got `[^`]*`)?", message)
    if types:
        return " or ".join(_KINDS.get(name.strip(), name.strip()) for name in types[1].split("|"))
    bound = re.fullmatch(r"Expected `([^`]*)`(.*)", message)
    if bound:
        return _KINDS.get(bound[1], bound[1]) + bound[2]
    return message[:1].lower() + message[1:]


def _fields(kind: type[msgspec.Struct], steps: list[str | int]) -> list[str]:
    """The keys of the struct that `steps` lead to, as far as the types tell."""
    here: object = msgspec.inspect.type_info(kind)
    for step in steps:
        here = _within(here, step)
    found = _plain(here, msgspec.inspect.StructType)
    return [each.encode_name for each in found.fields] if isinstance(found, msgspec.inspect.StructType) else []


def _within(here: object, step: str | int) -> object:
    table = _plain(here, msgspec.inspect.StructType, msgspec.inspect.DictType, msgspec.inspect.ListType)
    if isinstance(table, msgspec.inspect.StructType):
        return next((each.type for each in table.fields if each.encode_name == step), None)
    if isinstance(table, msgspec.inspect.DictType):
        return table.value_type
    return getattr(table, "item_type", None)


def _plain(here: object, *kinds: type) -> object:
    """Look through unions and annotations for the first of these kinds."""
    if isinstance(here, msgspec.inspect.Metadata):
        return _plain(here.type, *kinds)
    if isinstance(here, msgspec.inspect.UnionType):
        return next((each for each in here.types if isinstance(_plain(each, *kinds), kinds)), None)
    return here
