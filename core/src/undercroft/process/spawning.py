"""Start programs: the only module in the project that imports `subprocess`.

A child is made by `subprocess.Popen`, which uses vfork as long as it is not asked for `preexec_fn`, `user` or `group`.
The event loops' own spawning is not used: uvloop's forks, and so stalls the loop for longer the more memory the agent
has (tens of milliseconds at a GiB).

Popen is called in the loop's own thread. It takes about 0.3 ms whatever the size of the heap, and it keeps the
interpreter's lock until the child has called exec, so that a thread would stall the loop for just as long and add a hop
of half a millisecond.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import signal
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING

from undercroft.linux.pidfd import open_pidfd
from undercroft_hookspecs.errors import NotFoundError, NotValidError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class Leader:
    """A program that was started as the leader of a session of its own, with its pipes and a pidfd; not reaped yet."""

    __slots__ = ("_popen", "command", "pidfd", "stderr", "stdin", "stdout")

    def __init__(
        self, argv: Sequence[str], *, with_input: bool, environment: Mapping[str, str], cwd: Path | None
    ) -> None:
        self._popen = _popen(argv, with_input=with_input, environment=environment, cwd=cwd)
        self.command = shown(argv)
        with contextlib.ExitStack() as undo:
            undo.callback(self._undo)
            self.pidfd = open_pidfd(self._popen.pid)
            undo.pop_all()
        self.stdin: IO[bytes] | None = self._popen.stdin
        self.stdout: IO[bytes] = _pipe(self._popen.stdout)
        self.stderr: IO[bytes] = _pipe(self._popen.stderr)

    @property
    def pid(self) -> int:
        """Its process id, which is that of its group and session, too."""
        return self._popen.pid

    @property
    def returncode(self) -> int:
        """How it ended, once it was reaped: its exit status, or the negative number of the signal."""
        code = self._popen.returncode
        assert code is not None, "the child has not been reaped"
        return int(code)

    def kill_group(self) -> None:
        """Kill all that is in its group; only before it is reaped."""
        self.signal_group(signal.SIGKILL)

    def signal_group(self, number: signal.Signals) -> None:
        """Signal all that is in its group; only before it is reaped."""
        # Dead or alive, the leader is not reaped yet: its group's number cannot be anybody else's by now.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, number)

    def reap(self) -> None:
        """Take note of its end, which the pidfd has told of."""
        self._popen.poll()
        os.close(self.pidfd)

    def _undo(self) -> None:
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout, self._popen.stderr):
            if pipe is not None:
                pipe.close()


def added_to_own(extra: Mapping[str, str]) -> dict[str, str]:
    """The agent's own environment with these variables, `LC_ALL=C`, and the folders of system programs on its PATH."""
    environment = {**os.environ, "LC_ALL": "C", **extra}
    if "PATH" not in extra:
        folders = [folder for folder in environment.get("PATH", os.defpath).split(os.pathsep) if folder]
        environment["PATH"] = os.pathsep.join([*folders, *(f for f in SYSTEM_FOLDERS if f not in folders)])
    return environment


def shown(argv: Sequence[str]) -> str:
    """A command as messages show it."""
    text = shlex.join(argv)
    return text if len(text) <= 200 else text[:197] + "..."


def _popen(
    argv: Sequence[str], *, with_input: bool, environment: Mapping[str, str], cwd: Path | None
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
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
    except ValueError as error:
        raise NotValidError(f"{shown(argv)}: {error}", field="argv") from error
    except OSError as error:
        raise _explained(error, argv, cwd) from error


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
