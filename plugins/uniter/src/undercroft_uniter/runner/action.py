"""Running an action: one of the charm's, or commands that an operator has sent."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from undercroft_hookspecs import NotFoundError, NotPermittedError, NotValidError, UndercroftError
from undercroft_uniter.runner.commands import BASH
from undercroft_uniter.runner.flush import flush
from undercroft_uniter.runner.output import Both, Captured, as_results, exit_code, logged
from undercroft_uniter.runner.process import Command
from undercroft_uniter.seams import Ending

if TYPE_CHECKING:
    from collections.abc import Mapping

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

    def end(self) -> None:
        """Ask it to end, and kill it in a few seconds."""
        self._process.end()

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
        code = await (self._run_script() if self._text is None else self._run_text(self._text))
        if code is None:
            return f'action not implemented on unit "{self._context.tools.unit}"'
        if not self._process.is_aborted:
            self._action.results |= as_results(exit_code(code), self._stdout.data(), self._stderr.data())
        failure = self._process.failure(code)
        if self._text is not None and not (self._process.is_aborted or self._process.is_late):
            # Commands that end with another status than 0 are no failure; but what they have changed is dropped.
            return await flush(self._context) if code == 0 else ""
        return failure or await flush(self._context)

    async def _run_script(self) -> int | None:
        side, context = self._workshop.side, self._context
        script, session = await self._workshop.find("actions", self.script)
        direct = Command(argv=[str(script or "")], environment=self._environment, cwd=side.paths.charm)
        async with self._workshop.debugger.window(session, self.script, script, direct) as window:
            if script is None and window is None:
                return None
            to_stdout, to_stderr = logged(side.log, self.script)
            stdout, stderr = Both(self._stdout, to_stdout), Both(self._stderr, to_stderr)
            return await self._process.run(window or direct, context.tools, stdout=stdout, stderr=stderr)

    async def _run_text(self, text: str) -> int:
        command = Command(
            argv=BASH,
            environment=self._environment,
            cwd=self._workshop.side.paths.charm,
            stdin=text.encode(),
        )
        # Commands speak to who sent them, of secrets perhaps: not to the log.
        return await self._process.run(
            command, self._context.tools, stdout=self._stdout, stderr=self._stderr, timeout=self._timeout
        )

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
