"""Running a hook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs import UndercroftError
from undercroft_uniter.runner.flush import flush
from undercroft_uniter.runner.output import logged
from undercroft_uniter.runner.process import Command
from undercroft_uniter.seams import Ending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_uniter.context.context import UnitContext
    from undercroft_uniter.runner.workshop import Workshop


class HookExecution:
    """One run of a hook."""

    def __init__(
        self, script: str, context: UnitContext, workshop: Workshop, *, environment: Mapping[str, str]
    ) -> None:
        self._script, self._context, self._workshop = script, context, workshop
        self._environment = environment
        self._process = workshop.process()

    @property
    def script(self) -> str:
        """The hook's script."""
        return self._script

    def abort(self) -> None:
        """Kill it."""
        self._process.abort()

    def end(self) -> None:
        """Ask it to end, and kill it in a few seconds."""
        self._process.end()

    async def run(self) -> Ending:
        """Run it, and write its changes if it succeeded; one that has no script does."""
        try:
            ending = await self._run()
        except (UndercroftError, OSError) as error:
            ending = self._ending(failure=str(error))
        if ending.failure:
            self._workshop.say_failed(f"hook {self._script}", ending.failure)
        return ending

    async def _run(self) -> Ending:
        paths, context = self._workshop.side.paths, self._context
        script, session = await self._workshop.find("hooks", self._script)
        direct = Command(argv=[str(script or "")], environment=self._environment, cwd=paths.charm)
        async with self._workshop.debugger.window(session, self._script, script, direct) as window:
            if script is None and window is None:
                return Ending(is_missing=True)
            stdout, stderr = logged(self._workshop.side.log, self._script)
            code = await self._process.run(
                window or direct, context.tools, stdout=stdout, stderr=stderr, reboot=context.reboot
            )
        if context.reboot.wanted == "now":
            # Killed for that: the hook is run again, and what it has changed so far is dropped.
            return Ending(reboot="now", is_status_set=context.status.is_set)
        return self._ending(failure=self._process.failure(code) or await flush(context))

    def _ending(self, *, failure: str) -> Ending:
        wanted = self._context.reboot.wanted
        is_after = wanted == "after" and not failure
        return Ending(failure=failure, reboot="after" if is_after else "", is_status_set=self._context.status.is_set)
