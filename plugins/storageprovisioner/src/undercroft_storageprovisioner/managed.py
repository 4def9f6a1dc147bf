"""Filesystems on volumes, whoever provides those: made by mkfs, mounted by device, not by a name that may move."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft.clock import SystemClock
from undercroft.files import in_thread
from undercroft.linux import signature
from undercroft_hookspecs import AttachInfo, FilesystemInfo, PermanentError
from undercroft_storageprovisioner.linux import mounts
from undercroft_storageprovisioner.linux.checking import Checker
from undercroft_storageprovisioner.linux.formatting import KINDS, Formatter, Kind, Wish
from undercroft_storageprovisioner.linux.growing import Grower
from undercroft_storageprovisioner.names import file_name

if TYPE_CHECKING:
    from undercroft.linux.mountinfo import Mount
    from undercroft_hookspecs import Clock, FilesystemId, ModelId, Process

MIB = 1024 * 1024
DEFAULT_KIND: Kind = "ext4"


class ManagedFilesystems:
    """The filesystems on the volumes of one model on this machine."""

    def __init__(self, model: ModelId, folder: Path, process: Process, clock: Clock | None = None) -> None:
        self._model = model
        self._formatter = Formatter(process, folder / "formatting")
        self._checker = Checker(process, clock or SystemClock())
        self._grower = Grower(process, self._checker)

    async def create(self, filesystem: FilesystemId, device: Path, *, kind: str, label: str) -> FilesystemInfo:
        """Have the volume's device hold the filesystem; one that does is left as it is.

        Raises:
            PermanentError: the device holds something else, or such filesystems are not known.
        """
        await self._formatter.ensure(device, self._wish(filesystem, kind, label))
        size = await in_thread(_size, device)
        return FilesystemInfo(provider_id=file_name(filesystem), size_mib=size // MIB)

    async def adopt(self, filesystem: FilesystemId, device: Path) -> FilesystemInfo:
        """Take what is on the volume's device as the filesystem, as it is.

        Raises:
            PermanentError: it is not one filesystem of a kind that is known.
        """
        found = [each for each in await signature.probe(device) if each.usage != "table"]
        if len(found) != 1 or found[0].type not in KINDS or not found[0].uuid:
            what = ", ".join(f"{each.type} {each.uuid}".strip() for each in found) or "nothing that is known"
            raise PermanentError(f"{device} cannot be imported: it is to hold one of {', '.join(KINDS)}, not {what}")
        size = await in_thread(_size, device)
        name = file_name(filesystem)
        return FilesystemInfo(provider_id=name, size_mib=size // MIB, kind=found[0].type, uuid=found[0].uuid)

    async def check(
        self, filesystem: FilesystemId, device: Path, path: Path, *, kind: str, policy: str, uuid: str = ""
    ) -> str:
        """Put the filesystem right before it is mounted, if it is not; says what was found, else nothing.

        Raises:
            PermanentError: it is damaged, or another one.
        """
        wish = self._wish(filesystem, kind, "")
        if await in_thread(mounts.at, path) is not None:
            return ""
        await self._refuse_other(device, wish, uuid)
        return await self._checker.put_right(device, wish.kind, policy)

    async def attach(
        self, filesystem: FilesystemId, device: Path, path: Path, *, kind: str, read_only: bool, uuid: str = ""
    ) -> AttachInfo:
        """Mount the filesystem, or see that it is mounted: it, and nothing else. `uuid` is that of an imported one.

        Raises:
            PermanentError: something else is mounted there, or on the device.
        """
        wish = self._wish(filesystem, kind, "")
        there = await in_thread(mounts.at, path)
        if there is None:
            await self._refuse_other(device, wish, uuid)
            await self._mount(device, path, wish.kind, read_only=read_only)
            there = await in_thread(mounts.at, path)
        await in_thread(_verify, there, device, path)
        return AttachInfo(path=str(path), read_only=read_only)

    async def detach(self, device: Path | None, path: Path) -> None:
        """Unmount the filesystem; nothing if it is not mounted there. What else is mounted there stays."""
        await in_thread(_detach, device, path)

    async def grow(self, device: Path, path: Path, *, kind: str, read_only: bool) -> int:
        """Have the mounted filesystem fill the volume's device; gives its size in MiB.

        Raises:
            MountBusyError: it has to be unmounted for that, and somebody uses it.
            PermanentError: something else is mounted there, it is damaged, or a program is missing.
        """
        await in_thread(_verify, await in_thread(mounts.at, path), device, path)
        await self._grower.grow(device, path, kind or DEFAULT_KIND, read_only=read_only)
        return await in_thread(_size, device) // MIB

    async def trim(self, path: Path) -> None:
        """Have the mounted filesystem tell the volume's device what it does not use."""
        await self._grower.trim(path)

    async def _mount(self, device: Path, path: Path, kind: str, *, read_only: bool) -> None:
        try:
            await in_thread(mounts.mount, str(device), path, kind, read_only=read_only)
        except OSError as error:
            if error.errno not in (errno.EUCLEAN, errno.EIO):
                raise
            said = await self._checker.what_is_wrong(device, kind)
            if not said:  # What failed was the mount, or the device: that may pass.
                raise
            raise PermanentError(f"{device} is damaged, and the kernel does not mount it; {said}") from error

    async def _refuse_other(self, device: Path, wish: Wish, uuid: str) -> None:
        wanted, found = uuid or str(wish.uuid), await signature.probe(device)
        if not any(each.uuid.lower() == wanted.lower() for each in found if each.uuid):
            what = ", ".join(f"{each.type} {each.uuid}".strip() for each in found) or "nothing"
            raise PermanentError(f"{device} is not mounted: it was to hold {wish.kind} {wanted}, and holds {what}")

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


def _size(device: Path) -> int:
    opened = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(opened, 0, os.SEEK_END)
    finally:
        os.close(opened)


def _is_of(mount: Mount, device: Path) -> bool:
    """Whether a mount is the device's. A btrfs has a number of its own: there the name has to do, which is ours."""
    try:
        number = device.stat().st_rdev
    except FileNotFoundError:
        return False
    return os.makedev(mount.major, mount.minor) == number or (mount.major == 0 and mount.source == str(device))


def _verify(mount: Mount | None, device: Path, path: Path) -> None:
    if mount is None:
        raise PermanentError(f"{path} is not mounted, though the kernel took the mount")
    if not _is_of(mount, device):
        raise PermanentError(
            f"{path} is taken: {mount.source} ({mount.filesystem_type}) is mounted there, not {device}"
        )
    if mount.root != "/":
        raise PermanentError(f"{path} shows {mount.root} of {device}, and not all of it")


def _detach(device: Path | None, path: Path) -> None:
    there = mounts.at(path)
    if there is not None and device is not None and _is_of(there, device):
        mounts.unmount(path)
        there = mounts.at(path)
    if there is None:
        mounts.remove_mount_point(path)
