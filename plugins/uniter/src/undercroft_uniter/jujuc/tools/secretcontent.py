"""The content of a secret as charms give it: `key=value`, `key#base64=VALUE`, `key#file=PATH`, and a file of them."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.hook_tools import ToolUsageError
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.tools.mapping import read_mapping

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.hook_tools import ToolCall

_FILE, _BASE64 = "file", "base64"


async def read_content(call: ToolCall, pairs: Sequence[str]) -> dict[str, str]:
    """What the pairs say, over what the file of `--file` says. No message has a value in it.

    Raises:
        ToolUsageError: a pair is none.
        UndercroftError: a file cannot be read, or a value is not text.
    """
    given = [_split(pair) for pair in pairs]
    content = {}
    for key, value in (await read_mapping(call)).items():
        name, form = _key(key)
        content[name] = await _value(call, name, form, value)
    seen: set[str] = set()
    for name, form, value in given:
        if name in seen:
            raise ToolUsageError(f"key {quoted(name)} specified more than once")
        seen.add(name)
        content[name] = await _value(call, name, form, value)
    return content


def _split(pair: str) -> tuple[str, str, str]:
    key, separator, value = pair.partition("=")
    if not separator or not key:
        # What there is of it may be the secret.
        raise ToolUsageError('expected "key=value", got something without "=" or without a key')
    name, form = _key(key)
    if not value:
        raise ToolUsageError(f"the value of {quoted(name)} is empty")
    return name, form, value


def _key(key: str) -> tuple[str, str]:
    name, separator, form = key.partition("#")
    if separator and form not in (_FILE, _BASE64):
        raise ToolUsageError(f"{quoted(key)} is no key of a secret: after # comes {_BASE64} or {_FILE}")
    return name, form


async def _value(call: ToolCall, name: str, form: str, value: str) -> str:
    if form == _FILE:
        return _text(name, await call.read(value))
    if form == _BASE64:
        try:
            return _text(name, base64.b64decode(value, validate=True))
        except (binascii.Error, ValueError):
            raise NotValidError(f"the value of {quoted(name)} is not base64", field=name) from None
    return value


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise NotValidError(f"the value of {quoted(name)} is not text", field=name) from None
