"""Put charms from the blobs into units' folders."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft.files import in_thread
from undercroft_model.charms.unpack import unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.facades import BlobFacade
    from undercroft_model.charms.archive import Limits


class CharmArchives:
    """The `CharmArchiveFacade`, over blobs."""

    def __init__(self, blobs: BlobFacade, *, limits: Limits | None = None) -> None:
        self._blobs = blobs
        self._limits = limits

    async def unpack(self, sha256: str, to: Path) -> Sequence[str]:
        """See `CharmArchiveFacade`.

        Raises:
            ChecksumError: the archive that is kept is damaged.
            BlobError: it cannot be had.
        """
        folder = await in_thread(_temporary)
        try:
            archive = Path(folder.name, "charm.charm")
            await self._blobs.fetch(sha256, archive)
            return await unpack(archive, to, limits=self._limits)
        finally:
            await in_thread(folder.cleanup)


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="undercroft-charm-")
