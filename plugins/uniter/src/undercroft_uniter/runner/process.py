"""One process of charm code, with its hook tools answered while it runs."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from undercroft.clock import alarm
from undercroft.files import in_thread
from undercroft.process import Program, how_ended
from undercroft_uniter.runner.leftover import forget, note

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from undercroft.process import Sink
    from undercroft_hookspecs import Clock
    from undercroft_hookspecs.hook_tools import HookContext, HookTool
    from undercroft_uniter.context.reboot import HookReboot


class Tools(Protocol):
    """Where hook tools are answered."""

    def environment(self) -> Mapping[str, str]:
        """What tells the clients where to ask."""
        ...

    def serving(self, context: HookContext, tools: Mapping[str, HookTool]) -> AbstractAsyncContextManager[object]:
        """Answer the calls from one hook while the block runs; after it none changes anything any more."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run, and where."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    cwd: Path
    stdin: bytes = b""


class CharmProcess:
    """Runs a command once, at most; it can be aborted at any time. While it runs, that is noted in the file `note`."""

    def __init__(self, server: Tools, tools: Mapping[str, HookTool], *, clock: Clock, note: Path | None = None) -> None:
        self._server, self._tools, self._clock = server, tools, clock
        self._note = note
        self._program: Program | None = None
        self.is_aborted = False
        """It was aborted before it had ended."""
        self.is_late = False
        """It ran for too long."""

    def abort(self) -> None:
        """Kill it; before it has begun, it never will."""
        if self._program is None or not self._program.has_ended:
            self.is_aborted = True
        if self._program is not None:
            self._program.kill()

    def end(self) -> None:
        """Ask it to end, and kill it in a few seconds if it has not; before it has begun, it never will."""
        if self._program is None or not self._program.has_ended:
            self.is_aborted = True
        if self._program is not None:
            self._program.end()

    async def run(
        self,
        command: Command,
        context: HookContext,
        *,
        stdout: Sink,
        stderr: Sink,
        timeout: float | None = None,
        reboot: HookReboot | None = None,
    ) -> int:
        """Run it to its end, and give its return code; what has called tools by then has had its answer.

        Raises:
            UndercroftError, OSError: it could not be started.
        """
        async with self._server.serving(context, self._tools):
            if self.is_aborted:
                return -1
            program = self._program = Program(
                command.argv,
                environment=command.environment,
                cwd=command.cwd,
                stdin=command.stdin,
                stdout=stdout,
                stderr=stderr,
                clock=self._clock,
            )
            if reboot is not None:
                reboot.attach(program.killed)
            timer = alarm(self._clock, timeout, self._on_timeout) if timeout else None
            noting = None
            if self._note is not None:  # Beside it: nothing may come between its start and its wait.
                noting = asyncio.get_running_loop().run_in_executor(None, note, self._note, program.pid)
            try:
                return await program.wait()
            finally:
                if reboot is not None:
                    reboot.attach(None)
                if timer is not None:
                    timer.cancel()
                if self._note is not None and noting is not None:
                    await asyncio.wait((noting,))
                    await in_thread(forget, self._note)

    def failure(self, returncode: int) -> str:
        """Why it failed: `exit status 1`; empty if it did not."""
        if self.is_aborted:
            return "aborted"
        return "timed out, and was killed" if self.is_late else how_ended(returncode)

    def _on_timeout(self) -> None:
        if self._program is not None and not self._program.has_ended:
            self.is_late = True
            self._program.kill()
