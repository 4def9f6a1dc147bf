"""Small files in which a room keeps what it must not forget: read once at start, replaced whole at each change."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from undercroft.files import in_thread, write_atomic
from undercroft_hookspecs import NotValidError

if TYPE_CHECKING:
    from pathlib import Path

S = TypeVar("S", bound=msgspec.Struct)


async def read_state(path: Path, kind: type[S]) -> S | None:
    """What was written last; None if nothing ever was.

    Raises:
        NotValidError: the file cannot be understood; it is left as it is.
    """
    content = await in_thread(_read, path)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"{path} is damaged ({error}): restore it from a backup, or move it away for the unit to begin anew"
        raise NotValidError(message, field=path.name) from error


async def write_state(path: Path, state: msgspec.Struct) -> None:
    """Replace it, durably."""
    await write_atomic(path, msgspec.json.encode(state))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        # Whoever reads is about to write; nobody else makes the folder.
        path.parent.mkdir(parents=True, exist_ok=True)
        return None
