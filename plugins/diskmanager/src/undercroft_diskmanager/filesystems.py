"""Find out what is on a device where udev has not done so: blkid, or a look of our own where there is no blkid."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from undercroft.linux import signature
from undercroft_diskmanager.udevdb import Filesystem, filesystem_of
from undercroft_hookspecs.errors import NotFoundError, UndercroftError

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_hookspecs.agent import Process

NOTHING_FOUND = 2
AMBIVALENT = 8

logger = logging.getLogger(__name__)


class Filesystems:
    """Asks about one device at a time, a few at once."""

    def __init__(self, process: Process, *, blkid: str = "blkid", timeout: float = 10.0, at_once: int = 4) -> None:
        self._process = process
        self._blkid = blkid
        self._timeout = timeout
        self._limit = asyncio.Semaphore(at_once)
        self._is_blkid_missing = False

    async def of(self, path: Path) -> Filesystem:
        """What is on the device; empty if that is nothing, or more than one thing, or cannot be read in time."""
        async with self._limit:
            if not self._is_blkid_missing:
                try:
                    return await self._ask_blkid(path)
                except NotFoundError:
                    self._is_blkid_missing = True
                    logger.warning("%s is missing, so fewer kinds of filesystem are recognised", self._blkid)
                except (TimeoutError, UndercroftError, OSError) as error:
                    logger.warning("cannot tell what is on %s: %s", path, error)
                    return Filesystem()
            return await self._look(path)

    async def _ask_blkid(self, path: Path) -> Filesystem:
        # The output for udev, for that for export cannot be undone: it writes the bytes of "é" as "M-CM-)".
        done = await self._process.run([self._blkid, "-p", "-o", "udev", str(path)], timeout=self._timeout, check=False)
        if done.returncode in (NOTHING_FOUND, AMBIVALENT):
            return Filesystem()
        if done.returncode != 0:
            raise UndercroftError(f"blkid exited {done.returncode}: {done.stderr.decode('utf-8', 'replace').strip()}")
        lines = done.stdout.decode("utf-8", "replace").split("\n")
        return filesystem_of(dict(line.split("=", 1) for line in lines if "=" in line))

    async def _look(self, path: Path) -> Filesystem:
        try:
            found = [one for one in await signature.probe(path) if one.usage != "table"]
        except OSError as error:
            logger.debug("cannot read %s: %s", path, error)
            return Filesystem()
        return Filesystem(found[0].type, found[0].uuid, found[0].label) if len(found) == 1 else Filesystem()
