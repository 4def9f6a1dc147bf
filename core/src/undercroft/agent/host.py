"""The agent's place on this host: its data folder, the host's identity, and the lock that makes the agent the only one.

Everything here is synchronous: it is used before there is a loop. The host's identity is needed without a lock too (by
a command that registers the host), so it is made atomically.
"""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

from undercroft.files import sync
from undercroft_hookspecs import HostId, NotValidError, UndercroftError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

HOST_ID = "host-id"
LOCK = "agent.lock"


class DataFolderError(UndercroftError):
    """The data folder, or a file of the agent in it, cannot be used; the message says which, and why."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(path, why)
        self.path, self.why = path, why

    def __str__(self) -> str:
        return f"{self.path}: {self.why}"


class AgentRunningError(UndercroftError):
    """Another agent (process `pid`, if known) runs on this data folder."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        super().__init__(data_dir, pid)
        self.data_dir, self.pid = data_dir, pid

    def __str__(self) -> str:
        who = f"an agent (pid {self.pid})" if self.pid else "an agent"
        return f"{who} runs on {self.data_dir} already; stop it first, or give this one another folder with --data"


def prepare(data_dir: Path) -> None:
    """Make the data folder, closed to others, if it is absent; refuse one that cannot be used.

    Raises:
        DataFolderError: not a folder, not readable and writable, or writable by everyone.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = data_dir.stat().st_mode
    except FileExistsError:
        raise DataFolderError(data_dir, "is not a folder; name one with --data or UNDERCROFT_DATA") from None
    except OSError as error:
        raise _unusable(data_dir, error) from error
    if mode & stat.S_IWOTH:
        raise DataFolderError(data_dir, f"everyone can write to it; run: chmod o-w {data_dir}")
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        raise DataFolderError(
            data_dir, f"user {os.geteuid()} cannot read and write it; change its owner, or use --data"
        )


def make_folders(folders: Iterable[Path]) -> None:
    """Make folders, and all that lead to them, closed to others; what is there already stays as it is.

    Raises:
        DataFolderError: one cannot be made.
    """
    for folder in folders:
        # One by one: `mkdir` with `parents` gives its mode to the last one only.
        for each in (*reversed(folder.parents), folder):
            _make(each)


def host_id(data_dir: Path) -> HostId:
    """Read this host's identity, or make one: whoever comes first decides, all others read that.

    Raises:
        DataFolderError: the file is not readable, or does not hold an identity.
    """
    path = data_dir / HOST_ID
    try:
        text = _read_or_make(path)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        return HostId.parse(text.strip())
    except NotValidError as error:
        remedy = "restore it from a backup, or delete it if this host was never registered"
        raise DataFolderError(path, f"{error}; {remedy}") from error


@contextmanager
def sole_agent(data_dir: Path) -> Iterator[None]:
    """Hold the data folder's lock, with this process's id written in it, while the block runs.

    The kernel drops the lock with the process, however that ends, so no stale lock can keep an agent from starting.

    Raises:
        AgentRunningError: another process holds it.
        DataFolderError: the lock file cannot be opened.
    """
    path = data_dir / LOCK
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AgentRunningError(data_dir, _pid(os.pread(lock, 32, 0))) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        try:
            yield
        finally:
            # Emptied, not removed: removing it would let a third agent lock a new file beside a second one's old.
            os.ftruncate(lock, 0)
    finally:
        os.close(lock)


def _make(folder: Path) -> None:
    try:
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, error) from error


def _read_or_make(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError:
        pass
    draft = path.with_name(f".{path.name}.{os.getpid()}.{uuid4().hex[:8]}")
    try:
        _write_synced(draft, f"{uuid4()}\n".encode())
        try:
            # A link, not a rename: it fails if somebody else's identity is there by now, and then that one counts.
            os.link(draft, path)
        except FileExistsError:
            pass
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)
    return path.read_text("utf-8", "replace")


def _write_synced(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _pid(content: bytes) -> int | None:
    text = content.strip()
    return int(text) if text.isdigit() else None


def _unusable(path: Path, error: OSError) -> DataFolderError:
    return DataFolderError(path, f"{(error.strerror or str(error)).lower()} (as user {os.geteuid()})")
