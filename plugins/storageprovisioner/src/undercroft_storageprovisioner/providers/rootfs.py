"""The providers `rootfs` and `directory`: filesystems that are folders.

One of `rootfs` is a folder of the storage folder, mounted (bound) where it is wanted. One of `directory` needs no root:
it is the folder where it is wanted, made if it is missing, and nothing is mounted. Neither has a limit of its own: that
there is room for what is asked is looked at once, when it is made.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs import AttachInfo, FilesystemId, FilesystemInfo, NotValidError, PermanentError
from undercroft_storageprovisioner.linux import mounts
from undercroft_storageprovisioner.names import file_name
from undercroft_storageprovisioner.providers.takeover import take_over
from undercroft_storageprovisioner.room import check_room
from undercroft_storageprovisioner.threads import in_thread

if TYPE_CHECKING:
    from undercroft_hookspecs import AttachParams, FilesystemParams, VolumeId

CLAIM = ".undercroft-storage"
"""The file in a folder of `directory` that says whose it is."""


class FolderAttributes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """These pools have no attributes."""


class RootfsFilesystems:
    """The filesystems of one storage folder: `<folder>/rootfs/filesystem-0-7`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "rootfs"

    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        """Make the folder, or find the one made before."""
        return await in_thread(self._create, params.filesystem, params.size_mib)

    async def attach(self, params: AttachParams) -> AttachInfo:
        """Bind the folder to where it is wanted, or see that it is."""
        if params.path is None:
            raise NotValidError("a rootfs filesystem needs a mount point", field="path")
        return await in_thread(self._attach, self._own(params.entity), params.path, params.read_only)

    async def detach(self, params: AttachParams) -> None:
        """Undo that; nothing if it is not bound."""
        if params.path is not None:
            await in_thread(mounts.undo_bound, self._own(params.entity), params.path)

    async def destroy(self, filesystem: FilesystemId) -> None:
        """Remove the folder, with all that is in it."""
        await in_thread(_remove_all, self._own(filesystem))

    async def release(self, entity: VolumeId | FilesystemId) -> None:
        """Leave the folder as it is."""
        self._own(entity)

    async def import_existing(self, entity: VolumeId | FilesystemId, provider_id: str) -> FilesystemInfo:
        """Take a folder of the storage folder (`filesystem-0-3`), or by its path one on the same filesystem."""
        own = self._own(entity)
        await in_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        await in_thread(take_over, self._folder, provider_id, own, is_folder=True)
        return FilesystemInfo(provider_id=own.name, size_mib=await in_thread(_size_mib, own))

    def _own(self, entity: VolumeId | FilesystemId) -> Path:
        if not isinstance(entity, FilesystemId):
            raise PermanentError(f"{entity} is not a filesystem")
        return self._folder / file_name(entity)

    def _create(self, filesystem: FilesystemId, size_mib: int) -> FilesystemInfo:
        own = self._own(filesystem)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not own.exists():
            check_room(self._folder, size_mib)
            own.mkdir(mode=0o755)
        return FilesystemInfo(provider_id=own.name, size_mib=size_mib)

    def _attach(self, own: Path, path: Path, read_only: bool) -> AttachInfo:
        if not own.is_dir() or own.is_symlink():
            raise PermanentError(f"{own} is missing, or no folder")
        mounts.ensure_bound(own, path, read_only=read_only)
        return AttachInfo(path=str(path), read_only=read_only)


class DirectoryFilesystems:
    """Folders where they are wanted; which they are is kept in `<folder>/directory/filesystem-0-7`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "directory"

    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        """Note it; the folder is made where it is wanted when that is known."""
        return await in_thread(self._create, params.filesystem, params.size_mib)

    async def attach(self, params: AttachParams) -> AttachInfo:
        """Make the folder where it is wanted, or see that it is there and is ours."""
        if params.path is None:
            raise NotValidError("a directory needs to know where it is wanted", field="path")
        if params.read_only:
            raise PermanentError("the provider `directory` cannot keep anybody from writing: use another")
        return await in_thread(self._attach, self._note(params.entity), params.path)

    async def detach(self, params: AttachParams) -> None:
        """The folder stays, with what is in it."""

    async def destroy(self, filesystem: FilesystemId) -> None:
        """Remove the folder, with all that is in it, if it is ours."""
        await in_thread(self._end, self._note(filesystem), is_kept=False)

    async def release(self, entity: VolumeId | FilesystemId) -> None:
        """Leave the folder where it is, with what is in it, and nothing of ours."""
        await in_thread(self._end, self._note(entity), is_kept=True)

    def _note(self, entity: VolumeId | FilesystemId) -> Path:
        if not isinstance(entity, FilesystemId):
            raise PermanentError(f"{entity} is not a filesystem")
        return self._folder / file_name(entity)

    def _create(self, filesystem: FilesystemId, size_mib: int) -> FilesystemInfo:
        note = self._note(filesystem)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not note.exists():
            check_room(self._folder, size_mib)
            note.write_text("")
        return FilesystemInfo(provider_id=note.name, size_mib=size_mib)

    def _attach(self, note: Path, path: Path) -> AttachInfo:
        if not note.exists():
            raise PermanentError(f"{note.name} was never made, or is destroyed")
        moved = note.read_text()
        if moved and moved != str(path):
            raise PermanentError(f"{note.name} is at {moved}, and cannot be moved to {path}")
        folder = mounts.open_mount_point(path, make=True)
        try:
            self._claim(folder, note, path)
        finally:
            os.close(folder)
        return AttachInfo(path=str(path))

    def _claim(self, folder: int, note: Path, path: Path) -> None:
        inside = any(Path(f"/proc/self/fd/{folder}").iterdir())
        whose = _read_claim(folder)
        mine = f"{note}\n"
        if whose is None and inside:
            raise PermanentError(f"{path} is taken: there is something in it")
        if whose not in (None, mine):
            raise PermanentError(f"{path} is taken: it belongs to {whose.strip() if whose else 'somebody'}")
        note.write_text(str(path))  # Before the claim: what is claimed can be found, and removed.
        if whose is None:
            claim = os.open(CLAIM, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=folder)
            try:
                os.write(claim, mine.encode())
                os.fsync(claim)
            finally:
                os.close(claim)

    def _end(self, note: Path, *, is_kept: bool) -> None:
        try:
            path = note.read_text()
        except FileNotFoundError:
            return
        if path:
            try:
                folder = mounts.open_mount_point(Path(path), make=False)
            except FileNotFoundError:
                folder = -1
            if folder >= 0:
                try:
                    whose = _read_claim(folder)
                finally:
                    os.close(folder)
                if whose == f"{note}\n" and is_kept:
                    Path(path, CLAIM).unlink()
                elif whose == f"{note}\n":
                    _remove_all(Path(path))
        note.unlink(missing_ok=True)


def _size_mib(folder: Path) -> int:
    """How large a folder can become: as what it is on."""
    return int(shutil.disk_usage(folder).total) // (1024 * 1024)


def _read_claim(folder: int) -> str | None:
    try:
        claim = os.open(CLAIM, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    with os.fdopen(claim) as file:
        return file.read(4096)


def _remove_all(folder: Path) -> None:
    if folder.is_symlink():
        raise PermanentError(f"{folder} is a symbolic link: it is not followed")
    if folder.exists():
        shutil.rmtree(folder)
