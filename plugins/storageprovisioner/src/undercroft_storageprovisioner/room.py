"""The storage folder of a model: whether there is room for what is asked, and what is left when all of it is gone."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

from undercroft_hookspecs import PermanentError

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024


def check_room(folder: Path, size_mib: int) -> None:
    """Refuse a size that the disk of a folder has no room for. Raises PermanentError."""
    free = shutil.disk_usage(folder).free // MIB
    if free < size_mib:
        raise PermanentError(f"{folder} has room for {free} MiB, not for {size_mib}")


def tidy(folder: Path) -> None:
    """Remove what is empty of a model's storage folder, and the folder itself."""
    with contextlib.suppress(OSError):
        (folder / "btrfs" / "snapshots").rmdir()
    with contextlib.suppress(OSError):
        for each in folder.iterdir():
            with contextlib.suppress(OSError):  # It is not empty, or a file, or somebody has mounted something on it.
                each.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()
