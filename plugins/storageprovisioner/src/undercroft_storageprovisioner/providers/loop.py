"""The provider `loop`: volumes that are loop devices over preallocated files in the storage folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft.files import sync
from undercroft.linux import mountinfo
from undercroft_hookspecs import AttachInfo, NotFoundError, PermanentError, VolumeId, VolumeInfo, VolumePool
from undercroft_storageprovisioner.linux import loops, mounts
from undercroft_storageprovisioner.names import file_name
from undercroft_storageprovisioner.providers.takeover import take_over
from undercroft_storageprovisioner.room import check_room
from undercroft_storageprovisioner.threads import in_thread

if TYPE_CHECKING:
    from undercroft_hookspecs import AttachParams, Clock, FilesystemId, VolumeParams
    from undercroft_storageprovisioner.linux.loops import Loop

MIB = 1024 * 1024
RELEASE_SECONDS = 5.0
LOOK_SECONDS = 0.02


class LoopAttributes(VolumePool, frozen=True, forbid_unknown_fields=True):
    """A loop pool's: what any pool of volumes has."""


class LoopVolumes:
    """The volumes of one storage folder: `<folder>/loop/volume-0-7`, mode 0600."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder, self._clock = folder / "loop", clock

    async def create(self, params: VolumeParams) -> VolumeInfo:
        """Make the file, all of it taken from the disk, or find the one made before."""
        return await in_thread(self._create, params.volume, params.size_mib)

    async def attach(self, params: AttachParams) -> AttachInfo:
        """Put a loop device over the file, or find the one that is."""
        return await in_thread(self._attach, self._file(params.entity), params.read_only)

    async def detach(self, params: AttachParams) -> None:
        """Give the loop device back; nothing if there is none. Waits for the kernel to let go of it."""
        file = self._file(params.entity)
        for loop in await in_thread(loops.loops_of, file):
            await in_thread(_refuse_mounted, loop)
            await in_thread(loops.detach, loop)
        # The kernel lets go when the last one who has it open (udev has a look at it, too) closes it, and tells nobody.
        waited = 0.0
        while left := await in_thread(loops.loops_of, file):
            if waited >= RELEASE_SECONDS:
                who = ", ".join(await in_thread(_holders, left[0])) or "the kernel, or somebody who cannot be seen"
                raise TimeoutError(f"{left[0].path} is still in use; it is held by {who}")
            await self._clock.sleep(LOOK_SECONDS)
            waited += LOOK_SECONDS

    async def destroy(self, volume: VolumeId) -> None:
        """Remove the file; nothing if it is gone. Raises PermanentError while a loop device is over it."""
        file = self._file(volume)
        if await in_thread(loops.loops_of, file):
            raise PermanentError(f"{file} is still attached")
        await in_thread(_remove, file)

    async def grow(self, volume: VolumeId, size_mib: int) -> VolumeInfo:
        """Make the volume larger, while it is attached if it is; nothing if it is as large."""
        return await in_thread(self._grow, volume, size_mib)

    async def release(self, entity: VolumeId | FilesystemId) -> None:
        """Leave the file as it is."""
        self._file(entity)

    async def trim(self, params: AttachParams) -> None:
        """Have what the filesystem let go of be given back by the time that this returns: the kernel has cut the holes
        into the file, of which less is taken from the disk then. It has to be there again when it is written to."""
        await in_thread(sync, self._file(params.entity))

    async def import_existing(self, entity: VolumeId | FilesystemId, provider_id: str) -> VolumeInfo:
        """Take a file of the storage folder (`volume-0-3`), or by its path one on the same filesystem.

        It has its new name, and is only root's, from then on.
        """
        file = self._file(entity)
        return await in_thread(self._import, file, provider_id)

    def _import(self, file: Path, provider_id: str) -> VolumeInfo:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        take_over(self._folder, provider_id, file, is_folder=False)
        file.chmod(0o600)
        return VolumeInfo(provider_id=file.name, size_mib=file.stat().st_size // MIB)

    def _file(self, entity: object) -> Path:
        if not isinstance(entity, VolumeId):
            raise PermanentError(f"{entity} is not a volume")
        return self._folder / file_name(entity)

    def _create(self, volume: VolumeId, size_mib: int) -> VolumeInfo:
        file = self._file(volume)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if file.is_symlink() or (file.exists() and not file.is_file()):
            raise PermanentError(f"{file} is there, and is no file of ours")
        if not file.exists():
            check_room(self._folder, size_mib)
            _allocate(file, size_mib)
        size = file.stat().st_size
        if size < size_mib * MIB:
            raise PermanentError(f"{file} has {size} bytes, and was to have {size_mib} MiB: grow the volume instead")
        # Once it has its name: the disk is waited for once then, for filesystems keep the order of the two.
        sync(file)
        sync(self._folder)
        return VolumeInfo(provider_id=file.name, size_mib=size // MIB)

    def _attach(self, file: Path, read_only: bool) -> AttachInfo:
        if not file.is_file():
            raise NotFoundError(file.name, f"the volume's file {file} is missing")
        there = loops.loops_of(file)
        if there and any(loop.read_only != read_only for loop in there):
            raise PermanentError(f"{there[0].path} is over {file} already, with other access than asked for")
        loop = there[0] if there else loops.attach(file, read_only=read_only)
        return AttachInfo(device_name=loop.name, read_only=loop.read_only)

    def _grow(self, volume: VolumeId, size_mib: int) -> VolumeInfo:
        file = self._file(volume)
        with file.open("r+b") as opened:
            size = file.stat().st_size
            if size < size_mib * MIB:
                check_room(self._folder, size_mib - size // MIB)
                os.posix_fallocate(opened.fileno(), 0, size_mib * MIB)
                os.fsync(opened.fileno())
        for loop in loops.loops_of(file):
            loops.take_size(loop)
        return VolumeInfo(provider_id=file.name, size_mib=file.stat().st_size // MIB)


def _part(file: Path) -> Path:
    """What a file is while it is being made."""
    return file.with_name(f".{file.name}.part")


def _remove(file: Path) -> None:
    """Remove a file, and what is left of one whose making was cut off."""
    _part(file).unlink(missing_ok=True)
    file.unlink(missing_ok=True)


def _allocate(file: Path, size_mib: int) -> None:
    """Make a file that is whole or not there: a full disk leaves nothing behind."""
    part = _part(file)
    part.unlink(missing_ok=True)
    opened = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(opened, 0, size_mib * MIB)
        part.rename(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(opened)


def _refuse_mounted(loop: Loop) -> None:
    """Raise MountBusyError for a device that somebody else has mounted."""
    device = loop.path.stat().st_rdev
    found = [mount.target for mount in mountinfo.read() if os.makedev(mount.major, mount.minor) == device]
    if found:
        users = [who for target in found for who in mounts.holders(Path(target))]
        where = ", ".join(f"its mount on {target} (umount {target})" for target in found)
        raise mounts.MountBusyError(loop.path, [where, *dict.fromkeys(users)])


def _holders(loop: Loop) -> list[str]:
    return list(mounts.holders_of_device(loop.path))
