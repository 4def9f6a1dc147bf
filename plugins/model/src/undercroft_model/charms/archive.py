"""Read a charm's archive, a zip that nobody vouches for: first all of its table of contents, then its content.

What is refused, before anything is written: names that lead out (`..`, absolute ones), symbolic links that do, also by
way of one another, entries twice or beneath a file or a link, devices, sockets and pipes, encryption, and whatever is
more than `Limits` allows. Sizes are taken for what the archive claims and counted again while reading, so that a bomb
that lies is found, too. Modes are the owner's: what he may execute is 0755, the rest 0644; set-uid bits are dropped.
"""

from __future__ import annotations

import stat
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft_model.charms.errors import ArchiveError
from undercroft_model.charms.paths import MAX_PATH_BYTES, UnsafeName, check_links, follow, parts_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

CHUNK_BYTES = 1024 * 1024
UNIX = 3
EXECUTED = ("dispatch", "hooks", "actions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a charm may be.

    `ratio` is how many times its packed size an entry may become; below `small_bytes` nobody asks.
    """

    total_bytes: int = 4 * 1024**3
    entries: int = 200_000
    ratio: float = 250.0
    small_bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Member:
    """One entry: a folder, a file with its mode, or a symbolic link with its target."""

    parts: tuple[str, ...]
    mode: int
    size: int = 0
    target: str | None = None
    info: zipfile.ZipInfo | None = None

    @property
    def name(self) -> str:
        """Its path, without a slash at the end."""
        return "/".join(self.parts)

    @property
    def is_folder(self) -> bool:
        """It is a folder."""
        return stat.S_ISDIR(self.mode)


class Archive:
    """An open archive whose table of contents has been found to be safe; for one thread at a time."""

    def __init__(self, path: Path, zipped: zipfile.ZipFile, limits: Limits) -> None:
        self._path, self._zip, self._limits = path, zipped, limits
        infos = zipped.infolist()
        if len(infos) > limits.entries:
            raise ArchiveError(path, f"has {len(infos)} entries; a charm has at most {limits.entries}")
        self._left = limits.total_bytes
        self._members = {member.parts: member for info in infos if (member := self._member(info)).parts}
        if len(self._members) < sum(1 for info in infos if parts_of(info.filename)):
            raise self._twice(infos)
        self._check_tree()

    @property
    def members(self) -> tuple[Member, ...]:
        """The entries, folders that only others' names imply among them; each behind the folder that it is in."""
        return tuple(self._members[parts] for parts in sorted(self._members))

    def read(self, name: str, *, limit: int) -> bytes | None:
        """The content of a small file, or of the one that a link of that name leads to; None where there is none.

        Raises:
            ArchiveError: it is larger than the limit, or damaged.
        """
        member = self._members.get(tuple(name.split("/")))
        if member is not None and member.target is not None:
            member = self._members.get(follow(member.parts[:-1], member.target, self._links()))
        if member is None or member.info is None:
            return None
        if member.size > limit:
            raise ArchiveError(self._path, f"is larger than {limit} bytes", entry=name)
        return b"".join(self.chunks(member))

    def chunks(self, member: Member) -> Iterator[bytes]:
        """The content of a file.

        Raises:
            ArchiveError: it is damaged, or more than the archive said.
        """
        assert member.info is not None
        left = member.size
        with self._understood(member.name), self._zip.open(member.info) as file:
            while chunk := file.read(CHUNK_BYTES):
                left -= len(chunk)
                if left < 0:
                    raise ArchiveError(self._path, "is larger than the archive says", entry=member.name)
                yield chunk

    def _member(self, info: zipfile.ZipInfo) -> Member:
        try:
            parts = parts_of(info.filename)
        except UnsafeName as error:
            raise ArchiveError(self._path, f"has {error}", entry=info.filename) from None
        self._check_size(info)
        kind = _kind(info)
        if stat.S_ISLNK(kind):
            return Member(parts, kind | 0o777, target=self._target(info))
        if stat.S_ISDIR(kind):
            return Member(parts, kind | 0o755)
        if not stat.S_ISREG(kind):
            raise ArchiveError(self._path, "is neither a file, a folder nor a symbolic link", entry=info.filename)
        return Member(parts, kind | _permissions(info, parts), size=info.file_size, info=info)

    def _check_size(self, info: zipfile.ZipInfo) -> None:
        if info.flag_bits & 0x1:
            raise ArchiveError(self._path, "is encrypted", entry=info.filename)
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise ArchiveError(
                self._path, f"is compressed in an unusual way ({info.compress_type})", entry=info.filename
            )
        limits, size = self._limits, info.file_size
        if size > limits.small_bytes and size > limits.ratio * max(1, info.compress_size):
            raise ArchiveError(
                self._path, f"becomes {size} bytes, over {limits.ratio:g} times its packed size", entry=info.filename
            )
        self._left -= size
        if self._left < 0:
            raise ArchiveError(self._path, f"becomes more than {limits.total_bytes} bytes; a charm has to be smaller")

    def _target(self, info: zipfile.ZipInfo) -> str:
        if info.file_size > MAX_PATH_BYTES:
            raise ArchiveError(self._path, "is a symbolic link to too long a path", entry=info.filename)
        with self._understood(info.filename):
            return self._zip.read(info).decode("utf-8", "surrogateescape")

    def _twice(self, infos: list[zipfile.ZipInfo]) -> ArchiveError:
        seen: set[tuple[str, ...]] = set()
        for info in infos:
            parts = parts_of(info.filename)
            if parts and parts in seen:
                return ArchiveError(self._path, "is in the archive twice", entry=info.filename)
            seen.add(parts)
        raise AssertionError("an entry is there twice")

    def _check_tree(self) -> None:
        """Entries lie in folders only, and links end inside."""
        for parts in tuple(self._members):
            for depth in range(1, len(parts)):
                above = self._members.setdefault(parts[:depth], Member(parts[:depth], stat.S_IFDIR | 0o755))
                if not above.is_folder:
                    raise ArchiveError(self._path, f"lies in {above.name}, which is no folder", entry="/".join(parts))
        try:
            check_links(self._links())
        except UnsafeName as error:
            raise ArchiveError(self._path, str(error)) from None

    def _links(self) -> dict[tuple[str, ...], str]:
        return {member.parts: member.target for member in self._members.values() if member.target is not None}

    @contextmanager
    def _understood(self, entry: str) -> Iterator[None]:
        """Turn what a damaged archive makes of the reader into an ArchiveError."""
        try:
            yield
        except ArchiveError:
            raise
        except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
            raise ArchiveError(self._path, f"is damaged ({error})", entry=entry) from error
        except OSError as error:
            raise ArchiveError(self._path, f"cannot be read ({error.strerror})", entry=entry) from error


@contextmanager
def open_archive(path: Path, limits: Limits | None = None) -> Iterator[Archive]:
    """Open a charm's archive. This blocks: call it, and all of the archive, in a thread.

    Raises:
        ArchiveError: it cannot be opened, is no zip, or is not safe.
    """
    with _file(path) as file, _zipped(path, file) as zipped:
        yield Archive(path, zipped, limits or Limits())


def _file(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise ArchiveError(path, f"cannot be opened ({error.strerror})") from error


def _zipped(path: Path, file: IO[bytes]) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise ArchiveError(path, f"is no charm: it cannot be read as a zip ({error})") from error
    except OSError as error:
        raise ArchiveError(path, f"cannot be read ({error.strerror})") from error


def _kind(info: zipfile.ZipInfo) -> int:
    """The type of an entry, as a file's mode has it. A zip made elsewhere than on Unix knows files and folders."""
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == UNIX else 0
    if info.filename.endswith("/"):
        return stat.S_IFDIR if kind in {0, stat.S_IFDIR, stat.S_IFREG} and not info.file_size else 0
    return kind or stat.S_IFREG


def _permissions(info: zipfile.ZipInfo, parts: tuple[str, ...]) -> int:
    if info.create_system == UNIX and info.external_attr >> 16:
        return 0o755 if (info.external_attr >> 16) & stat.S_IXUSR else 0o644
    return 0o755 if parts[0] in EXECUTED else 0o644
