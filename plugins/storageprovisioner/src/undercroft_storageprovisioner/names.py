"""Names on disk, of entities that were parsed before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs import VolumeId

if TYPE_CHECKING:
    from undercroft_hookspecs import FilesystemId


def file_name(entity: VolumeId | FilesystemId) -> str:
    """The name of a volume's or filesystem's own file or folder: `volume-0-7`."""
    kind = "volume" if isinstance(entity, VolumeId) else "filesystem"
    return f"{kind}-{str(entity).replace('/', '-')}"
