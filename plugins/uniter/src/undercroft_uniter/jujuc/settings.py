"""`key=value` arguments, and files of them: what relation-set, leader-set, state-set and others are given."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec
import yaml

from undercroft_hookspecs import UndercroftError
from undercroft_hookspecs.hook_tools import ToolUsageError
from undercroft_uniter.jujuc.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NULLS = frozenset(("", "~", "null", "Null", "NULL"))


def key_values(arguments: Iterable[str], *, allow_empty: bool = True) -> dict[str, str]:
    """Take `key=value` arguments apart at the first `=`, both sides trimmed.

    Raises:
        ToolUsageError: one has no `=`, no key, an empty value where that is not allowed, or the key of another.
    """
    pairs: dict[str, str] = {}
    for argument in arguments:
        key, separator, value = argument.partition("=")
        if not separator:
            raise ToolUsageError(f'expected "key=value", got {quoted(argument)}')
        key, value = key.strip(), value.strip()
        if not key or not (value or allow_empty):
            raise ToolUsageError(f'expected "key=value", got {quoted(f"{key}={value}")}')
        if key in pairs:
            raise ToolUsageError(f"key {quoted(key)} specified more than once")
        pairs[key] = value
    return pairs


def read_settings(content: bytes) -> dict[str, str]:
    """The settings of a `--file`: a YAML (or JSON) map of scalars, kept as they are written; null is an empty value.

    An empty file has none. What is nested, or refers to another place, is refused as soon as it is met, so that a small
    file cannot become a large value.

    Raises:
        UndercroftError: it is no such map.
    """
    with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
        # What ops writes. Beyond speed: YAML has no way to escape a character as two surrogates, as JSON does.
        pairs = msgspec.json.decode(content, type=dict[str, str | None])
        return {key: value or "" for key, value in pairs.items()}
    try:
        return _map(iter(yaml.parse(content, Loader=yaml.CSafeLoader)))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UndercroftError(f"cannot parse the settings: {_told(error)}") from error


def _map(events: Iterator[yaml.Event]) -> dict[str, str]:
    next(events)  # The stream's start.
    if isinstance(next(events), yaml.StreamEndEvent):
        return {}
    root = next(events)
    settings = {}
    if isinstance(root, yaml.MappingStartEvent):
        settings = _pairs(events)
    elif not (isinstance(root, yaml.ScalarEvent) and _is_null(root)):
        raise UndercroftError(f"cannot parse the settings: expected a map of keys and values, got {_kind(root)}")
    next(events)  # The document's end.
    if not isinstance(next(events), yaml.StreamEndEvent):
        raise UndercroftError("cannot parse the settings: expected one document, got several")
    return settings


def _pairs(events: Iterator[yaml.Event]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            break
        key = _scalar(event, "a key")
        if key in settings:
            raise UndercroftError(f"cannot parse the settings: key {quoted(key)} specified more than once")
        settings[key] = _scalar(next(events), f"the value of {quoted(key)}")
    return settings


def _scalar(event: yaml.Event, what: str) -> str:
    if not isinstance(event, yaml.ScalarEvent):
        raise UndercroftError(f"cannot parse the settings: {what} is {_kind(event)}, not a string")
    return "" if _is_null(event) else str(event.value)


def _is_null(event: yaml.ScalarEvent) -> bool:
    return not event.style and event.value in _NULLS


def _kind(event: yaml.Event) -> str:
    match event:
        case yaml.MappingStartEvent():
            return "a map"
        case yaml.SequenceStartEvent():
            return "a list"
        case yaml.AliasEvent():
            return "a reference to another place"
    return "a string"


def _told(error: Exception) -> str:
    """What is wrong and where, but none of the content: it may be a secret."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{error.problem} at line {mark.line + 1}, column {mark.column + 1}"
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8"
    return str(getattr(error, "reason", "it is not YAML"))
