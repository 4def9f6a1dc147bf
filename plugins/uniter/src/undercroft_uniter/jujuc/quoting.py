"""Text as Juju quotes it in its messages, which charms and their authors know."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def quoted(text: str) -> str:
    """Between double quotes, with escapes for what cannot be seen: `"a\\tb"`."""
    return '"' + "".join(map(_escaped, text)) + '"'


def quoted_list(texts: Iterable[str]) -> str:
    """Several, as in `["a" "b"]`."""
    return "[" + " ".join(map(quoted, texts)) + "]"


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # A byte that is no UTF-8, as Python carries it.
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
