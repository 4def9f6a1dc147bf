"""How Juju's YAML library writes strings and orders keys, where PyYAML would do otherwise."""

from __future__ import annotations

import re
from datetime import date

_WORDS = frozenset(
    word
    for name in ("y", "yes", "true", "on", "n", "no", "false", "off", "null", ".nan", ".inf", "+.inf", "-.inf")
    for word in (name, name.capitalize(), name.upper())
) | {"", "~", ".NaN", ".Inf", "+.Inf", "-.Inf"}
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]+|0[bB][01]+|0[oO]?[0-7]+|[1-9][0-9]*|0)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"([Tt]([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(\.[0-9]+)?(Z|[-+][0-9]{2}:[0-9]{2})"
    r"| ([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(\.[0-9]+)?)?"
)
_FIRST = frozenset("+-.0123456789yYnNtTfFoO~")


def is_plain(text: str) -> bool:
    """Whether the text, written without quotes, is read as the string that it is."""
    if not text:
        return False
    if text[0] not in _FIRST:
        return True
    return not (text in _WORDS or _is_number(text) or _is_time(text))


def _is_number(text: str) -> bool:
    if text[0] not in "+-.0123456789":
        return False
    digits = text if text[0] == "." else text.replace("_", "")
    return any((_INTEGER.fullmatch(digits), _FLOAT.fullmatch(digits), ":" in text and _SEXAGESIMAL.fullmatch(text)))


def _is_time(text: str) -> bool:
    match = _TIME.fullmatch(text)
    if match is None:
        return False
    year, month, day = (int(part) for part in match.group(1, 2, 3))
    try:
        date(year or 4, month, day)  # Juju knows a year 0; it was a leap year.
    except ValueError:
        return False
    return True


def key_order(one: str, other: str) -> int:
    """Negative if the key `one` stands before the key `other`: `a2` is before `a10`, and both are before `ab`."""
    for at, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return _order_from(one, other, at)
    return len(one) - len(other)


def _order_from(one: str, other: str, at: int) -> int:
    left, right = one[at], other[at]
    if left.isalpha() and right.isalpha():
        return ord(left) - ord(right)
    if left.isalpha() or right.isalpha():
        return -1 if right.isalpha() else 1
    # With a zero in front it is a number only if another digit comes before: 10 and 1 differ in size, 00 and 0 do not.
    begin = "1" if "0" in (left, right) and one[:at][_digits_before(one, at) :].strip("0") else ""
    first, second = _number(one, at), _number(other, at)
    difference = int(begin + first or "0") - int(begin + second or "0")
    return difference or len(first) - len(second) or ord(left) - ord(right)


def _digits_before(text: str, at: int) -> int:
    while at and text[at - 1].isdecimal():
        at -= 1
    return at


def _number(text: str, at: int) -> str:
    end = at
    while end < len(text) and text[end].isdecimal():
        end += 1
    return text[at:end]
