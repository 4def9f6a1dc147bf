"""The charm's folder: what is the charm's in it is known, path by path, so that an upgrade takes away just that.

A charm is staged (unpacked beside) and then moved into the folder, file by file. Three notes make each step repeatable:
which charm is staged, which one is on its way into the folder, and which one is there whole.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft.files import in_thread
from undercroft_hookspecs import NotValidError
from undercroft_hookspecs.records import Record
from undercroft_uniter.errors import DeployConflict
from undercroft_uniter.operation.state import CharmReference
from undercroft_uniter.statefile import read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from undercroft_hookspecs import CharmArchiveFacade

_REVISION = "revision"
"""The file that Juju writes the charm's revision to; charmhelpers' unitdata reads it."""


class Deployed(Record, frozen=True, kw_only=True):
    """A charm, and the paths that are the charm's, sorted: files, links and folders."""

    charm: CharmReference
    paths: tuple[str, ...]


class ManifestDeployer:
    """The seam `CharmDeployer`. The notes are in `notes`, the charm goes to `folder`."""

    def __init__(self, folder: Path, notes: Path, archives: CharmArchiveFacade) -> None:
        self._folder, self._notes, self._archives = folder, notes, archives
        self._tree = notes / "staged"
        self._staged, self._deploying, self._deployed = (
            notes / f"{name}.json" for name in ("staged", "deploying", "deployed")
        )

    async def stage(self, charm: CharmReference) -> None:
        """Fetch the charm, verify it and unpack it beside the charm's folder."""
        await in_thread(self._clear_stage)
        paths = await self._archives.unpack(charm.sha256, self._tree)
        await in_thread(self._write_revision, charm.url.rpartition("-")[2])
        await write_state(self._staged, Deployed(charm=charm, paths=tuple(sorted({*paths, _REVISION}))))

    async def deploy(self, charm: CharmReference) -> None:
        """Make the charm's folder hold this charm, and of the one before only what is no charm's.

        Raises:
            DeployConflict: the folder holds another charm, and cannot be changed.
            NotValidError: that charm is not staged.
            OSError: there is no charm yet, and none can be put there.
        """
        staged = await read_state(self._staged, Deployed)
        if staged is None or staged.charm != charm:
            raise NotValidError(f"charm {charm.url} is not staged", field="charm")
        base = await read_state(self._deployed, Deployed)
        try:
            await self._put(staged, base)
        except OSError as error:
            if base is None:
                raise
            raise DeployConflict(f"cannot upgrade to {charm.url}: {error}") from error

    async def deployed(self) -> CharmReference | None:
        """The charm that the folder holds whole; None where there is none, or one was on its way when we stopped."""
        found = await read_state(self._deployed, Deployed)
        is_whole = found is not None and await in_thread(self._is_whole)
        return found.charm if found is not None and is_whole else None

    async def _put(self, staged: Deployed, base: Deployed | None) -> None:
        interrupted = await read_state(self._deploying, Deployed)
        owned = set(base.paths) if base is not None else set()
        if interrupted is not None and interrupted.charm != staged.charm:
            owned |= set(interrupted.paths)
        await write_state(self._deploying, staged)
        await in_thread(self._replace, staged.paths, owned - set(staged.paths))
        await write_state(self._deployed, staged)
        await in_thread(self._finish)

    def _write_revision(self, revision: str) -> None:
        # What the charm brings itself may be a link to elsewhere, or a folder.
        _remove(self._tree / _REVISION)
        (self._tree / _REVISION).write_text(revision)

    def _replace(self, paths: Sequence[str], dropped: Iterable[str]) -> None:
        self._folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        for path in sorted(dropped):
            if not _is_behind_link(self._folder, path):
                _remove(self._folder / path)
        for path in sorted(paths):
            _move(self._tree / path, self._folder / path)
        _sync(self._folder)

    def _clear_stage(self) -> None:
        self._notes.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._staged.unlink(missing_ok=True)
        _remove(self._tree)

    def _finish(self) -> None:
        self._deploying.unlink(missing_ok=True)
        self._clear_stage()

    def _is_whole(self) -> bool:
        return not self._deploying.exists() and (self._folder / "metadata.yaml").is_file()


def _move(source: Path, to: Path) -> None:
    """Put what was unpacked in its place; what was moved before an interruption is there already."""
    if source.is_dir() and not source.is_symlink():
        if to.is_symlink() or not to.is_dir():
            _remove(to)
            to.mkdir()
        shutil.copymode(source, to)
    elif source.is_symlink() or source.exists():
        if to.is_dir() and not to.is_symlink():
            _remove(to)
        source.replace(to)


def _is_behind_link(folder: Path, path: str) -> bool:
    """A hook has put a link in the place of a folder that was the charm's: what is behind it is not the charm's."""
    parents = [parent for parent in Path(path).parents if parent != Path()]
    return any((folder / parent).is_symlink() for parent in parents)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()


def _sync(folder: Path) -> None:
    """Have the disk hold all that was moved: one call for the whole filesystem, whatever the number of files."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(opened) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(opened)
