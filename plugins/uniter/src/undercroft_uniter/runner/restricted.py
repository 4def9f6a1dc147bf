"""Running restricted hooks, beside the unit's others: how metrics and meter status run theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft.files import in_thread
from undercroft_hookspecs import HookResult
from undercroft_uniter.context.restricted import restricted_context
from undercroft_uniter.runner.environment import script_variables
from undercroft_uniter.runner.output import exit_code, logged
from undercroft_uniter.runner.process import CharmProcess, Command
from undercroft_uniter.runner.script import find_script

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from undercroft_hookspecs import Clock
    from undercroft_hookspecs.hook_tools import HookTool
    from undercroft_hookspecs.unit_facades import ConfigFacade, NetworkFacade
    from undercroft_uniter.runner.environment import Surroundings
    from undercroft_uniter.runner.process import Tools
    from undercroft_uniter.seams import UnitLog


@dataclass(frozen=True, slots=True, kw_only=True)
class RestrictedHooks:
    """Runs restricted hooks; `server` answers their tools, on a socket of its own."""

    surroundings: Surroundings
    server: Tools
    log: UnitLog
    config: ConfigFacade
    network: NetworkFacade
    clock: Clock

    async def run(
        self, hook: str, *, tools: Mapping[str, HookTool], environment: Mapping[str, str], timeout: float
    ) -> HookResult:
        """Run one, with these tools alone; `environment` is added to its own.

        Raises:
            UndercroftError, OSError: it could not be started.
            TimeoutError: it ran for longer than `timeout` seconds, and was killed.
        """
        charm: Path = self.surroundings.charm
        script = await in_thread(find_script, charm, "hooks", hook)
        if script is None:
            return HookResult(returncode=0, missing=True)
        context = restricted_context(
            self.surroundings.unit, hook, log=self.log, config=self.config, network=self.network
        )
        everything = {
            **self.surroundings.basic(context.id, self.server.environment()),
            **script_variables(hook, f"hooks/{hook}"),
            **environment,
        }
        process = CharmProcess(self.server, tools, clock=self.clock)
        stdout, stderr = logged(self.log, hook)
        command = Command(argv=[str(script)], environment=everything, cwd=charm)
        code = await process.run(command, context, stdout=stdout, stderr=stderr, timeout=timeout)
        if process.is_late:
            raise TimeoutError(f"hook {hook} of unit {self.surroundings.unit} ran for more than {timeout:g} s")
        return HookResult(returncode=exit_code(code))
