"""Run other programs without holding up the loop: the only place in the project that spawns.

A child is made by `subprocess.Popen`, which uses vfork as long as it is not asked for `preexec_fn`, `user` or `group`;
its end is seen through a pidfd and its pipes are read and written on the loop. The event loops' own spawning is not
used: uvloop's forks, and so stalls the loop for longer the more memory the agent has (tens of milliseconds at a GiB).

Popen is called in the loop's own thread. It takes about 0.3 ms whatever the size of the heap, and it keeps the
interpreter's lock until the child has called exec, so that a thread would stall the loop for just as long and add a hop
of half a millisecond.

What this is not: a shell, a terminal, or a way to start a daemon.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft.clock import SystemClock, alarm
from undercroft.linux.pidfd import open_pidfd
from undercroft_hookspecs.agent import CommandFailedError, Completed
from undercroft_hookspecs.errors import NotFoundError, NotValidError, UndercroftError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import IO

    from undercroft_hookspecs.worker import Clock

CHUNK_BYTES = 256 * 1024
DRAIN_SECONDS = 1.0
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


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
            await self._within(timeout, child.exited, child.overfull)
            if child.overfull.done():
                raise OutputTooLargeError(child.command, self._max_output)
            if not child.exited.done():
                raise TimeoutError(f"{child.command} took longer than {timeout:g} s and was killed{child.last_words()}")
            await self._within(DRAIN_SECONDS, child.drained, child.overfull)
            if child.overfull.done():
                raise OutputTooLargeError(child.command, self._max_output)
        except BaseException:
            await child.end(kill=True)
            raise
        await child.end()
        done = Completed(tuple(argv), child.returncode, child.stdout.data(), child.stderr.data())
        if check and done.returncode != 0:
            raise CommandFailedError(done)
        return done

    async def _within(self, seconds: float, *events: asyncio.Future[None]) -> None:
        """Wait until one of the events has happened, but no longer than this."""
        if any(event.done() for event in events):
            return
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        timer = alarm(self._clock, seconds, lambda: _happened(over))
        try:
            await asyncio.wait((over, *events), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()


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
        self.exited: asyncio.Future[None] = self._loop.create_future()
        self.drained: asyncio.Future[None] = self._loop.create_future()
        self.overfull: asyncio.Future[None] = self._loop.create_future()
        self._popen = _popen(argv, with_input=bool(stdin), env=env, cwd=cwd)
        self.command = _shown(argv)
        with contextlib.ExitStack() as undo:
            undo.callback(self._undo_spawn)
            self._pidfd = open_pidfd(self._popen.pid)
            undo.pop_all()
        self._loop.add_reader(self._pidfd, self._on_exit)
        self.stdout = _Output(self._loop, _pipe(self._popen.stdout), max_output, self._on_output)
        self.stderr = _Output(self._loop, _pipe(self._popen.stderr), max_output, self._on_output)
        self._input = _Input(self._loop, self._popen.stdin, stdin) if self._popen.stdin else None

    @property
    def returncode(self) -> int:
        """How it ended, once `end` has returned: its exit status, or the negative number of the signal."""
        code = self._popen.returncode
        assert code is not None, "the child has not been reaped"
        return int(code)

    def last_words(self) -> str:
        """The end of what it has written to stderr, ready to be put behind a message."""
        said = self.stderr.data()[-500:].decode("utf-8", "replace").strip()
        return f"; it said: {said}" if said else ""

    async def end(self, *, kill: bool = False) -> None:
        """Reap the leader, which has ended or is killed now with its whole group, and let go of the pipes.

        Waits for the kernel even if it is cancelled meanwhile, and passes the cancellation on afterwards: nothing that
        is still running, and no zombie, is left behind.
        """
        if kill:
            # Dead or alive, the leader is not reaped yet: its group's number cannot be anybody else's by now.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)
        cancelled = await _settled(self.exited)
        self._popen.poll()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.stdout.close()
        self.stderr.close()
        if self._input is not None:
            self._input.close()
        if cancelled is not None:
            raise cancelled

    def _undo_spawn(self) -> None:
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()

    def _on_exit(self) -> None:
        self._loop.remove_reader(self._pidfd)
        _happened(self.exited)

    def _on_output(self) -> None:
        if self.stdout.is_overfull or self.stderr.is_overfull:
            _happened(self.overfull)
        if self.stdout.is_closed and self.stderr.is_closed:
            _happened(self.drained)


class _Output:
    """What a child writes to one pipe, kept as it comes, up to a limit."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, pipe: IO[bytes], limit: int, changed: Callable[[], None]
    ) -> None:
        self._loop, self._pipe, self._limit, self._changed = loop, pipe, limit, changed
        self._chunks: list[bytes] = []
        self._size = 0
        self.is_closed = False
        os.set_blocking(pipe.fileno(), False)
        loop.add_reader(pipe.fileno(), self._on_readable)

    @property
    def is_overfull(self) -> bool:
        """More has come than is kept."""
        return self._size > self._limit

    def data(self) -> bytes:
        """What has come so far."""
        return b"".join(self._chunks)

    def close(self) -> None:
        """Take what is in the pipe at this moment, and close it."""
        if not self.is_closed:
            self._on_readable()
        self._close()

    def _on_readable(self) -> None:
        try:
            chunk = os.read(self._pipe.fileno(), CHUNK_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        self._size += len(chunk)
        if chunk and not self.is_overfull:
            self._chunks.append(chunk)
        else:
            self._close()
            self._changed()

    def _close(self) -> None:
        if not self.is_closed:
            self.is_closed = True
            self._loop.remove_reader(self._pipe.fileno())
            self._pipe.close()


class _Input:
    """What a child is given to read: written as fast as it reads, then closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pipe: IO[bytes], data: bytes) -> None:
        self._loop, self._pipe, self._rest = loop, pipe, memoryview(data)
        self._is_closed = False
        os.set_blocking(pipe.fileno(), False)
        loop.add_writer(pipe.fileno(), self._on_writable)

    def close(self) -> None:
        """Close the pipe, also if there is something left to write."""
        if not self._is_closed:
            self._is_closed = True
            self._loop.remove_writer(self._pipe.fileno())
            self._pipe.close()

    def _on_writable(self) -> None:
        try:
            written = os.write(self._pipe.fileno(), self._rest[:CHUNK_BYTES])
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            # A child that does not read its input, or has ended, is no error: its exit status says how it went.
            self.close()
            return
        self._rest = self._rest[written:]
        if not self._rest:
            self.close()


def _popen(
    argv: Sequence[str], *, with_input: bool, env: Mapping[str, str] | None, cwd: Path | None
) -> subprocess.Popen[bytes]:
    """Start the program, with the system's errors turned into ours."""
    if isinstance(argv, str) or not argv:
        raise NotValidError(f"a command is a list of at least one word, not {argv!r}", field="argv")
    try:
        return subprocess.Popen(
            list(argv),
            bufsize=0,
            stdin=subprocess.PIPE if with_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(env or {}),
            cwd=cwd,
            start_new_session=True,
        )
    except ValueError as error:
        raise NotValidError(f"{_shown(argv)}: {error}", field="argv") from error
    except OSError as error:
        raise _explained(error, argv, cwd) from error


def _environment(extra: Mapping[str, str]) -> dict[str, str]:
    environment = {**os.environ, "LC_ALL": "C", **extra}
    if "PATH" not in extra:
        folders = [folder for folder in environment.get("PATH", os.defpath).split(os.pathsep) if folder]
        environment["PATH"] = os.pathsep.join([*folders, *(f for f in SYSTEM_FOLDERS if f not in folders)])
    return environment


def _explained(error: OSError, argv: Sequence[str], cwd: Path | None) -> Exception:
    """The error that says what to do, for one that Popen raised."""
    if cwd is not None and error.filename == cwd:
        return NotValidError(f"cannot run {argv[0]} in {cwd}: {error.strerror}", field="cwd")
    if error.errno == errno.ENOENT:
        if os.sep in argv[0] and os.path.lexists(Path(cwd or "", argv[0])):
            return NotFoundError(argv[0], f"cannot run {argv[0]}: its interpreter, or what it links to, is missing")
        return NotFoundError(argv[0], f"there is no program {argv[0]!r}: install it, or put its folder on PATH")
    if error.errno in (errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ENOTDIR, errno.E2BIG, errno.ELOOP):
        return NotValidError(f"cannot run {argv[0]}: {error.strerror}", field="argv")
    return error


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None, "Popen was asked for this pipe"
    return pipe


def _shown(argv: Sequence[str]) -> str:
    shown = shlex.join(argv)
    return shown if len(shown) <= 200 else shown[:197] + "..."


def _happened(event: asyncio.Future[None]) -> None:
    if not event.done():
        event.set_result(None)


async def _settled(event: asyncio.Future[None]) -> asyncio.CancelledError | None:
    """Wait for the event whatever happens; gives the cancellation that came meanwhile, if any."""
    cancelled: asyncio.CancelledError | None = None
    while not event.done():
        try:
            await asyncio.wait((event,))
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled
