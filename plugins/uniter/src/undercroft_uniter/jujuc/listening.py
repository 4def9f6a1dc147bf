"""A listening unix socket, whatever was left at its path, and however long that is."""

from __future__ import annotations

import logging
import os
import socket
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_log = logging.getLogger(__name__)

BACKLOG: Final = 4096
_LONGEST_ADDRESS: Final = 107
"""What fits in sockaddr_un, without the NUL that ends it."""


def listen(path: Path) -> tuple[socket.socket, int]:
    """Listen at `path`, for this user and root alone; the socket, and the inode of its file.

    A socket that is there is a dead agent's, and is replaced.

    Raises:
        OSError: it cannot be made, or what is there is no socket.
    """
    _clear(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        # Linux gives the file the mode of the unbound socket, so that it is never open to others, not for a moment.
        os.fchmod(listener.fileno(), 0o600)
        with _short(path) as address:
            listener.bind(address)
        listener.listen(BACKLOG)
        return listener, path.stat().st_ino
    except BaseException:
        listener.close()
        raise


def remove(path: Path, inode: int) -> None:
    """Remove the socket's file, if it still is the one of that inode."""
    try:
        if path.lstat().st_ino == inode:
            path.unlink()
    except OSError as error:
        _log.debug("%s was not removed: %s", path, error)


def _clear(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(f"{path} is in the place of the socket of the hook tools, and is none; move it away")
    path.unlink()


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for `path` that fits a socket's address: through an open folder it is short however deep that lies."""
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
