"""Unix sockets: who is at the other end, and an address for a path that is too long for one."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LONGEST_ADDRESS = 107
"""What fits in sockaddr_un, without the NUL that ends it."""

_PEER_CREDENTIALS = struct.Struct("3i")


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A name for `path` that fits a socket's address, for bind or connect while the block runs.

    A folder may lie deeper than an address is long; through an open folder its name is short again.
    """
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def peer_uid(connection: socket.socket) -> int:
    """The user who connected, as the kernel has it."""
    return _peer(connection)[1]


def peer_pid(connection: socket.socket) -> int:
    """The process that connected, or of who listens, the one that began to; 0 if it is in no namespace of ours."""
    return _peer(connection)[0]


def _peer(connection: socket.socket) -> tuple[int, int]:
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    pid, uid, _ = _PEER_CREDENTIALS.unpack(raw)
    return int(pid), int(uid)
