"""Every hook tool of a unit, by name: those that the uniter brings, and those of plugins."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from undercroft_hookspecs.hook_tools import HookTool
from undercroft_uniter.jujuc.tools import (
    actions,
    application,
    charmstate,
    leadership,
    machine,
    metrics,
    network,
    payloads,
    ports,
    relation,
    relations,
    secretreads,
    secretwrites,
    status,
    storage,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.worker import Clock


_log = logging.getLogger(__name__)

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", re.ASCII)
_REPLACEABLE = frozenset((metrics.ADD.name,))
"""What a plugin's tool may take the place of."""


def builtin_tools(*, clock: Clock) -> Mapping[str, HookTool]:
    """The tools that the uniter brings itself, by name. They hold nothing of any hook: one mapping does for all units.

    `add-metric` is among them, for where no plugin brings it.
    """
    groups = (
        actions.TOOLS,
        application.TOOLS,
        charmstate.TOOLS,
        leadership.TOOLS,
        machine.TOOLS,
        metrics.TOOLS,
        network.TOOLS,
        payloads.TOOLS,
        ports.TOOLS,
        relation.TOOLS,
        relations.TOOLS,
        secretreads.TOOLS,
        secretwrites.tools(clock=clock),
        status.TOOLS,
        storage.TOOLS,
    )
    return {tool.name: tool for group in groups for tool in group}


def with_plugins(builtin: Mapping[str, HookTool], collected: Sequence[tuple[str, object]]) -> Mapping[str, HookTool]:
    """The tools with those of plugins, as `collect("undercroft_hook_tools")` gives them.

    What is no tool, or has the name of one of ours, is left out with a warning: charms can still be run.
    """
    tools = dict(builtin)
    for plugin, brought in collected:
        # What the hook is answered with was checked when it was collected.
        for name, tool in brought.items() if isinstance(brought, Mapping) else ():
            reason = _unfit(name, tool, builtin)
            if reason:
                _log.warning("the hook tool %r of the plugin %s is left out: %s", name, plugin, reason)
            elif isinstance(tool, HookTool):
                tools[name] = tool
    return tools


def _unfit(name: str, tool: object, builtin: Mapping[str, HookTool]) -> str:
    if not _NAME.fullmatch(name):
        return "a name has lowercase letters, digits and hyphens only"
    if not isinstance(tool, HookTool):
        return f"its type {type(tool).__name__} lacks something that every HookTool has"
    if tool.name != name:
        return f"it calls itself {tool.name!r}"
    if name in builtin and name not in _REPLACEABLE:
        return "there is a tool of Juju of that name"
    return ""
