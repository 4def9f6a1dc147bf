"""Put a charm's archive into a folder, whatever is in that folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from typing import TYPE_CHECKING

from undercroft.files import in_thread
from undercroft_hookspecs.errors import NotValidError
from undercroft_model.charms.archive import Archive, Limits, Member, open_archive

if TYPE_CHECKING:
    from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


async def unpack(archive: Path, to: Path, *, limits: Limits | None = None) -> tuple[str, ...]:
    """Unpack an archive over the folder `to`, which is made if need be, and give the sorted paths that are the charm's.

    Files and links replace whatever has their name, folders merge; the rest of what is in `to` stays. A file that is
    replaced is so at once, so that a program that runs from it goes on. The archive is judged whole before anything is
    written; nothing is written outside `to`, whatever links are in there. What an interruption leaves is put right by
    the next call. Cancelling waits for it to end.

    Raises:
        ArchiveError: the archive is not safe or is damaged.
        NotValidError: `to` is not a folder.
    """
    return await in_thread(_unpack, archive, to, limits)


def _unpack(path: Path, to: Path, limits: Limits | None) -> tuple[str, ...]:
    with open_archive(path, limits) as archive:
        try:
            to.mkdir(mode=0o755, parents=True, exist_ok=True)
            root = os.open(to, _FOLDER)
        except (FileExistsError, NotADirectoryError) as error:
            raise NotValidError(f"a charm cannot be unpacked to {to}: it is no folder", field="to") from error
        with contextlib.closing(_Target(root)) as target:
            for member in archive.members:
                target.put(archive, member)
        return tuple(member.name for member in archive.members)


class _Target:
    """The folder that is written to. Each step down is taken by name from an open folder, never through a link."""

    def __init__(self, root: int) -> None:
        self._open: list[tuple[str, int]] = [("", root)]

    def close(self) -> None:
        """Let go of the folders."""
        while self._open:
            os.close(self._open.pop()[1])

    def put(self, archive: Archive, member: Member) -> None:
        """Put one entry into place; its folder has been."""
        folder = self._enter(member.parts[:-1])
        name = member.parts[-1]
        if member.is_folder:
            _make_folder(folder, name)
        elif member.target is not None:
            _remove(folder, name)
            os.symlink(member.target, name, dir_fd=folder)
        else:
            _write(folder, name, archive, member)

    def _enter(self, parts: tuple[str, ...]) -> int:
        """The open folder of that path. Entries come sorted, so the one before is mostly the same."""
        path = ("", *parts)
        common = 0
        while common < min(len(path), len(self._open)) and path[common] == self._open[common][0]:
            common += 1
        while len(self._open) > common:
            os.close(self._open.pop()[1])
        for part in path[common:]:
            self._open.append((part, os.open(part, _FOLDER, dir_fd=self._open[-1][1])))
        return self._open[-1][1]


def _make_folder(folder: int, name: str) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=folder)
    except FileExistsError:
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return
        os.unlink(name, dir_fd=folder)
        os.mkdir(name, 0o755, dir_fd=folder)


def _write(folder: int, name: str, archive: Archive, member: Member) -> None:
    temporary = f".{name[:200]}.unpacking"
    _remove(folder, temporary)
    fd = os.open(temporary, _NEW, 0o600, dir_fd=folder)
    try:
        with os.fdopen(fd, "wb") as file:
            for chunk in archive.chunks(member):
                file.write(chunk)
            os.fchmod(fd, stat.S_IMODE(member.mode))
        _remove_folder(folder, name)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        _remove(folder, temporary)
        raise


def _remove(folder: int, name: str) -> None:
    _remove_folder(folder, name)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _remove_folder(folder: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=folder)
