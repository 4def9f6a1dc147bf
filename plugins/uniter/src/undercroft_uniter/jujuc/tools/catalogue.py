"""Every hook tool that the uniter brings, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    from collections.abc import Mapping

    from undercroft_hookspecs.hook_tools import HookTool
    from undercroft_hookspecs.worker import Clock


def builtin_tools(*, clock: Clock) -> Mapping[str, HookTool]:
    """The tools by name. `add-metric` is among them: a plugin's tool of a name takes the place of ours.

    They hold nothing of any hook: one mapping does for all units.
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
