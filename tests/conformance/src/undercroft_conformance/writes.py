"""See where a process writes: files that Python opens for writing, makes, moves or removes, and sockets that it binds.

It is the interpreter's audit events that are looked at: what a program or a C library writes by itself is not seen.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES: Mapping[str, Sequence[int]] = {
    # Which arguments of an event are paths that change.
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "sqlite3.connect": (0,),
}
_PASSED_OVER = ("/dev/null", "/dev/tty", "/proc/self/", f"/proc/{os.getpid()}/")
_CACHE = "__pycache__"


class _Listener:
    """The one audit hook of this process: a hook cannot be taken away again, only told to be quiet."""

    def __init__(self) -> None:
        self.tell: Callable[[str], object] | None = None

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        tell = self.tell
        if tell is None:
            return
        for path in _written(event, arguments):
            tell(path)


@cache
def _listener() -> _Listener:
    made = _Listener()
    sys.addaudithook(made)
    return made


@contextmanager
def writes() -> Iterator[list[str]]:
    """The paths that are written while this is on, in order. Bytecode that imports write is left out."""
    found: list[str] = []
    listener = _listener()
    listener.tell = found.append
    try:
        yield found
    finally:
        listener.tell = None


def outside(paths: Sequence[str], folders: Sequence[Path]) -> list[str]:
    """Those of the paths that are under none of the folders, each once."""
    allowed = [Path(os.path.realpath(folder)) for folder in folders]
    return list(
        dict.fromkeys(
            path for path in paths if not any(Path(os.path.realpath(path)).is_relative_to(folder) for folder in allowed)
        )
    )


def _written(event: str, arguments: tuple[object, ...]) -> Iterator[str]:
    if event == "open":
        path, _, flags = (*arguments, None, None, None)[:3]
        places: Sequence[object] = (path,) if isinstance(flags, int) and flags & _WRITING else ()
    elif event == "socket.bind":
        places = (arguments[1],) if len(arguments) > 1 else ()
    else:
        places = [arguments[index] for index in _CHANGES.get(event, ()) if index < len(arguments)]
    for place in places:
        if (text := _path(place)) is not None:
            yield text


def _path(place: object) -> str | None:
    """A path in the filesystem, or None for descriptors, network addresses and what is nobody's business."""
    if not isinstance(place, str | bytes | os.PathLike):
        return None
    text = os.fsdecode(place)
    if not text or text.startswith(("\0", ":", "file:")) or text.startswith(_PASSED_OVER) or _CACHE in text:
        return None
    return os.path.abspath(text)  # noqa: PTH100 - Inside an audit hook, as little as possible is made.
