"""Filesystems on volumes, whoever provides those: made by mkfs, mounted by device, not by a name that may move."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft.files import in_thread
from undercroft.linux import signature
from undercroft_hookspecs import AttachInfo, FilesystemInfo, PermanentError
from undercroft_storageprovisioner.linux import mounts
from undercroft_storageprovisioner.linux.formatting import KINDS, Formatter, Kind, Wish
from undercroft_storageprovisioner.names import file_name

if TYPE_CHECKING:
    from undercroft.linux.mountinfo import Mount
    from undercroft_hookspecs import FilesystemId, ModelId, Process

MIB = 1024 * 1024
DEFAULT_KIND: Kind = "ext4"


class ManagedFilesystems:
    """The filesystems on the volumes of one model on this machine."""

    def __init__(self, model: ModelId, folder: Path, process: Process) -> None:
        self._model = model
        self._formatter = Formatter(process, folder / "formatting")

    async def create(self, filesystem: FilesystemId, device: Path, *, kind: str, label: str) -> FilesystemInfo:
        """Have the volume's device hold the filesystem; one that does is left as it is.

        Raises:
            PermanentError: the device holds something else, or such filesystems are not known.
        """
        await self._formatter.ensure(device, self._wish(filesystem, kind, label))
        size = await in_thread(_size, device)
        return FilesystemInfo(provider_id=file_name(filesystem), size_mib=size // MIB)

    async def attach(
        self, filesystem: FilesystemId, device: Path, path: Path, *, kind: str, read_only: bool
    ) -> AttachInfo:
        """Mount the filesystem, or see that it is mounted: it, and nothing else.

        Raises:
            PermanentError: something else is mounted there, or on the device.
        """
        wish = self._wish(filesystem, kind, "")
        there = await in_thread(mounts.at, path)
        if there is None:
            await self._check(device, wish)
            if not read_only:
                await self._formatter.repair(device, wish.kind)
            await in_thread(mounts.mount, str(device), path, wish.kind, read_only=read_only)
            there = await in_thread(mounts.at, path)
        await in_thread(_verify, there, device, path)
        return AttachInfo(path=str(path), read_only=read_only)

    async def detach(self, device: Path | None, path: Path) -> None:
        """Unmount the filesystem; nothing if it is not mounted there. What else is mounted there stays."""
        await in_thread(_detach, device, path)

    async def _check(self, device: Path, wish: Wish) -> None:
        found = await signature.probe(device)
        if not any(each.uuid.lower() == str(wish.uuid) for each in found if each.uuid):
            what = ", ".join(f"{each.type} {each.uuid}".strip() for each in found) or "nothing"
            raise PermanentError(f"{device} is not mounted: it was to hold {wish.kind} {wish.uuid}, and holds {what}")

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
