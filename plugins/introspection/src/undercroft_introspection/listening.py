"""The sockets that are listened at."""

from __future__ import annotations

import logging
import os
import socket
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from undercroft.linux.sockets import short
from undercroft_hookspecs import UndercroftError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_log = logging.getLogger(__name__)

BACKLOG: Final = 128


class ListenError(UndercroftError):
    """It cannot be listened there (`place`)."""

    def __init__(self, place: str, message: str) -> None:
        super().__init__(f"cannot listen at {place}: {message}")
        self.place = place


@contextmanager
def unix(path: Path, *, private: Path) -> Iterator[socket.socket]:
    """Listen at `path` while the block runs, for this user and root alone.

    The socket is made at `private`, in a folder that is nobody else's, and renamed: a dead agent's is replaced in one
    step, and there is never one that does not listen. That is done at once: it waits for no disk, and a thread would
    take longer to start.

    Raises:
        ListenError: it cannot be made, or something that is no socket is in its place.
    """
    try:
        listener, inode = _listen(path, private)
    except OSError as error:
        raise ListenError(str(path), error.strerror or str(error)) from error
    try:
        yield listener
    finally:
        listener.close()
        _remove(path, inode)


@contextmanager
def loopback(address: str) -> Iterator[socket.socket]:
    """Listen at a loopback address, as the config has it, while the block runs.

    Raises:
        ListenError: it cannot be done.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, int(port)), family=family, backlog=BACKLOG)
    except OSError as error:
        # create_server adds the address to the message, which is here already.
        reason = os.strerror(error.errno) if error.errno else str(error)
        hint = f"{reason}; free it, or change `listen` in [plugins.introspection]"
        raise ListenError(address, hint) from error
    with listener:
        listener.setblocking(False)
        yield listener


def listen_at(listener: socket.socket) -> str:
    """The address of a loopback listener, with the port that it has got."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _listen(path: Path, private: Path) -> tuple[socket.socket, int]:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(f"{path} is in the place of the socket, and is none; move it away")
    private.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        # Linux gives the file the mode of the unbound socket, so that it is never open to others, not for a moment.
        os.fchmod(listener.fileno(), 0o600)
        with short(private) as address:
            listener.bind(address)
        listener.listen(BACKLOG)
        inode = private.lstat().st_ino
        private.rename(path)
    except BaseException:
        listener.close()
        raise
    return listener, inode


def _remove(path: Path, inode: int) -> None:
    try:
        # Only one's own: another agent may have put its socket there already.
        if path.lstat().st_ino == inode:
            path.unlink()
    except OSError as error:
        _log.debug("%s was not removed: %s", path, error)
