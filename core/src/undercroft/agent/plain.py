"""What workers report about themselves, made fit for JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeAlias

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"

_DEEPEST = 64


def plain(value: object, *, depth: int = 0) -> Plain:
    """A copy of `value` made of JSON's own types; whatever else is in it is shown as text.

    A report is a plugin's to shape, so nothing about it is taken for granted: neither the types of its keys nor that it
    ends somewhere.
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth >= _DEEPEST:
        return "..."
    if isinstance(value, Mapping):
        return {text(key): plain(item, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, (Sequence, AbstractSet)) and not isinstance(value, (bytes, bytearray, memoryview)):
        return [plain(item, depth=depth + 1) for item in value]
    return text(value)


def fields(value: Mapping[str, object]) -> dict[str, Plain]:
    """The same for a whole answer."""
    return {text(key): plain(item, depth=1) for key, item in value.items()}


def text(value: object) -> str:
    """`str(value)`, or the type's name where that is empty or fails: an error with no message still says something."""
    try:
        shown = str(value)
    except Exception:  # A plugin's __str__: the answer it appears in must not depend on it.
        shown = ""
    return shown.encode("utf-8", "replace").decode("utf-8") or type(value).__name__
