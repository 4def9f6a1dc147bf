"""Filesystems on volumes, whoever provides those: made by mkfs, mounted by device, not by a name that may move."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft.clock import SystemClock
from undercroft.linux import signature
from undercroft_hookspecs import AttachInfo, FilesystemInfo, PermanentError
from undercroft_storageprovisioner.linux import mounts
from undercroft_storageprovisioner.linux.checking import Checker
from undercroft_storageprovisioner.linux.formatting import KINDS, Formatter, Kind, Wish, size_of
from undercroft_storageprovisioner.linux.growing import Grower
from undercroft_storageprovisioner.linux.mounting import Mounting, detach, verify
from undercroft_storageprovisioner.names import file_name
from undercroft_storageprovisioner.threads import in_thread, unless_busy

if TYPE_CHECKING:
    from undercroft_hookspecs import Clock, FilesystemId, ModelId, Process

MIB = 1024 * 1024
DEFAULT_KIND: Kind = "ext4"


class ManagedFilesystems:
    """The filesystems on the volumes of one model on this machine."""

    def __init__(self, model: ModelId, folder: Path, process: Process, clock: Clock | None = None) -> None:
        self._model = model
        self._clock = clock or SystemClock()
        self._formatter = Formatter(process, folder / "formatting", self._clock)
        self._checker = Checker(process, self._clock)
        self._grower = Grower(process, self._checker)

    async def create(self, filesystem: FilesystemId, device: Path, *, kind: str, label: str) -> FilesystemInfo:
        """Have the volume's device hold the filesystem; one that does is left as it is.

        Raises:
            PermanentError: the device holds something else, or such filesystems are not known.
        """
        size = await self._formatter.ensure(device, self._wish(filesystem, kind, label))
        return FilesystemInfo(provider_id=file_name(filesystem), size_mib=size // MIB)

    async def adopt(self, filesystem: FilesystemId, device: Path) -> FilesystemInfo:
        """Take what is on the volume's device as the filesystem, as it is.

        Raises:
            PermanentError: it is not one filesystem of a kind that is known.
        """
        found = [each for each in await in_thread(signature.read, device) if each.usage != "table"]
        if len(found) != 1 or found[0].type not in KINDS or not found[0].uuid:
            what = ", ".join(f"{each.type} {each.uuid}".strip() for each in found) or "nothing that is known"
            raise PermanentError(f"{device} cannot be imported: it is to hold one of {', '.join(KINDS)}, not {what}")
        size = await in_thread(size_of, device)
        name = file_name(filesystem)
        return FilesystemInfo(provider_id=name, size_mib=size // MIB, kind=found[0].type, uuid=found[0].uuid)

    async def attach(
        self,
        filesystem: FilesystemId,
        device: Path,
        path: Path,
        *,
        kind: str,
        policy: str,
        read_only: bool,
        uuid: str = "",
    ) -> tuple[AttachInfo, str]:
        """Mount the filesystem, or see that it is mounted: it, and nothing else. `uuid` is that of an imported one.

        It is put right before if it is not, as `policy` says: with it comes what was found, else nothing.

        Raises:
            PermanentError: something else is mounted there, or on the device, or it is damaged.
        """
        wish, said = self._wish(filesystem, kind, ""), ""
        wanted = Mounting(device, path, wish.kind, uuid or str(wish.uuid), read_only=read_only)
        try:
            is_there = await unless_busy(self._clock, wanted.mount_if_clean, is_checked=policy != "never")
            if not is_there:
                said = await self._checker.put_right(device, wish.kind, policy)
                await unless_busy(self._clock, wanted.mount)
        except OSError as error:
            await self._blame(error, device, wish.kind)
            raise
        return AttachInfo(path=str(path), read_only=read_only), said

    async def detach(self, device: Path | None, path: Path) -> None:
        """Unmount the filesystem; nothing if it is not mounted there. What else is mounted there stays."""
        await in_thread(detach, device, path)

    async def grow(self, device: Path, path: Path, *, kind: str, read_only: bool) -> int:
        """Have the mounted filesystem fill the volume's device; gives its size in MiB.

        Raises:
            MountBusyError: it has to be unmounted for that, and somebody uses it.
            PermanentError: something else is mounted there, it is damaged, or a program is missing.
        """
        await in_thread(verify, await in_thread(mounts.at, path), device, path)
        await self._grower.grow(device, path, kind or DEFAULT_KIND, read_only=read_only)
        return await in_thread(size_of, device) // MIB

    async def trim(self, path: Path) -> None:
        """Have the mounted filesystem tell the volume's device what it does not use."""
        await self._grower.trim(path)

    async def _blame(self, error: OSError, device: Path, kind: str) -> None:
        """Raise PermanentError if it is the filesystem that the kernel does not like: what else fails may pass."""
        if error.errno in (errno.EUCLEAN, errno.EIO):
            said = await self._checker.what_is_wrong(device, kind)
            if said:
                raise PermanentError(f"{device} is damaged, and the kernel does not mount it; {said}") from error

    def _wish(self, filesystem: FilesystemId, kind: str, label: str) -> Wish:
        wanted = kind or DEFAULT_KIND
        for known in KINDS:
            if wanted == known:
                return Wish(kind=_kind(known), name=f"{self._model}/{filesystem}", label=label)
        raise PermanentError(f'filesystems of type "{kind}" are not known: {", ".join(KINDS)} are')


def _kind(text: str) -> Kind:
    match text:
        case "xfs":
            return "xfs"
        case "btrfs":
            return "btrfs"
        case _:
            return "ext4"
