"""The texts that charms give by key: as arguments, or in a file of YAML (or JSON, which is YAML, too)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from undercroft.files import in_thread
from undercroft_uniter.jujuc.settings import key_values, read_settings

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import ToolCall

_AT_ONCE = 16 * 1024
"""A longer text is parsed in a thread."""


async def read_changes(call: ToolCall) -> dict[str, str]:
    """What the arguments say, over what the file of `--file` says; empty values are allowed.

    Raises:
        ToolUsageError: an argument is no pair.
        UndercroftError: the file cannot be read, or is no mapping of texts.
    """
    given = key_values(call.arguments)
    return {**await read_mapping(call), **given}


async def read_mapping(call: ToolCall) -> dict[str, str]:
    """The mapping in the file of `--file`; an empty one where there is none.

    Raises:
        UndercroftError: the file cannot be read, or is no mapping of texts.
    """
    if "file" not in call.values:
        return {}
    content = await call.read(call.values["file"])
    try:
        # What ops writes. YAML would not do: it knows no surrogate pairs, as JSON has them for what is beyond 16 bits.
        return msgspec.json.decode(content, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    if len(content) <= _AT_ONCE:
        return read_settings(content)
    return await in_thread(read_settings, content)
