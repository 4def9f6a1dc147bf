"""The help of a hook tool, which charms read, too: old ones look in it for the defaults and names of flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_uniter.jujuc.arguments import dashed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.hook_tools import Flag, HookTool


def help_text(tool: HookTool, flags: Sequence[Flag]) -> str:
    """What `--help` prints."""
    usage = " ".join(filter(None, (tool.name, "[options]" if flags else "", tool.usage)))
    parts = [f"Usage: {usage}\n", f"Summary:\n{tool.summary.strip()}\n"]
    if flags:
        ordered = sorted(flags, key=lambda flag: max(flag.names, key=len))
        parts.append("Options:\n" + "".join(map(_flag, ordered)))
    if tool.details:
        parts.append(f"Details:\n{tool.details.strip()}\n")
    return "\n".join(parts)


def _flag(flag: Flag) -> str:
    names = ", ".join(dashed(name) for name in sorted(flag.names, key=len))
    default = (flag.default or '""') if flag.value else "false"
    return f"{names}  (= {default})\n    {flag.summary}\n"
