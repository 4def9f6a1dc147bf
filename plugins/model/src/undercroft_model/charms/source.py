"""Take a charm from where a person has it: a `.charm` archive or a folder."""

from __future__ import annotations

import hashlib
import tempfile
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft.files import in_thread
from undercroft_hookspecs.errors import NotFoundError
from undercroft_model.charms.archive import CHUNK_BYTES, Limits, open_archive
from undercroft_model.charms.document import MAX_BYTES
from undercroft_model.charms.errors import ArchiveError
from undercroft_model.charms.folder import items, write_archive
from undercroft_model.charms.parse import CHARMCRAFT, FILES, METADATA, parse_charm

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from undercroft_hookspecs.charm import Charm
    from undercroft_model.charms.archive import Archive


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenCharm:
    """A charm that has been read, and its archive, which is a file for as long as `take` is open."""

    charm: Charm
    archive: Path


@asynccontextmanager
async def take(path: Path, *, limits: Limits | None = None) -> AsyncIterator[TakenCharm]:
    """Read a charm, whole: all its files are parsed, all its entries are found to be safe and sound.

    Of a folder an archive is made, in a temporary place, whose SHA-256 depends on the files' names, content and
    executability alone. The archive `path` itself is what is to be kept of an archive.

    Raises:
        NotFoundError: there is nothing at `path`.
        ArchiveError: it is no charm, or not a safe one.
        CharmFileError: one of the charm's files is not right.
    """
    if not await in_thread(path.exists):
        raise NotFoundError(str(path), f"{path}: there is no such charm archive or folder")
    if not await in_thread(path.is_dir):
        yield TakenCharm(charm=await in_thread(_read_archive, path, limits, sound=True), archive=path)
        return
    folder = await in_thread(_temporary)
    try:
        archive = Path(folder.name, "charm.charm")
        charm = await in_thread(_fold, path, archive, limits)
        yield TakenCharm(charm=charm, archive=archive)
    finally:
        await in_thread(folder.cleanup)


async def read_charm(path: Path, *, limits: Limits | None = None) -> Charm:
    """The charm in an archive or a folder; of a folder only the files are read that describe it, and it has no SHA-256.

    Raises:
        As `take`.
    """
    if not await in_thread(path.exists):
        raise NotFoundError(str(path), f"{path}: there is no such charm archive or folder")
    return await in_thread(_read_quickly, path, limits)


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="undercroft-charm-")


def _read_archive(path: Path, limits: Limits | None, *, sound: bool) -> Charm:
    """Read an archive; if it is to be `sound`, all of it: damage is to be found now, not when a unit unpacks it."""
    digest = hashlib.sha256()
    with open_archive(path, limits) as archive:
        for member in archive.members if sound else ():
            if member.info is not None:
                deque(archive.chunks(member), maxlen=0)
        files = _files_of_archive(path, archive)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
        size = file.tell()
    return parse_charm(files, sha256=digest.hexdigest(), size_bytes=size, where=f"{path}/")


def _read_quickly(path: Path, limits: Limits | None) -> Charm:
    if path.is_dir():
        return parse_charm(_files(path, lambda name: _read_file(path, name)), where=f"{path}/")
    with open_archive(path, limits) as archive:
        return parse_charm(_files_of_archive(path, archive), where=f"{path}/")


def _fold(folder: Path, to: Path, limits: Limits | None) -> Charm:
    # What describes the charm comes first: nobody need wait for gigabytes to learn of a typing error.
    _read_quickly(folder, limits)
    with to.open("wb") as file:
        write_archive(items(folder, limits=limits), file)
    return _read_archive(to, limits, sound=False)


def _read_file(folder: Path, name: str) -> bytes | None:
    file = folder / name
    try:
        if not file.resolve().is_relative_to(folder.resolve()):
            raise ArchiveError(file, "is a symbolic link out of the charm")
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArchiveError(file, f"cannot be read ({error.strerror})") from error
    return data


def _files_of_archive(path: Path, archive: Archive) -> dict[str, bytes]:
    inner = [member.name for member in archive.members if member.parts[1:] == (METADATA,)]
    hint = f" (there is {inner[0]}: the charm's files have to be at the top)" if inner else ""
    return _files(path, lambda name: archive.read(name, limit=MAX_BYTES), hint=hint)


def _files(path: Path, read: Callable[[str], bytes | None], *, hint: str = "") -> dict[str, bytes]:
    files = {name: data for name in FILES if (data := read(name)) is not None}
    if METADATA not in files and CHARMCRAFT not in files:
        raise ArchiveError(path, f"is no charm: it has no {METADATA}{hint}")
    return files
