"""Mounts that follow no symbolic link and hide nothing of the system's, and what holds one that cannot be undone."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft.linux import mountinfo
from undercroft_hookspecs import NotValidError, PermanentError, UndercroftError
from undercroft_hookspecs.storage import NOT_THEMSELVES, SYSTEM_FOLDERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MADE = "user.undercroft.made"
"""The extended attribute of folders that were made on the way to a mount point: they go with the last one in them."""
MS_RDONLY, MS_REMOUNT, MS_BIND = 1, 32, 4096
UMOUNT_NOFOLLOW = 8

_TRIES = 5
"""How often a folder may vanish on the way, which another one's mount point was removed with."""
_libc = ctypes.CDLL(None, use_errno=True)


class MountBusyError(UndercroftError):
    """A mount cannot be undone, for `holders` use it: what each is, and its process id."""

    def __init__(self, path: Path, holders: Sequence[str]) -> None:
        super().__init__(path, holders)
        self.path, self.holders = path, tuple(holders)

    def __str__(self) -> str:
        who = ", ".join(self.holders) or "nobody who can be seen: perhaps another mount in it, or the kernel"
        return f"{self.path} is busy; it is held by {who}"


def open_mount_point(path: Path, *, make: bool) -> int:
    """Open the folder at `path`, by none of whose parts being a symbolic link; what is missing can be made (0755).

    Raises:
        NotValidError: it is the system's, not absolute and plain, or a part of it is a link or no folder.
        FileNotFoundError: it is not there, and is not to be made.
    """
    check_place(path)
    for _ in range(_TRIES):
        with contextlib.suppress(FileNotFoundError):
            return _opened(path, make=make)
        if not make:
            break
    return _opened(path, make=make)


def _opened(path: Path, *, make: bool) -> int:
    opened = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in path.parts[1:]:
        outer = opened
        try:
            if make:
                _make(part, outer)
            opened = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=outer)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENOTDIR):
                message = f"{path} cannot be a mount point: {part!r} in it is a symbolic link, or no folder"
                raise NotValidError(message, field="path") from error
            raise
        finally:
            os.close(outer)
    return opened


def check_place(path: Path) -> None:
    """Refuse what nothing may be mounted on. Raises NotValidError."""
    text = str(path)
    if not path.is_absolute() or ".." in path.parts or any(ord(letter) < 32 for letter in text):
        raise NotValidError(f"{text!r} cannot be a mount point: it is not absolute and plain", field="path")
    if text in NOT_THEMSELVES or any(path.is_relative_to(folder) for folder in SYSTEM_FOLDERS):
        raise NotValidError(f"{text} cannot be a mount point: it is the system's", field="path")


def at(path: Path) -> mountinfo.Mount | None:
    """What is mounted just there, the last of several."""
    found = all_at(path)
    return found[-1] if found else None


def all_at(path: Path) -> list[mountinfo.Mount]:
    """All that is mounted just there, each over the one before."""
    return [mount for mount in mountinfo.read() if mount.target == str(path)]


def taken(mount: mountinfo.Mount, wanted: object) -> str:
    """What is said of a place where something else is mounted than what is wanted there, and what to do."""
    found = f"{mount.source} ({mount.filesystem_type}) is mounted there ({mount.major}:{mount.minor}, {mount.root})"
    return f"{mount.target} is taken: {found}, not {wanted}: unmount it (umount {mount.target})"


def is_of_folder(mount: mountinfo.Mount, folder: Path) -> bool:
    """Whether a mount shows a folder, which may have been removed meanwhile."""
    root = mount.root.removesuffix("//deleted")
    if root != mount.root:
        return f"{folder}".endswith(root)  # What is before that may be a mount point.
    return folder.exists() and folder.samefile(mount.target)


def mount(source: str, path: Path, kind: str, *, read_only: bool = False, options: str = "") -> None:
    """Mount a filesystem on a folder that is made if it is missing.

    Raises:
        NotValidError: nothing may be mounted there, or something is in the folder.
        OSError: the kernel refuses.
    """
    folder = open_mount_point(path, make=True)
    try:
        _refuse_content(folder, path)
        _call(source, f"/proc/self/fd/{folder}", kind, MS_RDONLY if read_only else 0, options, path)
    finally:
        os.close(folder)


def bind(source: Path, path: Path, *, read_only: bool = False) -> None:
    """Show a folder at another place, too; as `mount`."""
    inner = open_mount_point(source, make=False)
    try:
        folder = open_mount_point(path, make=True)
        try:
            _refuse_content(folder, path)
            _call(f"/proc/self/fd/{inner}", f"/proc/self/fd/{folder}", "", MS_BIND, "", path)
        finally:
            os.close(folder)
        if read_only:
            again = open_mount_point(path, make=False)
            try:
                _call("", f"/proc/self/fd/{again}", "", MS_REMOUNT | MS_BIND | MS_RDONLY, "", path)
            finally:
                os.close(again)
    finally:
        os.close(inner)


def ensure_bound(source: Path, path: Path, *, read_only: bool = False) -> None:
    """As `bind`; nothing if it is. Raises PermanentError: something else is mounted there."""
    there = at(path)
    if there is None:
        bind(source, path, read_only=read_only)
    elif not is_of_folder(there, source):
        raise PermanentError(taken(there, source))


def undo_bound(source: Path, path: Path) -> None:
    """Undo that, though the folder may have been removed; what else is mounted there stays.

    Raises:
        MountBusyError: somebody uses it, or something else is mounted over it.
    """
    while (there := at(path)) is not None and is_of_folder(there, source):
        unmount(path)
    if there is None:
        remove_mount_point(path)
    elif any(f"{source}".endswith(covered.root) for covered in all_at(path)[:-1]):
        raise MountBusyError(path, [f"{there.source}, which is mounted over it (umount {path})"])


def unmount(path: Path) -> None:
    """Undo the last mount there; nothing if there is none, or no such folder.

    Raises:
        MountBusyError: somebody uses it.
    """
    there = at(path)
    if there is None:
        return
    if _libc.umount2(os.fsencode(path), UMOUNT_NOFOLLOW) == 0:
        return
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOENT):
        return
    if code == errno.EBUSY:
        raise MountBusyError(path, list(holders(path)))
    raise OSError(code, os.strerror(code), str(path))


def remove_mount_point(path: Path) -> None:
    """Remove the folder that something was mounted on, if it is empty, and those that were made on the way to it."""
    try:
        path.rmdir()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EBUSY, errno.EROFS, errno.EEXIST):
            raise
    with contextlib.suppress(OSError):  # One that is not ours, or not empty, is the last.
        for folder in path.parents:
            os.getxattr(folder, MADE, follow_symlinks=False)
            folder.rmdir()


def holders(path: Path) -> Iterator[str]:
    """Who has something open in the filesystem that is mounted there, each as `name (pid 7)`."""
    device = path.stat().st_dev
    return _holders(lambda found: found.st_dev == device)


def holders_of_device(device: Path) -> Iterator[str]:
    """Who has a block device open, as `holders` does."""
    number = device.stat().st_rdev
    return _holders(lambda found: stat.S_ISBLK(found.st_mode) and found.st_rdev == number)


def _holders(is_it: Callable[[os.stat_result], bool]) -> Iterator[str]:
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _holds(process, is_it):
            try:
                name = (process / "comm").read_text().strip()
            except OSError:
                continue
            yield f"{name} (pid {process.name})"


def _holds(process: Path, is_it: Callable[[os.stat_result], bool]) -> bool:
    try:
        links = [process / "cwd", process / "root", process / "exe", *(process / "fd").iterdir()]
    except OSError:
        return False
    for link in links:
        try:
            if is_it(link.stat()):
                return True
        except OSError:
            continue
    return False


def _make(part: str, outer: int) -> None:
    try:
        os.mkdir(part, 0o755, dir_fd=outer)
    except FileExistsError:
        return
    with contextlib.suppress(OSError):  # Where there are no such attributes the folder stays.
        os.setxattr(f"/proc/self/fd/{outer}/{part}", MADE, b"1", follow_symlinks=False)


def _refuse_content(folder: int, path: Path) -> None:
    if any(Path(f"/proc/self/fd/{folder}").iterdir()):
        raise NotValidError(f"{path} cannot be a mount point: there is something in it", field="path")


def _call(source: str, target: str, kind: str, flags: int, options: str, path: Path) -> None:
    done = _libc.mount(
        os.fsencode(source), os.fsencode(target), os.fsencode(kind) or None, flags, os.fsencode(options) or None
    )
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"cannot mount {source or kind} on {path}: {os.strerror(code)}")
