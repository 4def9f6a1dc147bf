"""Filesystems on devices: made only where there is provably nothing, and never twice.

A filesystem's UUID is chosen by us from what it is for and given to mkfs. So after a crash between mkfs and the record
of it the device says by itself that it is done. Before mkfs a note is written: a device that has the note but not our
UUID was being formatted when we died, was empty before, and nobody has mounted it since; it may be formatted again.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, get_args
from uuid import UUID, uuid5

from undercroft.clock import SystemClock
from undercroft.files import sync
from undercroft.linux import signature
from undercroft_hookspecs import CommandFailedError, PermanentError
from undercroft_storageprovisioner.linux.checking import is_taken
from undercroft_storageprovisioner.threads import in_thread, unless_busy

if TYPE_CHECKING:
    from undercroft_hookspecs import Clock, Process

Kind: TypeAlias = Literal["ext4", "xfs", "btrfs"]
KINDS: tuple[str, ...] = get_args(Kind)

NAMESPACE = UUID("f2b0a52c-0c39-4d0f-8a2b-6f1d8a3f5c11")
"""Of the names from which filesystems' UUIDs are made."""
MKFS_SECONDS = 600.0

MIB = 1024 * 1024
_BACKUPS = tuple(1024 * (1 + 8192 * n) for n in (1, 3, 5, 7)) + tuple(4096 * 32768 * n for n in (1, 3, 5, 7, 9))
"""Where ext4 keeps copies of its superblock, with blocks of 1 and of 4 KiB."""
_PAUSES = (0.02, 0.1, 0.5)
_BUSY = (b"busy", b"in use")
"""What mkfs says that cannot have the device for itself: somebody looks at it just then, see `unless_busy`."""
_CHUNK_BYTES = 256 * 1024
_XFS_IN_PROGRESS = 126
"""Where xfs has `sb_inprogress`, one byte."""
_LABEL_BYTES = {"ext4": 16, "xfs": 12, "btrfs": 255}
_PACKAGES = {"ext4": "e2fsprogs", "xfs": "xfsprogs", "btrfs": "btrfs-progs"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The filesystem that is wanted on a device. `name` is what it is for, unique for ever; `label` is for people."""

    kind: Kind
    name: str
    label: str

    @property
    def uuid(self) -> UUID:
        """The filesystem's UUID."""
        return uuid5(NAMESPACE, self.name)


class Formatter:
    """Makes filesystems, with its notes in a folder."""

    def __init__(self, process: Process, notes: Path, clock: Clock | None = None) -> None:
        self._process, self._notes, self._clock = process, notes, clock or SystemClock()

    async def ensure(self, device: Path, wish: Wish) -> int:
        """Have the device hold the filesystem that is wished for; nothing if it does. Gives the device's size.

        Raises:
            PermanentError: there is something else on it, or the program that makes such filesystems is missing.
        """
        note = self._notes / str(wish.uuid)
        with Lock() as lock:
            begun = await unless_busy(self._clock, _begin, device, wish, note, lock)
            if begun is not None:
                await self._make(device, wish, again=begun)
        return await in_thread(_end, device, wish, note)

    async def _make(self, device: Path, wish: Wish, *, again: bool) -> None:
        argv = _mkfs(device, wish, again=again)
        for pause in (*_PAUSES, None):
            try:
                await self._process.run(argv, timeout=MKFS_SECONDS)
            except LookupError as error:
                message = f"cannot make {wish.kind}: {argv[0]} is missing; install {_PACKAGES[wish.kind]}"
                raise PermanentError(message) from error
            except CommandFailedError as error:
                if pause is None or not any(word in error.completed.stderr for word in _BUSY):
                    raise
                await self._clock.sleep(pause)
            else:
                return


class Lock:
    """A device's lock: while it is held, udev does not look at the device (systemd.io/BLOCK_DEVICE_LOCKING)."""

    def __init__(self) -> None:
        self._opened, self._is_over, self._turn = -1, False, threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self._turn:
            self._is_over = True
            if self._opened >= 0:
                os.close(self._opened)

    def take(self, device: Path) -> None:
        """Take it, in a thread: udev may have it just then. It is held to the end of the block, if that is to come."""
        opened = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX)
        except BaseException:
            os.close(opened)
            raise
        with self._turn:
            if self._is_over:
                os.close(opened)
            else:
                self._opened = opened


def holds(device: Path, uuid: str) -> bool:
    """Whether a device holds a filesystem of that UUID, all of it."""
    found = [each for each in signature.read(device) if each.uuid.lower() == uuid.lower()]
    return bool(found) and not (found[0].type == "xfs" and _is_half_made_xfs(device))


def _is_half_made_xfs(device: Path) -> bool:
    """Whether mkfs.xfs has not come to its end: the mark of that is what it takes away last."""
    opened = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(opened, 1, _XFS_IN_PROGRESS) != b"\0"
    finally:
        os.close(opened)


def _begin(device: Path, wish: Wish, note: Path, lock: Lock) -> bool | None:
    """Prove that a device can be formatted, and note that it is going to be.

    None if it holds what is wished for; else whether that was begun before, and not ended.
    """
    if holds(device, str(wish.uuid)):
        return None
    again = note.exists()
    if again and is_taken(device):  # The mkfs of who was killed meanwhile is still at it.
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(device))
    if not again:
        _prove_empty(device)
        write_note(note)
    lock.take(device)
    return again


def _end(device: Path, wish: Wish, note: Path) -> int:
    if not holds(device, str(wish.uuid)):
        raise PermanentError(f"{device} does not hold what mkfs.{wish.kind} was to make on it")
    note.unlink(missing_ok=True)
    return size_of(device)


def write_note(note: Path) -> None:
    """Make an empty file, durably: that it is there is all that it says."""
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(note, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    sync(note.parent)


def size_of(device: Path) -> int:
    """How large a device is, in bytes."""
    opened = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.lseek(opened, 0, os.SEEK_END)
    finally:
        os.close(opened)


def _prove_empty(device: Path) -> None:
    """Two looks that know nothing of one another have to agree that there is nothing."""
    found = signature.read(device)
    if found:
        names = ", ".join(f"{each.type} {each.uuid}".strip() for each in found)
        raise PermanentError(f"{device} is not formatted, for it holds {names}: empty it if that can go (wipefs -a)")
    offset = _first_content(device)
    if offset is not None:
        message = f"{device} is not formatted, for there is something at byte {offset}, though no filesystem is known"
        raise PermanentError(f"{message}: empty it if that can go (blkdiscard -z)")


def _mkfs(device: Path, wish: Wish, *, again: bool) -> list[str]:
    # Without discards: there is nothing on it, and what was taken from the disk for a loop device is to stay taken.
    label = wish.label.encode()[: _LABEL_BYTES[wish.kind]].decode("utf-8", "ignore")
    uuid = str(wish.uuid)
    match wish.kind:
        case "ext4":
            return ["mkfs.ext4", "-q", "-F", "-E", "nodiscard", "-U", uuid, "-L", label, str(device)]
        case "xfs":
            return ["mkfs.xfs", "-q", "-K", *(["-f"] if again else []), "-m", f"uuid={uuid}", "-L", label, str(device)]
        case "btrfs":
            return ["mkfs.btrfs", "-q", "-K", *(["-f"] if again else []), "-U", uuid, "-L", label, str(device)]


def _first_content(device: Path) -> int | None:
    """The offset of the first byte that is not zero where a filesystem would have written; None if there is none."""
    opened = os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC)
    try:
        size = os.lseek(opened, 0, os.SEEK_END)
        os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_RANDOM)  # Nothing but what is asked for is to be read.
        for offset in sorted({0, max(0, size - MIB), *(place for place in _BACKUPS if place < size)}):
            end = offset + (MIB if offset in (0, size - MIB) else 4096)
            found = _first_in(opened, offset, end)
            if found is not None:
                return found
    finally:
        os.close(opened)
    return None


def _first_in(opened: int, offset: int, end: int) -> int | None:
    # Into one buffer: to have the memory for new ones made takes longer than to read.
    content = bytearray(min(_CHUNK_BYTES, end - offset))
    nothing = bytes(len(content))
    while offset < end and (length := os.preadv(opened, [content], offset)):
        if content != nothing and (inside := content[:length].lstrip(b"\0")):
            return offset + length - len(inside)
        offset += length
    return None
