"""Filesystems that are made to fill a device that has become larger, or told to let go of blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs import CommandFailedError, PermanentError
from undercroft_storageprovisioner.linux import mounts
from undercroft_storageprovisioner.threads import in_thread

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_hookspecs import Completed, Process
    from undercroft_storageprovisioner.linux.checking import Checker

GROW_SECONDS = 1800.0
TRIM_SECONDS = 1800.0

_PACKAGES = {"resize2fs": "e2fsprogs", "xfs_growfs": "xfsprogs", "btrfs": "btrfs-progs", "fstrim": "util-linux"}
_NOT_ONLINE = (b"Permission denied", b"Operation not permitted", b"not supported", b"On-line resizing")
"""What resize2fs says where the kernel does not let it make a mounted filesystem larger."""


class Grower:
    """Makes mounted filesystems larger; each can be asked again, and does nothing if it is as large."""

    def __init__(self, process: Process, checker: Checker) -> None:
        self._process, self._checker = process, checker

    async def grow(self, device: Path, path: Path, kind: str, *, read_only: bool) -> None:
        """Have the filesystem that is mounted there fill its device.

        ext4 is unmounted for it where the kernel refuses otherwise, and mounted again.

        Raises:
            MountBusyError: it would have to be unmounted, and somebody uses it.
            PermanentError: it is damaged, too small to grow, or a program is missing.
        """
        if kind == "xfs":
            await self._run("xfs_growfs", path)
        elif kind == "btrfs":
            await self._run("btrfs", "filesystem", "resize", "max", path)
        else:
            try:
                await self._run("resize2fs", device)
            except CommandFailedError as error:
                said = error.completed.stdout + error.completed.stderr
                if not any(reason in said for reason in _NOT_ONLINE):
                    raise
                await self._grow_unmounted(device, path, read_only=read_only)

    async def trim(self, path: Path) -> None:
        """Tell the device which of its blocks the filesystem that is mounted there does not use."""
        try:
            await self._run("fstrim", path, seconds=TRIM_SECONDS)
        except CommandFailedError as error:
            if b"not supported" in error.completed.stderr:
                raise PermanentError(f"the device under {path} takes no discards") from error
            raise

    async def _grow_unmounted(self, device: Path, path: Path, *, read_only: bool) -> None:
        await in_thread(mounts.unmount, path)
        try:
            await self._checker.mend_by_force(device)
            await self._run("resize2fs", device)
        finally:
            # It is mounted again whatever came of it; should we die here, it is as after any unmount: attached again.
            await in_thread(mounts.mount, str(device), path, "ext4", read_only=read_only)

    async def _run(self, *argv: str | Path, seconds: float = GROW_SECONDS) -> Completed:
        program = str(argv[0])
        try:
            return await self._process.run([str(word) for word in argv], timeout=seconds)
        except LookupError as error:
            raise PermanentError(f"{program} is missing; install {_PACKAGES[program]}") from error
