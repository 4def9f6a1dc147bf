"""The provider `tmpfs`: filesystems in memory. What is in one is gone when it is unmounted, or the machine reboots."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from undercroft.files import write_atomic
from undercroft_hookspecs import AttachInfo, FilesystemId, FilesystemInfo, NotValidError, PermanentError
from undercroft_storageprovisioner.linux import mounts
from undercroft_storageprovisioner.names import file_name
from undercroft_storageprovisioner.threads import in_thread

if TYPE_CHECKING:
    from undercroft_hookspecs import AttachParams, FilesystemParams, VolumeId

MIB = 1024 * 1024


class TmpfsAttributes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tmpfs pool has no attributes."""


class TmpfsFilesystems:
    """The filesystems of one storage folder, where the size of each is kept: `<folder>/tmpfs/filesystem-0-7`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "tmpfs"

    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        """Note the size, in whole pages; nothing is taken of the memory yet."""
        size = -(-params.size_mib * MIB // mmap.PAGESIZE) * mmap.PAGESIZE // MIB
        file = self._file(params.filesystem)
        await in_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        await write_atomic(file, f"{size}\n".encode())
        return FilesystemInfo(provider_id=file.name, size_mib=size)

    async def attach(self, params: AttachParams) -> AttachInfo:
        """Mount it, or see that it is mounted."""
        path = params.path
        if path is None:
            raise NotValidError("a tmpfs needs a mount point", field="path")
        file = self._file(params.entity)
        return await in_thread(self._attach, file, path, params.read_only)

    async def detach(self, params: AttachParams) -> None:
        """Unmount it; nothing if it is not mounted."""
        if params.path is not None:
            await in_thread(_detach, params.path, self._file(params.entity).name)

    async def destroy(self, filesystem: FilesystemId) -> None:
        """Forget it."""
        await in_thread(self._file(filesystem).unlink, missing_ok=True)

    def _file(self, entity: VolumeId | FilesystemId) -> Path:
        if not isinstance(entity, FilesystemId):
            raise PermanentError(f"{entity} is not a filesystem")
        return self._folder / file_name(entity)

    def _attach(self, file: Path, path: Path, read_only: bool) -> AttachInfo:
        try:
            size = int(file.read_text())
        except FileNotFoundError as error:
            raise PermanentError(f"{file.name} was never made, or is destroyed") from error
        there = mounts.at(path)
        if there is not None and (there.filesystem_type, there.source) != ("tmpfs", file.name):
            raise PermanentError(mounts.taken(there, file.name))
        if there is None:
            mounts.mount(file.name, path, "tmpfs", read_only=read_only, options=f"size={size}m,mode=0755")
        return AttachInfo(path=str(path), read_only=read_only)


def _detach(path: Path, source: str) -> None:
    there = mounts.at(path)
    if there is not None and there.source == source:
        mounts.unmount(path)
    mounts.remove_mount_point(path)
