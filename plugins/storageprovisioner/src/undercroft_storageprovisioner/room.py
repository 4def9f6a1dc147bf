"""Whether there is room for what is asked, looked at before any of it is taken."""

from __future__ import annotations

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
