"""The application's resources, as a hook gets them: each a file in a folder of its name, fetched when it is asked for.

What has been fetched is remembered beside the folder, with what the file looked like then, so that no large file is
read only to see that it is still the right one.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import msgspec

from undercroft.files import in_thread, write_atomic
from undercroft_hookspecs import NotValidError

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_hookspecs.facades import BlobFacade
    from undercroft_hookspecs.unit_facades import AttachedResource, ResourceFacade


class _Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What was fetched, and what its file looked like."""

    sha256: str
    filename: str
    size: int
    modified_ns: int
    inode: int


class HookResources:
    """The part `ResourcesContext`."""

    def __init__(self, folder: Path, resources: ResourceFacade, blobs: BlobFacade) -> None:
        self._folder, self._resources, self._blobs = folder, resources, blobs

    async def resource(self, name: str) -> Path:
        """The file of a resource, fetched if need be. Raises NotFoundError."""
        wanted = await self._resources.resource(_checked(name, "name"))
        path = self._folder / name / _checked(wanted.filename, "filename")
        note = self._folder / f".{name}.json"
        if not await in_thread(_is_there, path, note, wanted):
            await self._fetch(wanted, path, note)
        return path

    async def _fetch(self, wanted: AttachedResource, path: Path, note: Path) -> None:
        fresh = self._folder / f".{path.parent.name}.new"
        await in_thread(_make_empty, fresh)
        await self._blobs.fetch(wanted.sha256, fresh / path.name)
        await write_atomic(note, await in_thread(_put_in_place, fresh, path, wanted))


def _checked(name: str, field: str) -> str:
    """A name that can only be of something in the folder that it is looked for in."""
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise NotValidError(f"{name!r} cannot be the {field} of a resource", field=field)
    return name


def _is_there(path: Path, note: Path, wanted: AttachedResource) -> bool:
    try:
        fetched = msgspec.json.decode(note.read_bytes(), type=_Fetched)
        return fetched == _looks(path, wanted)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return False  # Fetched again, it is right whatever was wrong.


def _make_empty(fresh: Path) -> None:
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)


def _put_in_place(fresh: Path, path: Path, wanted: AttachedResource) -> bytes:
    (fresh / path.name).chmod(0o600)
    shutil.rmtree(path.parent, ignore_errors=True)
    fresh.rename(path.parent)
    return msgspec.json.encode(_looks(path, wanted))


def _looks(path: Path, wanted: AttachedResource) -> _Fetched:
    found = path.stat()
    return _Fetched(
        sha256=wanted.sha256,
        filename=wanted.filename,
        size=found.st_size,
        modified_ns=found.st_mtime_ns,
        inode=found.st_ino,
    )
