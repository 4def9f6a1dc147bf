"""Running commands for somebody on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from undercroft_hookspecs import UndercroftError
from undercroft_uniter.runner.flush import flush
from undercroft_uniter.runner.output import Captured, exit_code
from undercroft_uniter.runner.process import Command
from undercroft_uniter.seams import CommandsEnding, Ending

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft_uniter.context.context import UnitContext
    from undercroft_uniter.runner.workshop import Workshop

BASH: Final[Sequence[str]] = ("/bin/bash", "-s")
OUTPUT_BYTES = 16 * 1024 * 1024


class BashExecution:
    """One run of commands; `answer` says how they ended."""

    def __init__(self, text: str, context: UnitContext, workshop: Workshop, *, environment: Mapping[str, str]) -> None:
        self._text, self._context, self._workshop = text, context, workshop
        self._environment = environment
        self._process = workshop.process()
        self._stdout, self._stderr = Captured(OUTPUT_BYTES), Captured(OUTPUT_BYTES)
        self._answer: CommandsEnding | None = None

    @property
    def script(self) -> str:
        """`juju-exec`."""
        return self._context.tools.hook

    @property
    def answer(self) -> CommandsEnding | None:
        """How they ended, once `run` has returned."""
        return self._answer

    def abort(self) -> None:
        """Kill them."""
        self._process.abort()

    def end(self) -> None:
        """Ask them to end, and kill them in a few seconds."""
        self._process.end()

    async def run(self) -> Ending:
        """Run them, and write what they have changed if they ended with status 0; another is no failure."""
        context, code, failure = self._context, 1, ""
        command = Command(
            argv=BASH,
            environment=self._environment,
            cwd=self._workshop.side.paths.charm,
            stdin=self._text.encode(),
        )
        try:
            code = await self._process.run(
                command, context.tools, stdout=self._stdout, stderr=self._stderr, reboot=context.reboot
            )
            if self._process.is_aborted:
                failure = self._process.failure(code)
            elif code == 0:
                failure = await flush(context)
        except (UndercroftError, OSError) as error:
            failure = str(error)
        if failure:
            self._workshop.say_failed(self.script, failure)
        self._answer = CommandsEnding(
            returncode=exit_code(code), stdout=self._stdout.data(), stderr=self._stderr.data(), failure=failure
        )
        wanted = context.reboot.wanted
        is_rebooting = wanted == "now" or (wanted == "after" and code == 0 and not failure)
        return Ending(failure=failure, reboot=wanted if is_rebooting else "", is_status_set=context.status.is_set)
