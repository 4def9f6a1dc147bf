"""The file beside a store by which its writers tell one another that something was committed.

Its time is set after each commit, which inotify shows to everybody who watches it. Whoever has the store open holds a
shared lock on it, so that nobody replaces the store underneath.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from undercroft_hookspecs.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_PRIVATE = 0o600


class SignalFile:
    """The open file. Any thread may call it."""

    def __init__(self, path: Path) -> None:
        """Open it, and make it if it is absent.

        Raises:
            StoreUnavailable: it cannot be made, or somebody is about to replace the store.
        """
        self.path = path
        self._lock = threading.Lock()
        self._descriptor = _opened(path, fcntl.LOCK_SH)

    def touch(self) -> None:
        """Say that something was committed. What goes wrong is logged: it cannot undo the commit."""
        try:
            os.utime(self.path, follow_symlinks=False)
        except FileNotFoundError:
            self._try_to_mend()
        except OSError as error:
            logger.warning("%s cannot be touched, so other processes see commits late: %s", self.path, error.strerror)

    def mend(self) -> None:
        """Make the file again if somebody has deleted or replaced it.

        Raises:
            StoreUnavailable: it cannot be made.
        """
        with self._lock:
            if self._descriptor >= 0 and not _is_file_of(self._descriptor, self.path):
                fresh = _opened(self.path, fcntl.LOCK_SH)
                os.close(self._descriptor)
                self._descriptor = fresh

    def close(self) -> None:
        """Let go of it; closing twice is no harm."""
        with self._lock:
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1

    def _try_to_mend(self) -> None:
        try:
            self.mend()
        except StoreUnavailable as error:
            logger.warning("other processes see commits late: %s", error)


def signal_path(path: Path) -> Path:
    """The file that is touched after each commit to the store in `path`."""
    return path.with_name(f"{path.name}-signal")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Have the store in `path` to oneself while the block runs: nobody has it open, and nobody can open it.

    Raises:
        StoreUnavailable: somebody has it open.
    """
    descriptor = _opened(signal_path(path), fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def _opened(path: Path, how: int) -> int:
    try:
        descriptor = os.open(path, _FLAGS, _PRIVATE)
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be opened: {error.strerror} (as user {os.geteuid()})") from error
    try:
        os.fchmod(descriptor, _PRIVATE)
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise StoreUnavailable(_why_not(path, error, how)) from error
    return descriptor


def _why_not(path: Path, error: OSError, how: int) -> str:
    if not isinstance(error, BlockingIOError):
        return f"{path} cannot be locked: {error.strerror} (as user {os.geteuid()})"
    if how == fcntl.LOCK_SH:
        return f"the store of {path} is being replaced by `undercroft store restore`; try again in a moment"
    return f"the store of {path} is in use: stop the agent and every command that watches it first"


def _is_file_of(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
