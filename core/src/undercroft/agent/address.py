"""Where the control socket is, and how a path too long for a socket's address is written."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOCKET = "agent.sock"

_LONGEST_ADDRESS = 107
"""What fits in sockaddr_un, without the NUL that ends it."""


@contextmanager
def short(path: Path) -> Iterator[str]:
    """A name for `path` that fits a socket's address, for bind or connect while the block runs.

    A data folder may lie deeper than an address is long; through an open folder its name is short again.
    """
    if len(os.fsencode(path)) <= _LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
