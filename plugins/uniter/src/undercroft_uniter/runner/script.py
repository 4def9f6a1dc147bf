"""Find the script of a hook or an action: each time anew, for charms make and change their own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from undercroft_hookspecs import NotFoundError, NotValidError

if TYPE_CHECKING:
    from pathlib import Path

METADATA = "metadata.yaml"
DISPATCH = "dispatch"


def find_script(charm: Path, folder: Literal["hooks", "actions"], name: str) -> Path | None:
    """The file to run: `dispatch`, where the charm has it, else the script of that name; None where there is neither.

    Raises:
        NotFoundError: the charm is not there, or a link of that name leads nowhere.
        NotValidError: the file cannot be executed.
    """
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise NotValidError(f"{name!r} cannot be the name of a script", field="name")
    if not (charm / METADATA).is_file():
        raise NotFoundError(str(charm), f"there is no charm in {charm}: its {METADATA} is missing")
    for path in (charm / DISPATCH, charm / folder / name):
        if os.path.lexists(path):
            return _checked(path)
    return None


def _checked(path: Path) -> Path:
    if not path.exists():
        raise NotFoundError(str(path), f"{path} is a link that leads nowhere")
    if not path.is_file():
        raise NotValidError(f"{path} is not a file", field="script")
    if not os.access(path, os.X_OK):
        raise NotValidError(f"{path} is not executable: chmod +x it, and pack the charm again", field="script")
    return path
