"""The folders of a spool, and the blocking work on their files.

lock                        held by the one process that the spool belongs to
tmp/                        files on their way in
queue/<sender>/             what waits for a sender, and `ledger`, what was dropped
dead/<sender>/              what it will never take, each with `<name>.why.json`
quarantine/<sender>/        what is no batch of ours, likewise
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from undercroft_hookspecs.errors import UndercroftError
from undercroft_metrics.spool.codec import MOST_BYTES, DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LEDGER: Final = "ledger"
MOST_QUARANTINED: Final = 100
MOST_QUARANTINED_BYTES: Final = 16 << 20
_WHY: Final = ".why.json"


class SpoolInUseError(UndercroftError):
    """Another process has the spool."""


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why a file is where it is."""

    reason: str
    at: datetime
    sender: str
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Folders:
    """Where the files of a spool are."""

    root: Path

    @property
    def tmp(self) -> Path:
        """Files on their way in."""
        return self.root / "tmp"

    @property
    def lock(self) -> Path:
        """Held by the process that the spool belongs to."""
        return self.root / "lock"

    def queue(self, sender: str) -> Path:
        """What waits for a sender."""
        return self.root / "queue" / sender

    def dead(self, sender: str) -> Path:
        """What it will never take."""
        return self.root / "dead" / sender

    def quarantine(self, sender: str) -> Path:
        """What is no batch of ours."""
        return self.root / "quarantine" / sender

    def make(self) -> None:
        """Make those that all senders share."""
        self.tmp.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.root / "queue").mkdir(mode=0o700, exist_ok=True)

    def senders(self) -> list[str]:
        """Those that there are folders of, sorted."""
        found: set[str] = set()
        for kind in ("queue", "dead", "quarantine"):
            with contextlib.suppress(FileNotFoundError), os.scandir(self.root / kind) as entries:
                found.update(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        return sorted(found)


def read_bounded(path: Path | str) -> bytes:
    """The content of a spooled file.

    Raises:
        DamagedError: it is no regular file, or larger than any of ours.
        OSError: it cannot be read.
    """
    # Not blocking: something called like a batch may be a pipe.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise DamagedError("it is no regular file") from None
        raise
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise DamagedError("it is no regular file")
        if found.st_size > MOST_BYTES:
            raise DamagedError(f"it has {found.st_size} bytes: none of ours is so large")
        data = os.read(fd, found.st_size + 1)
        while len(data) < found.st_size and (more := os.read(fd, found.st_size + 1 - len(data))):
            data += more
        return data
    finally:
        os.close(fd)


def write_new(path: Path, data: bytes, *, durable: bool) -> None:
    """Write a file that is not there yet; what cannot be written whole is not there."""
    fd = create(path, data)
    try:
        if durable:
            os.fsync(fd)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    finally:
        os.close(fd)


def create(path: Path, data: bytes) -> int:
    """Write a file that is not there yet, and give it open: it is to be synced. It is not there if that fails."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(fd, rest) :]
    except BaseException:
        os.close(fd)
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    return fd


def put_away(path: Path, folder: Path, why: Why) -> None:
    """Move a file to where what is not sent is kept, with the reason; a full disk may cost the reason."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    target = folder / path.name
    number = 0
    while os.path.lexists(target):
        number += 1
        target = folder / f"{path.name}.{number}"
    path.rename(target)
    write_why(target, why)


def write_why(target: Path, why: Why) -> None:
    """Write down why a file is where it is, if that can be written."""
    with contextlib.suppress(OSError):
        target.with_name(target.name + _WHY).write_bytes(msgspec.json.encode(why))


def kept(folder: Path) -> Iterator[tuple[Path, Why | None]]:
    """The files that were put away in a folder, by name, and why."""
    try:
        names = sorted(entry.name for entry in os.scandir(folder))
    except FileNotFoundError:
        return
    for name in names:
        if not name.endswith(_WHY):
            path = folder / name
            yield path, _why(path)


def remove_kept(path: Path) -> None:
    """Remove a file that was put away, whatever it is, and its reason."""
    if path.is_dir() and not path.is_symlink():
        # Ours are files: what somebody else has put there with content stays.
        with contextlib.suppress(OSError):
            path.rmdir()
    else:
        path.unlink(missing_ok=True)
    path.with_name(path.name + _WHY).unlink(missing_ok=True)


def trim_quarantine(folder: Path) -> int:
    """Remove the oldest of what is in quarantine beyond its limits; how many are left."""
    found = [(path, path.lstat()) for path, _ in kept(folder)]
    found.sort(key=lambda each: each[1].st_ctime_ns, reverse=True)
    total, left = 0, 0
    for path, status in found:
        total += status.st_blocks * 512
        if left >= MOST_QUARANTINED or total > MOST_QUARANTINED_BYTES:
            remove_kept(path)
        else:
            left += 1
    return left


def _why(path: Path) -> Why | None:
    try:
        return msgspec.json.decode(path.with_name(path.name + _WHY).read_bytes(), type=Why)
    except (OSError, msgspec.DecodeError):
        return None
