"""Put programs in place on a machine, and take them away again; what is somebody else's is left as it is.

What is about to be put in place is recorded first, so that after a crash it is known to be ours.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from undercroft_hookspecs import NotValidError, UndercroftError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_uniter.hostsetup.programs import Program

RECORD: Final = "var/lib/juju/undercroft-host-setup.json"
"""Where it is written down what was put in place, below the root."""


class NotOurs(UndercroftError):
    """A file that is in the way was not written by `undercroft host-setup`."""


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """What was put in place: of each file the SHA-256 of its contents, the last one last, and the folders that were
    made for them."""

    files: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    folders: tuple[str, ...] = ()


def put(root: Path, programs: Sequence[Program]) -> list[Path]:
    """Put the programs in place below `root`; those that are there already are written anew. The paths.

    Raises:
        NotOurs: a file that is in the way is somebody else's; nothing was changed.
        NotValidError: a link leads out of `root`, or the record is damaged.
        OSError: nothing can be written there.
    """
    placed = _read(root)
    for program in programs:
        path = _inside(root, str(program.path))
        if not _may_replace(path, placed.files.get(str(program.path), ()), program.content):
            raise NotOurs(f"{path} is in the way, and was not written by `undercroft host-setup`: move it away first")
    files = {name: digests[-1:] for name, digests in placed.files.items()}
    for program in programs:
        name = str(program.path)
        files[name] = (*files.get(name, ()), _digest(program.content))
    folders = {*placed.folders, *_missing(root, [RECORD, *map(str, files)])}
    _write_record(root, Placed(files=files, folders=tuple(sorted(folders))))
    for program in programs:
        _write(root / program.path, program.content, 0o755)
    final = {name: digests[-1:] for name, digests in files.items()}
    _write_record(root, Placed(files=final, folders=tuple(sorted(folders))))
    return [root / program.path for program in programs]


def remove(root: Path) -> tuple[list[Path], list[Path]]:
    """Take away what was put in place below `root`: the paths that are gone, and those that somebody has changed since,
    which are left as they are.

    Raises:
        NotValidError: a link leads out of `root`, or the record is damaged.
        OSError: something cannot be removed.
    """
    placed, gone, left = _read(root), [], []
    for name, digests in sorted(placed.files.items()):
        path = _inside(root, name)
        content = _content(path)
        if content is None:
            continue
        if _digest(content) in digests:
            path.unlink()
            gone.append(path)
        else:
            left.append(path)
    (root / RECORD).unlink(missing_ok=True)
    for name in sorted(placed.folders, reverse=True):
        folder = _inside(root, name)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return gone, left


def _may_replace(path: Path, digests: tuple[str, ...], content: bytes) -> bool:
    found = _content(path)
    return found is None or found == content or _digest(found) in digests


def _content(path: Path) -> bytes | None:
    """What is there; None if nothing is."""
    if path.is_symlink():
        return b"-> " + os.fsencode(path.readlink())
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        return b"/"


def _inside(root: Path, name: str) -> Path:
    """The path, which does not lead out of `root`, whatever links there are in it."""
    path = root / name
    if ".." in path.relative_to(root).parts or not path.parent.resolve().is_relative_to(root.resolve()):
        raise NotValidError(f"{path.parent} leads out of {root}: nothing is put there", field="root")
    return path


def _missing(root: Path, names: Sequence[str]) -> set[str]:
    """The folders that have to be made for files of these names."""
    folders = {str(folder) for name in names for folder in Path(name).parents if folder != Path()}
    return {folder for folder in folders if not (root / folder).is_dir()}


def _read(root: Path) -> Placed:
    path = _inside(root, RECORD)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Placed)
    except FileNotFoundError:
        return Placed()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"{path} is damaged ({error}): move it away, and remove what it was about by hand"
        raise NotValidError(message, field="record") from error


def _write_record(root: Path, placed: Placed) -> None:
    _write(root / RECORD, msgspec.json.format(msgspec.json.encode(placed)) + b"\n", 0o644)


def _write(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.undercroft-new")
    fresh.unlink(missing_ok=True)
    opened = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(opened, "wb") as file:
        file.write(content)
        os.fchmod(opened, mode)
        file.flush()
        os.fsync(opened)
    fresh.replace(path)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
