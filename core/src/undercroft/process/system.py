"""Run a program to its end and keep what it wrote: the `Process` of `undercroft_hookspecs`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from undercroft.clock import SystemClock
from undercroft.process.events import happened, settled, within
from undercroft.process.pipes import Input, Output
from undercroft.process.spawning import Leader, added_to_own
from undercroft_hookspecs.agent import CommandFailedError, Completed
from undercroft_hookspecs.errors import NotValidError, UndercroftError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from undercroft_hookspecs.worker import Clock

DRAIN_SECONDS = 1.0
KILL_SECONDS = 30.0
"""How long the kernel has to end what was killed; a program that hangs in it is left to it then."""


class OutputTooLargeError(UndercroftError):
    """A program wrote more than is kept of one stream, and was killed; the streams were read up to `limit` bytes."""

    def __init__(self, command: str, limit: int) -> None:
        super().__init__(f"{command} wrote more than {limit} bytes and was killed; have it write to a file instead")
        self.command = command
        self.limit = limit

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.command, self.limit))


class SystemProcess:
    """The `Process` of `undercroft_hookspecs` on the real system; any number of callers may use one at a time.

    Beyond that contract: `LC_ALL=C` unless `env` sets it, and unless `env` sets PATH the folders of system programs are
    on it, also for a user who has not got them. The child is the leader of a session of its own, so it has no terminal
    to wait at. A program that leaves children behind which hold its output open is waited for `DRAIN_SECONDS` longer;
    they live on. A program that writes more than `max_output` bytes to a stream is killed.
    """

    def __init__(self, *, clock: Clock | None = None, max_output: int = 64 * 1024 * 1024) -> None:
        self._clock: Clock = clock or SystemClock()
        self._max_output = max_output

    async def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        check: bool = True,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Completed:
        """Run a program to its end; see `undercroft_hookspecs.agent.Process`.

        Raises:
            NotFoundError: there is no such executable, or its interpreter is missing.
            NotValidError: argv is not a command, the file cannot be executed, or `cwd` is not a usable folder.
            CommandFailedError: it ended with another status than 0, and `check` is on.
            OutputTooLargeError: it wrote more than this keeps.
            TimeoutError: it ran for longer than `timeout`.
        """
        if not timeout > 0:
            raise NotValidError(f"timeout must be more than 0 seconds, not {timeout}", field="timeout")
        child = Child(argv, stdin=stdin, env=env, cwd=cwd, max_output=self._max_output)
        try:
            await within(self._clock, timeout, child.exited, child.overfull)
            if child.overfull.done():
                raise OutputTooLargeError(child.command, self._max_output)
            if not child.exited.done():
                raise TimeoutError(f"{child.command} took longer than {timeout:g} s and was killed{child.last_words()}")
            await within(self._clock, DRAIN_SECONDS, child.drained, child.overfull)
            if child.overfull.done():
                raise OutputTooLargeError(child.command, self._max_output)
        except BaseException as error:
            await child.end(kill=True)
            if child.is_left and isinstance(error, TimeoutError):
                raise TimeoutError(f"{error}; it hangs in the kernel, and has not ended") from error
            raise
        await child.end()
        done = Completed(tuple(argv), child.returncode, child.stdout.data(), child.stderr.data())
        if check and done.returncode != 0:
            raise CommandFailedError(done)
        return done


class Child:
    """One running program: its pidfd and its pipes are on the loop from the moment it is made until `end`."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes,
        env: Mapping[str, str] | None,
        cwd: Path | None,
        max_output: int,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.is_left = False
        """It was killed and has not ended: what hangs in the kernel is reaped when it does."""
        self.exited: asyncio.Future[None] = self._loop.create_future()
        self.drained: asyncio.Future[None] = self._loop.create_future()
        self.overfull: asyncio.Future[None] = self._loop.create_future()
        self._leader = Leader(argv, with_input=bool(stdin), environment=added_to_own(env or {}), cwd=cwd)
        self.command = self._leader.command
        self._loop.add_reader(self._leader.pidfd, self._on_exit)
        self.stdout = Output(self._loop, self._leader.stdout, max_output, self._on_output)
        self.stderr = Output(self._loop, self._leader.stderr, max_output, self._on_output)
        self._input = Input(self._loop, self._leader.stdin, stdin) if self._leader.stdin else None

    @property
    def returncode(self) -> int:
        """How it ended, once `end` has returned: its exit status, or the negative number of the signal."""
        return self._leader.returncode

    def last_words(self) -> str:
        """The end of what it has written to stderr, ready to be put behind a message."""
        said = self.stderr.data()[-500:].decode("utf-8", "replace").strip()
        return f"; it said: {said}" if said else ""

    async def end(self, *, kill: bool = False) -> None:
        """Reap the leader, which has ended or is killed now with its whole group, and let go of the pipes.

        Waits for the kernel even if it is cancelled meanwhile, and passes the cancellation on afterwards: nothing that
        is still running, and no zombie, is left behind; but for what hangs in the kernel, for `KILL_SECONDS` only.
        """
        if kill:
            self._leader.kill_group()
        cancelled = await settled(self.exited, seconds=KILL_SECONDS if kill else None)
        self.is_left = not self.exited.done()
        if not self.is_left:
            self._loop.remove_reader(self._leader.pidfd)
            self._leader.reap()
        self.stdout.close()
        self.stderr.close()
        if self._input is not None:
            self._input.close()
        if cancelled is not None:
            raise cancelled

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._leader.pidfd)
        if self.is_left:
            self._leader.reap()
        happened(self.exited)

    def _on_output(self) -> None:
        if self.stdout.is_overfull or self.stderr.is_overfull:
            happened(self.overfull)
        if self.stdout.is_closed and self.stderr.is_closed:
            happened(self.drained)
