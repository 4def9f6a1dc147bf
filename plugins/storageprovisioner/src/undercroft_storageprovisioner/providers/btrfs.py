"""The provider `btrfs`: filesystems that are subvolumes of a btrfs, each with a quota, mounted (bound) where wanted.

Below the folder that the pool names they are `undercroft/<storage folder's name>/filesystem-0-7`, and their snapshots
`undercroft/<...>/snapshots/filesystem-0-7@<name>`. A subvolume has its final name only once its quota is set.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from undercroft.linux import mountinfo
from undercroft_hookspecs import (
    AttachInfo,
    CommandFailedError,
    FilesystemId,
    FilesystemInfo,
    NotFoundError,
    NotValidError,
    PermanentError,
    Usage,
)
from undercroft_storageprovisioner.linux import mounts
from undercroft_storageprovisioner.names import file_name
from undercroft_storageprovisioner.room import check_room
from undercroft_storageprovisioner.threads import in_thread

if TYPE_CHECKING:
    from undercroft_hookspecs import AttachParams, Completed, FilesystemParams, Process, VolumeId

MIB = 1024 * 1024
BTRFS_SECONDS = 120.0
SUBVOLUME_INODE = 256
"""That of the topmost folder of every subvolume, and of no other folder of a btrfs."""


class BtrfsAttributes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A btrfs pool's: a folder on a btrfs; empty: the storage folder itself, if that is on one."""

    path: str = ""

    def __post_init__(self) -> None:
        if self.path and (not self.path.startswith("/") or ".." in self.path.split("/") or "\0" in self.path):
            raise ValueError(f"path is not absolute and plain: {self.path!r}")


class BtrfsSubvolumes:
    """The subvolumes of one storage folder on one btrfs."""

    def __init__(self, attributes: BtrfsAttributes, folder: Path, process: Process) -> None:
        self._top = Path(attributes.path) if attributes.path else folder
        self._folder = self._top / "undercroft" / folder.name if attributes.path else folder / "btrfs"
        self._snapshots = self._folder / "snapshots"
        self._notes = folder / "btrfs-made"
        self._process = process

    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        """Make the subvolume with its quota, or find the one made before."""
        own = self._own(params.filesystem)
        if not await in_thread(_is_subvolume, own):
            await self._prepare(own)
            await in_thread(_check_free, own)
            await in_thread(check_room, self._folder, params.size_mib)
            part = own.with_name(f".{own.name}.part")
            await self._delete(part)
            await self._btrfs("subvolume", "create", part)
            await self._limit(part, params.size_mib)
            await in_thread(part.rename, own)
        else:  # More may be asked for than when it was made, and not yet recorded.
            await self._limit(own, params.size_mib)
        return FilesystemInfo(provider_id=own.name, size_mib=params.size_mib)

    async def attach(self, params: AttachParams) -> AttachInfo:
        """Bind the subvolume to where it is wanted, or see that it is."""
        if params.path is None:
            raise NotValidError("a btrfs subvolume needs a mount point", field="path")
        own = self._own(params.entity)
        if not await in_thread(_is_subvolume, own):
            await in_thread(_check_btrfs, self._top)
            raise PermanentError(f"{own} is missing, or no subvolume")
        await in_thread(mounts.ensure_bound, own, params.path, read_only=params.read_only)
        return AttachInfo(path=str(params.path), read_only=params.read_only)

    async def detach(self, params: AttachParams) -> None:
        """Undo that; nothing if it is not bound."""
        if params.path is not None:
            await in_thread(mounts.undo_bound, self._own(params.entity), params.path)

    async def destroy(self, filesystem: FilesystemId) -> None:
        """Destroy the subvolume and its snapshots; nothing if they are gone."""
        own, note = self._own(filesystem), self._note(filesystem)
        if await in_thread(note.exists):  # What was made, and cannot be seen now, is not taken for gone.
            await in_thread(_check_btrfs, self._top)
        for snapshot in await in_thread(_all, self._snapshots, f"{own.name}@*"):
            await self._delete(snapshot)
        await self._delete(own.with_name(f".{own.name}.part"))
        await self._delete(own)
        await in_thread(note.unlink, missing_ok=True)

    async def release(self, entity: VolumeId | FilesystemId) -> None:
        """Leave the subvolume and its snapshots as they are."""
        await in_thread(self._note(entity).unlink, missing_ok=True)

    async def grow(self, entity: VolumeId | FilesystemId, size_mib: int) -> FilesystemInfo:
        """Raise the quota."""
        own = self._own(entity)
        await self._limit(own, size_mib)
        return FilesystemInfo(provider_id=own.name, size_mib=size_mib)

    async def snapshot(self, entity: VolumeId | FilesystemId, name: str) -> str:
        """Make a snapshot that nobody can write to, or find the one made before."""
        target = self._snapshot(entity, name)
        if not await in_thread(_is_subvolume, target):
            await in_thread(self._snapshots.mkdir, mode=0o700, parents=True, exist_ok=True)
            await self._btrfs("subvolume", "snapshot", "-r", self._own(entity), target)
        return f"snapshots/{target.name}"

    async def remove_snapshot(self, entity: VolumeId | FilesystemId, name: str) -> None:
        """Destroy a snapshot; nothing if it is gone."""
        await self._delete(self._snapshot(entity, name))

    async def import_existing(self, entity: VolumeId | FilesystemId, provider_id: str) -> FilesystemInfo:
        """Take a subvolume beside ours (`filesystem-0-3`), or make one of a snapshot (`snapshots/filesystem-0-3@x`).

        A subvolume has its new name from then on; a snapshot stays as it is.
        """
        own = self._own(entity)
        if not await in_thread(_is_subvolume, own):
            await self._prepare(own)
            await self._take(self._named(provider_id), own)
        usage = await self.usage(FilesystemId.parse(str(entity)))
        return FilesystemInfo(provider_id=own.name, size_mib=usage.size_bytes // MIB)

    async def usage(self, filesystem: FilesystemId) -> Usage:
        """How much of its quota is used. A btrfs has no limit of inodes."""
        own = self._own(filesystem)
        used, limit = await self._quota(own)
        return Usage(size_bytes=limit or await in_thread(_total, own), used_bytes=used)

    def _own(self, entity: VolumeId | FilesystemId) -> Path:
        if not isinstance(entity, FilesystemId):
            raise PermanentError(f"{entity} is not a filesystem")
        return self._folder / file_name(entity)

    def _note(self, entity: VolumeId | FilesystemId) -> Path:
        return self._notes / self._own(entity).name

    def _snapshot(self, entity: VolumeId | FilesystemId, name: str) -> Path:
        if not name or "/" in name or "\0" in name or name.startswith("."):
            raise PermanentError(f"{name!r} cannot be a snapshot's name")
        return self._snapshots / f"{self._own(entity).name}@{name}"

    def _named(self, provider_id: str) -> Path:
        folder, _, name = provider_id.rpartition("/")
        if folder not in ("", "snapshots") or not name or name.startswith("."):
            message = f"{provider_id!r} is no subvolume's id: `filesystem-0-3`, or `snapshots/filesystem-0-3@NAME`"
            raise PermanentError(message)
        return self._folder / folder / name

    async def _take(self, source: Path, own: Path) -> None:
        if not await in_thread(_is_subvolume, source):
            raise PermanentError(f"{source} is missing, or no subvolume")
        if source.parent == self._folder:
            if await in_thread(_mounted, source):
                raise PermanentError(f"{source} is mounted: it is somebody's")
            await in_thread(source.rename, own)
        else:
            part = own.with_name(f".{own.name}.part")
            await self._delete(part)
            await self._btrfs("subvolume", "snapshot", source, part)
            limit = (await self._limit_of(source)) or "none"
            await self._btrfs("qgroup", "limit", limit, part)
            await in_thread(part.rename, own)

    async def _limit_of(self, snapshot: Path) -> str:
        """The quota that what a snapshot was made of has; empty if that is gone, or has none."""
        origin = self._folder / snapshot.name.partition("@")[0]
        if not await in_thread(_is_subvolume, origin):
            return ""
        _, limit = await self._quota(origin)
        return str(limit or "")

    async def _quota(self, subvolume: Path) -> tuple[int, int]:
        """How much a subvolume has, and how much it may have, in bytes; 0 if as much as there is room for."""
        done = await self._btrfs("qgroup", "show", "-r", "-f", "--raw", subvolume)
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            # 0/256  referenced  exclusive  max-referenced  path
            words = line.split()
            if len(words) >= 4 and words[0].startswith("0/"):
                return int(words[1]), int(words[3]) if words[3].isdecimal() else 0
        raise NotFoundError(subvolume.name, f"there is no quota of {subvolume}")

    async def _prepare(self, own: Path) -> None:
        await in_thread(_check_btrfs, self._top)
        await in_thread(self._notes.mkdir, mode=0o700, parents=True, exist_ok=True)
        await in_thread((self._notes / own.name).touch)
        await in_thread(self._folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        await self._btrfs("quota", "enable", self._top)

    async def _limit(self, subvolume: Path, size_mib: int) -> None:
        await self._btrfs("qgroup", "limit", str(size_mib * MIB), subvolume)

    async def _delete(self, subvolume: Path) -> None:
        """Delete a subvolume, those that were made in it first, and its quota; nothing if it is gone."""
        if not await in_thread(_is_subvolume, subvolume):
            return
        if await in_thread(_mounted, subvolume):
            raise PermanentError(f"{subvolume} is mounted: it is not destroyed before that is undone")
        for inner in await in_thread(_inner, subvolume):
            await self._btrfs("subvolume", "delete", inner)
        number = (await self._btrfs("inspect-internal", "rootid", subvolume)).stdout.decode().strip()
        await self._btrfs("subvolume", "delete", subvolume)
        try:
            await self._btrfs("qgroup", "destroy", f"0/{number}", self._top)
        except CommandFailedError:
            return  # Newer kernels do it by themselves; what stays is a line in a list.

    async def _btrfs(self, *words: str | Path) -> Completed:
        try:
            return await self._process.run(["btrfs", *map(str, words)], timeout=BTRFS_SECONDS)
        except LookupError as error:
            raise PermanentError("cannot work with subvolumes: btrfs is missing; install btrfs-progs") from error


def _check_btrfs(top: Path) -> None:
    """Raise NotFoundError while there is no btrfs there: it may only not be mounted yet."""
    if _kind(top) != "btrfs":
        message = f"{top} is not on a btrfs: mount one there, or have the pool name a folder on one (path=/...)"
        raise NotFoundError(str(top), message)


def _kind(path: Path) -> str:
    """The type of the filesystem that a path is on; of the nearest folder that is there."""
    there = next((each for each in (path, *path.parents) if each.exists()), Path("/"))
    real = there.resolve()
    inside = [mount for mount in mountinfo.read() if real.is_relative_to(mount.target)]
    return max(inside, key=lambda mount: len(Path(mount.target).parts)).filesystem_type if inside else ""


def _is_subvolume(path: Path) -> bool:
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return found.st_ino == SUBVOLUME_INODE and path.is_dir() and not path.is_symlink()


def _check_free(own: Path) -> None:
    if own.exists() or own.is_symlink():
        raise PermanentError(f"{own} is there, and is no subvolume of ours")


def _inner(subvolume: Path) -> list[Path]:
    """The subvolumes in a subvolume, the innermost first."""
    found = []
    for folder, _, _ in os.walk(subvolume, topdown=False, followlinks=False):
        inner = Path(folder)
        if inner != subvolume and _is_subvolume(inner):
            found.append(inner)
    return found


def _all(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


def _mounted(subvolume: Path) -> bool:
    """Whether it is bound somewhere else."""
    number = subvolume.stat().st_dev
    for mount in mountinfo.read():
        if mount.filesystem_type != "btrfs":
            continue
        try:
            found = Path(mount.target).stat()
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (number, SUBVOLUME_INODE) and Path(mount.target) != subvolume:
            return True
    return False


def _total(path: Path) -> int:
    found = os.statvfs(path)
    return found.f_blocks * found.f_frsize
