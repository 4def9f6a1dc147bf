"""A running program whose output is handed on as it comes.

However much it writes, no more than a chunk of it is held: it is read when the loop comes round, a little at a time,
and a program that is faster than that waits at its pipe. Programs that it leaves behind hold nobody up: a moment after
its own end its pipes are dropped, whoever still holds them.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import signal
import termios
from typing import TYPE_CHECKING, Protocol

from undercroft.clock import SystemClock, alarm
from undercroft.process.events import happened, within
from undercroft.process.pipes import Input
from undercroft.process.spawning import Leader

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import IO

    from undercroft.clock import Alarm
    from undercroft_hookspecs.worker import Clock

CHUNK_BYTES = 4096
"""Little enough that even a chunk of empty lines does not keep the loop for long."""
DRAIN_SECONDS = 0.1
END_SECONDS = 5.0
KILL_SECONDS = 30.0


class Sink(Protocol):
    """Where a stream of output goes; neither call may raise, or take long."""

    def feed(self, chunk: bytes) -> None:
        """Take what has come."""

    def end(self) -> None:
        """No more will come."""


class Program:
    """A program, running from the moment that this is made.

    `environment` is all that it has of one: nothing is inherited. It is the leader of a session of its own, and reads
    `stdin`, or is at its end at once. Its owner awaits `wait`, which alone lets go of everything.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        stdout: Sink,
        stderr: Sink,
        stdin: bytes = b"",
        clock: Clock | None = None,
    ) -> None:
        """Start it.

        Raises:
            NotFoundError: there is no such executable, or its interpreter is missing.
            NotValidError: argv is not a command, the file cannot be executed, or `cwd` is not a usable folder.
        """
        self._clock: Clock = clock or SystemClock()
        self._loop = asyncio.get_running_loop()
        self._killing: Alarm | None = None
        self._exited: asyncio.Future[None] = self._loop.create_future()
        self._drained: asyncio.Future[None] = self._loop.create_future()
        self._leader = Leader(argv, with_input=bool(stdin), environment=environment, cwd=cwd)
        self._loop.add_reader(self._leader.pidfd, self._on_exit)
        self._streams = (
            _Stream(self._loop, self._leader.stdout, stdout, self._on_stream_end),
            _Stream(self._loop, self._leader.stderr, stderr, self._on_stream_end),
        )
        self._input = Input(self._loop, self._leader.stdin, stdin) if self._leader.stdin else None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._leader.pid

    @property
    def has_ended(self) -> bool:
        """It has ended; what it wrote may be on its way yet."""
        return self._exited.done()

    async def wait(self) -> int:
        """Wait for its end, and give its exit status, or the negative number of the signal that it died of.

        All that it wrote itself has been handed on by then. What it left running lives on. A cancellation kills its
        group, and waits for the kernel to say so, but no longer than `KILL_SECONDS`.
        """
        try:
            await asyncio.wait((self._exited,))
            await within(self._clock, DRAIN_SECONDS, self._drained)
            for stream in self._streams:
                stream.finish()
            await asyncio.wait((self._drained,))
        except asyncio.CancelledError:
            await self._killed_for_good()
            raise
        finally:
            self._close()
        return self._leader.returncode

    def kill(self) -> None:
        """Kill its group now; nothing if it has ended."""
        if not self._exited.done():
            self._leader.kill_group()

    def end(self, *, patience: float = END_SECONDS) -> None:
        """Ask its group to end, by SIGTERM, and kill it after `patience` seconds if it has not by then."""
        if not self._exited.done() and self._killing is None:
            self._leader.signal_group(signal.SIGTERM)
            self._killing = alarm(self._clock, patience, self.kill)

    async def killed(self, *, patience: float = KILL_SECONDS) -> None:
        """Kill its group, and return when it has ended.

        Raises:
            TimeoutError: it has not, after `patience` seconds: it hangs in the kernel.
        """
        self.kill()
        await within(self._clock, patience, self._exited)
        if not self._exited.done():
            raise TimeoutError(f"{self._leader.command} (pid {self.pid}) was killed {patience:g} s ago and runs still")

    async def _killed_for_good(self) -> None:
        """Kill it, and wait for that, whatever cancellations come meanwhile."""
        killing = asyncio.ensure_future(self.killed())
        while not killing.done():
            try:
                await asyncio.wait((killing,))
            except asyncio.CancelledError:
                continue
        killing.exception()  # What hangs in the kernel is reaped when it does end: the pidfd is watched until then.

    def _close(self) -> None:
        if self._killing is not None:
            self._killing.cancel()
        for stream in self._streams:
            stream.close()
        if self._input is not None:
            self._input.close()

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._leader.pidfd)
        self._leader.reap()
        happened(self._exited)

    def _on_stream_end(self) -> None:
        if all(stream.is_closed for stream in self._streams):
            happened(self._drained)


class _Stream:
    """One pipe of a program, on its way to a sink."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pipe: IO[bytes], sink: Sink, ended: Callable[[], None]) -> None:
        self._loop, self._pipe, self._sink, self._ended = loop, pipe, sink, ended
        self._left: int | None = None
        self.is_closed = False
        os.set_blocking(pipe.fileno(), False)
        loop.add_reader(pipe.fileno(), self._on_readable)

    def finish(self) -> None:
        """Take what is in the pipe at this moment, in the loop's turns, and then close it."""
        if not self.is_closed:
            self._left = _waiting_bytes(self._pipe.fileno())
            if not self._left:
                self.close()

    def close(self) -> None:
        """Let go of the pipe."""
        if not self.is_closed:
            self.is_closed = True
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()
            self._sink.end()
            self._ended()

    def _on_readable(self) -> None:
        size = CHUNK_BYTES if self._left is None else min(CHUNK_BYTES, self._left)
        try:
            chunk = os.read(self._pipe.fileno(), size)
        except (BlockingIOError, InterruptedError):
            return
        if chunk:
            self._sink.feed(chunk)
        if self._left is not None:
            self._left -= len(chunk)
        if not chunk or self._left == 0:
            self.close()


def how_ended(returncode: int) -> str:
    """How a program ended, in a few words: `exit status 1`, `signal: killed`; empty if well."""
    if returncode < 0:
        said = signal.strsignal(-returncode)
        return f"signal: {said.lower() if said else -returncode}"
    return f"exit status {returncode}" if returncode else ""


def _waiting_bytes(fd: int) -> int:
    size = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, size)
    return size[0]
