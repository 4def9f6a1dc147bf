"""What all executions of one unit work with."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from undercroft.files import in_thread
from undercroft_hookspecs.hook_tools import StorageContext
from undercroft_uniter.debug.session import read_session
from undercroft_uniter.debug.window import Debugger
from undercroft_uniter.runner.environment import Surroundings, relation_variables, storage_variables
from undercroft_uniter.runner.process import CharmProcess
from undercroft_uniter.runner.script import find_script

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from undercroft_hookspecs.hook_tools import HookTool
    from undercroft_uniter.context.context import UnitContext
    from undercroft_uniter.context.factory import UnitSide
    from undercroft_uniter.debug.session import DebugSession
    from undercroft_uniter.runner.process import Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """The unit, where its hook tools are answered, and which there are."""

    side: UnitSide
    server: Tools
    tools: Mapping[str, HookTool]
    surroundings: Surroundings

    @property
    def debugger(self) -> Debugger:
        """Puts windows in the place of scripts, for who debugs them."""
        return Debugger(agent=self.side.agent, paths=self.side.paths)

    def process(self) -> CharmProcess:
        """A process to be."""
        note = self.side.paths.running
        return CharmProcess(self.server, self.tools, clock=self.side.agent.clock, note=note)

    async def find(self, folder: Literal["hooks", "actions"], name: str) -> tuple[Path | None, DebugSession | None]:
        """The script of a hook or an action, and the debug session that there may be; in one hop to a thread."""
        paths = self.side.paths
        return await in_thread(lambda: (find_script(paths.charm, folder, name), read_session(paths.debug)))

    async def lacking(self, scripts: Collection[str]) -> frozenset[str]:
        """Those of the hooks' scripts that are not there, and that nobody debugs; in one hop to a thread.

        Raises:
            NotFoundError, NotValidError: one of them could not be run.
        """
        paths = self.side.paths

        def look() -> frozenset[str]:
            absent = frozenset(name for name in scripts if find_script(paths.charm, "hooks", name) is None)
            return absent if absent and read_session(paths.debug) is None else frozenset()

        return await in_thread(look)

    async def environment(self, context: UnitContext) -> dict[str, str]:
        """What hooks, actions and commands have in common, as it is now."""
        facades = self.side.facades
        settings = await facades.model.model_settings()
        meter = await facades.meter.meter_status()
        attached = await context.tools.get(StorageContext).attached() if context.storage else {}
        return {
            **self.surroundings.basic(context.tools.id, self.server.environment()),
            **self.surroundings.full(settings, meter),
            **relation_variables(context.view),
            **storage_variables(context.storage, attached),
        }

    def say_failed(self, script: str, failure: str) -> None:
        """Say in the unit's log what failed, and why."""
        message = f"{script} of unit {self.side.agent.unit} failed: {failure}"
        self.side.log.write(logging.ERROR, script, message)
