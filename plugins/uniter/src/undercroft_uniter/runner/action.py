"""Running an action: one of the charm's, or commands that an operator has sent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from undercroft.files import in_thread
from undercroft_hookspecs import NotFoundError, NotPermittedError, NotValidError, UndercroftError
from undercroft_uniter.runner.commands import BASH
from undercroft_uniter.runner.flush import flush
from undercroft_uniter.runner.output import Both, Captured, as_results, exit_code, logged
from undercroft_uniter.runner.process import Command
from undercroft_uniter.runner.script import find_script
from undercroft_uniter.seams import Ending

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft.process import Sink
    from undercroft_uniter.context.action import RunningAction
    from undercroft_uniter.context.context import UnitContext
    from undercroft_uniter.runner.workshop import Workshop

_log = logging.getLogger(__name__)

OUTPUT_BYTES = 128 * 1024
"""How much of a stream is kept: both, in base64, fit into the results of a task."""


class ActionExecution:
    """One run of an action; `text` are the commands, where it is not one of the charm's own."""

    def __init__(
        self,
        number: int,
        context: UnitContext,
        workshop: Workshop,
        *,
        environment: Mapping[str, str],
        text: str | None = None,
        timeout: float | None = None,
    ) -> None:
        assert context.action is not None
        self._number, self._context, self._workshop = number, context, workshop
        self._action: RunningAction = context.action
        self._environment, self._text, self._timeout = environment, text, timeout
        self._process = workshop.process()
        self._stdout, self._stderr = Captured(OUTPUT_BYTES), Captured(OUTPUT_BYTES)

    @property
    def script(self) -> str:
        """The action's name."""
        return self._context.tools.hook

    def abort(self) -> None:
        """Kill it: whoever asked for it has changed their mind."""
        self._process.abort()

    async def run(self) -> Ending:
        """Run it, write its changes if it succeeded, and finish its task."""
        try:
            failure = await self._run()
        except (UndercroftError, OSError) as error:
            failure = str(error)
        if failure:
            self._workshop.say_failed(f"action {self.script}", failure)
        await self._finish(failure)
        return Ending(failure=failure, is_status_set=self._context.status.is_set)

    async def _run(self) -> str:
        command = await self._command()
        if command is None:
            return f'action not implemented on unit "{self._context.tools.unit}"'
        stdout, stderr = self._sinks()
        code = await self._process.run(
            command, self._context.tools, stdout=stdout, stderr=stderr, timeout=self._timeout
        )
        if not self._process.is_aborted:
            self._action.results |= as_results(exit_code(code), self._stdout.data(), self._stderr.data())
        failure = self._process.failure(code)
        if self._text is not None and not (self._process.is_aborted or self._process.is_late):
            # Commands that end with another status than 0 are no failure; but what they have changed is dropped.
            return await flush(self._context) if code == 0 else ""
        return failure or await flush(self._context)

    def _sinks(self) -> tuple[Sink, Sink]:
        if self._text is not None:
            # Commands speak to who sent them, of secrets perhaps: not to the log.
            return self._stdout, self._stderr
        to_stdout, to_stderr = logged(self._workshop.side.log, self.script)
        return Both(self._stdout, to_stdout), Both(self._stderr, to_stderr)

    async def _command(self) -> Command | None:
        charm = self._workshop.side.paths.charm
        if self._text is not None:
            return Command(argv=BASH, environment=self._environment, cwd=charm, stdin=self._text.encode())
        script = await in_thread(find_script, charm, "actions", self.script)
        return Command(argv=[str(script)], environment=self._environment, cwd=charm) if script is not None else None

    async def _finish(self, failure: str) -> None:
        action = self._action
        status, message = "completed", action.message
        if self._process.is_aborted:
            status, message = "aborted", message or "action terminated"
        elif failure:
            status, message = "failed", failure
        elif action.has_failed:
            status = "failed"
        facade = self._workshop.side.facades.action
        try:
            await facade.finish(self._number, status, message=message, results=action.results)
        except (NotFoundError, NotPermittedError, NotValidError) as error:
            # Whoever asked is not there any more to be told.
            _log.warning("%s: the end of action %d is not kept: %s", self._context.tools.unit, self._number, error)
