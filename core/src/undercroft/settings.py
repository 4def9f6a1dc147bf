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
        steps = _found(values, kind, _steps(place), str(error))
        key, expected, found = _explained(message, values, kind, steps)
        raise ConfigError(file=file, key=_dotted(prefix, key), expected=expected, found=found) from error


def _explained(
    message: str, values: Mapping[str, Any], kind: type[C], steps: list[str | int]
) -> tuple[list[str | int], str, str]:
    """Which key is meant, what was expected, and what was found."""
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", message):
        known = _fields(kind, values, steps)
        expected = f"one of: {', '.join(known)}" if known else "no key at all: it has no settings"
        return [*steps, unknown[1]], expected, f"is not a known key{suggestion(unknown[1], known)}"
    if missing := re.fullmatch(r"Object missing required field `(.*)`", message):
        tags = _tags(kind, values, steps, missing[1])
        return [*steps, missing[1]], f"one of: {', '.join(tags)}" if tags else "a value", "is missing"
    shown = "something else" if _ANY_KEY in steps else _shown(_value(values, steps))
    if re.fullmatch(r"Invalid value .*", message) and (tags := _tags(kind, values, steps[:-1], steps[-1])):
        return steps, f"one of: {', '.join(tags)}", f"is {shown}{suggestion(str(_value(values, steps)), tags)}"
    if message.startswith("Expected `str` matching regex") and (described := _description(kind, values, steps)):
        return steps, described, f"is {shown}"
    return steps, _expected(message), f"is {shown}"


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


def _found(values: object, kind: type[C], steps: list[str | int], said: str) -> list[str | int]:
    """The steps with the keys that msgspec does not name: those with which alone it says the same."""
    for place, step in enumerate(steps):
        table = _value(values, steps[:place])
        if step == _ANY_KEY and isinstance(table, dict):
            steps = [*steps[:place], _culprit(values, kind, steps[:place], said), *steps[place + 1 :]]
    return steps


def _culprit(values: object, kind: type[C], above: list[str | int], said: str) -> str:
    table = _value(values, above)
    assert isinstance(table, dict)
    for key in table:
        try:
            msgspec.convert(_with(values, above, {key: table[key]}), kind)
        except msgspec.ValidationError as error:
            if str(error) == said:
                return str(key)
    return _ANY_KEY


def _with(values: object, above: list[str | int], table: object) -> object:
    """The values with another table in that place."""
    if not above:
        return table
    first, *rest = above
    if isinstance(values, dict):
        return {**values, first: _with(values[first], rest, table)}
    assert isinstance(values, list)
    assert isinstance(first, int)
    return [*values[:first], _with(values[first], rest, table), *values[first + 1 :]]


def _fields(kind: type[msgspec.Struct], values: object, steps: list[str | int]) -> list[str]:
    """The keys of the struct that `steps` lead to, as far as the types tell."""
    here = _type(kind, values, steps)
    structs = [each for each in _choices(here) if isinstance(each, msgspec.inspect.StructType)]
    chosen = [each for each in structs if _is_tagged(each, _value(values, steps))] or structs
    return [each.encode_name for each in chosen[0].fields] if chosen else []


def _tags(kind: type[msgspec.Struct], values: object, steps: list[str | int], field: str | int) -> list[str]:
    """What the key `field` may be where it says which of several structs a table is; empty if it does not say that."""
    structs = _choices(_type(kind, values, steps))
    return [
        str(each.tag) for each in structs if isinstance(each, msgspec.inspect.StructType) and each.tag_field == field
    ]


def _type(kind: type[msgspec.Struct], values: object, steps: list[str | int]) -> object:
    here: object = msgspec.inspect.type_info(kind)
    for place, step in enumerate(steps):
        here = _within(here, step, _value(values, steps[:place]))
    return here


def _description(kind: type[msgspec.Struct], values: object, steps: list[str | int]) -> str:
    """What the struct says of that key, which tells a person more than a pattern; "" if nothing."""
    here = _type(kind, values, steps)
    schema = here.extra_json_schema if isinstance(here, msgspec.inspect.Metadata) else None
    return str((schema or {}).get("description", ""))


def _within(here: object, step: str | int, value: object) -> object:
    choices = _choices(here)
    table = next(
        (each for each in choices if isinstance(each, msgspec.inspect.StructType) and _is_tagged(each, value)),
        None,
    ) or next(
        (
            each
            for each in choices
            if isinstance(each, msgspec.inspect.StructType | msgspec.inspect.DictType | msgspec.inspect.ListType)
        ),
        None,
    )
    if isinstance(table, msgspec.inspect.StructType):
        return next((each.type for each in table.fields if each.encode_name == step), None)
    if isinstance(table, msgspec.inspect.DictType):
        return table.value_type
    return getattr(table, "item_type", None)


def _is_tagged(struct: msgspec.inspect.StructType, value: object) -> bool:
    return struct.tag_field is not None and isinstance(value, dict) and value.get(struct.tag_field) == struct.tag


def _choices(here: object) -> list[object]:
    """The types that it may be: look through unions and annotations."""
    if isinstance(here, msgspec.inspect.Metadata):
        return _choices(here.type)
    if isinstance(here, msgspec.inspect.UnionType):
        return [found for each in here.types for found in _choices(each)]
    return [here]
