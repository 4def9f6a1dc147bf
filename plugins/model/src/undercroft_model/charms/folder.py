"""Make a charm's folder an archive, always the same bytes for the same files."""

from __future__ import annotations

import os
import re
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pathspec

from undercroft_model.charms.archive import CHUNK_BYTES, UNIX, Limits
from undercroft_model.charms.errors import ArchiveError
from undercroft_model.charms.paths import UnsafeName, check_links, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import IO

IGNORE_FILE = ".jujuignore"
IGNORED = (
    *(".git", ".svn", ".hg", ".bzr", ".tox", ".venv", ".jujuignore", "__pycache__", "*.pyc"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache", ".coverage", "/build/", "/*.charm"),
    # What a unit's agent and a running charm keep in their folder.
    *("/.juju-charm", "/.juju-deploying", "/.unit-state.db", "/.juju-persistent-config"),
)
"""What never becomes part of a charm, in the words of .gitignore; a charm's .jujuignore adds to it, or excepts."""

HOOK = re.compile(r"[a-z0-9_-]+")
"""The name of a hook, as opposed to that of a module beside it."""

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every entry: the first that a zip can have."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file, folder or link of a source folder."""

    parts: tuple[str, ...]
    path: Path
    mode: int
    size: int = 0
    target: str = ""

    @property
    def name(self) -> str:
        """Its path within the folder."""
        return "/".join(self.parts)

    @property
    def is_link(self) -> bool:
        """It is a symbolic link."""
        return stat.S_ISLNK(self.mode)

    @property
    def is_folder(self) -> bool:
        """It is a folder."""
        return stat.S_ISDIR(self.mode)


def items(folder: Path, *, ignored: Sequence[str] = IGNORED, limits: Limits | None = None) -> tuple[Item, ...]:
    """What of a folder is the charm's, sorted. This blocks: call it in a thread.

    Modes are as in an archive: 0755 for what the owner may execute, else 0644. Hooks that nobody has made executable
    become so, as Juju does it.

    Raises:
        ArchiveError: there is something that no charm may have in it, such as a link that leads out, or a device.
    """
    limits = limits or Limits()
    found: list[Item] = []
    left = limits.total_bytes
    for item in _walk(folder, (), _spec(folder, ignored)):
        found.append(item)
        left -= item.size
        if left < 0 or len(found) > limits.entries:
            problem = f"has more than {limits.entries} files or {limits.total_bytes} bytes; list what is none of the "
            raise ArchiveError(folder, f"{problem}charm's in {IGNORE_FILE}")
    try:
        check_links({item.parts: item.target for item in found if item.is_link})
    except UnsafeName as error:
        raise ArchiveError(folder, str(error)) from None
    return tuple(sorted(found, key=lambda item: item.parts))


def write_archive(found: Sequence[Item], file: IO[bytes]) -> None:
    """Write an archive of these. This blocks: call it in a thread.

    Raises:
        ArchiveError: one of them has gone or cannot be read.
    """
    with zipfile.ZipFile(file, "w") as zipped:
        for item in found:
            try:
                _add(zipped, item)
            except OSError as error:
                raise ArchiveError(item.path, f"cannot be read ({error.strerror})") from error


def _spec(folder: Path, ignored: Sequence[str]) -> pathspec.GitIgnoreSpec:
    try:
        own = (folder / IGNORE_FILE).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        own = []
    except OSError as error:
        raise ArchiveError(folder / IGNORE_FILE, f"cannot be read ({error.strerror})") from error
    return pathspec.GitIgnoreSpec.from_lines([*ignored, *own])


def _walk(folder: Path, above: tuple[str, ...], spec: pathspec.GitIgnoreSpec) -> Iterator[Item]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise ArchiveError(folder, f"cannot be read ({error.strerror})") from error
    for entry in entries:
        parts = (*above, entry.name)
        is_folder = entry.is_dir(follow_symlinks=False)
        if spec.match_file("/".join(parts) + ("/" if is_folder else "")):
            continue
        yield _item(entry, parts)
        if is_folder:
            yield from _walk(Path(entry.path), parts, spec)


def _item(entry: os.DirEntry[str], parts: tuple[str, ...]) -> Item:
    path = Path(entry.path)
    try:
        parts_of("/".join(parts))
        found = entry.stat(follow_symlinks=False)
    except UnsafeName as error:
        raise ArchiveError(path, f"has {error}") from None
    except OSError as error:
        raise ArchiveError(path, f"cannot be read ({error.strerror})") from error
    if stat.S_ISLNK(found.st_mode):
        return Item(parts, path, stat.S_IFLNK | 0o777, target=str(path.readlink()))
    if stat.S_ISDIR(found.st_mode):
        return Item(parts, path, stat.S_IFDIR | 0o755)
    if not stat.S_ISREG(found.st_mode):
        raise ArchiveError(path, "is neither a file, a folder nor a symbolic link")
    is_hook = parts == ("dispatch",) or (parts[:-1] == ("hooks",) and HOOK.fullmatch(entry.name) is not None)
    mode = 0o755 if is_hook or found.st_mode & stat.S_IXUSR else 0o644
    return Item(parts, path, stat.S_IFREG | mode, size=found.st_size)


def _add(zipped: zipfile.ZipFile, item: Item) -> None:
    info = zipfile.ZipInfo(item.name + ("/" if item.is_folder else ""), EPOCH)
    info.create_system = UNIX
    info.external_attr = item.mode << 16 | (0x10 if item.is_folder else 0)
    if item.is_folder:
        zipped.writestr(info, b"")
    elif item.is_link:
        zipped.writestr(info, os.fsencode(item.target))
    else:
        info.compress_type = zipfile.ZIP_DEFLATED
        info.file_size = item.size
        fd = os.open(item.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as source, zipped.open(info, "w") as target:
            while chunk := source.read(CHUNK_BYTES):
                target.write(chunk)
