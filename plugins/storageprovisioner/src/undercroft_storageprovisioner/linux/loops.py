"""Loop devices by the kernel's own calls: a file as a block device, found again by what it is and not by its name.

Layouts are those of linux/loop.h: `struct loop_config` (304 bytes) holds the file, the block size and
`struct loop_info64` (232 bytes), of which the kernel fills in the device and inode of the file behind a loop.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

LOOP_CONTROL = Path("/dev/loop-control")
SYS_BLOCK = Path("/sys/block")

LOOP_CONFIGURE = 0x4C0A
LOOP_CLR_FD = 0x4C01
LOOP_GET_STATUS64 = 0x4C05
LOOP_SET_CAPACITY = 0x4C07
LOOP_CTL_GET_FREE = 0x4C82
READ_ONLY = 1

_INFO = struct.Struct("=QQQQQIIII64s64s32sQQ")
_CONFIG = struct.Struct(f"=II{_INFO.size}s8Q")
_TRIES = 64
_NOT_TOLD = frozenset({errno.ENOENT, errno.ENXIO, errno.ENODEV, errno.EPERM, errno.EACCES})
"""What is given back meanwhile, or is none of ours. Any other error is no answer: who takes it for "not attached" puts
a second loop device over the file, or leaves the first one for ever."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A loop device: `name` as in /dev, and the file behind it."""

    name: str
    device: int
    inode: int
    read_only: bool

    @property
    def path(self) -> Path:
        """The device's node."""
        return Path("/dev", self.name)


def loops_of(file: Path) -> list[Loop]:
    """The loop devices over a file, whatever they were told its name was; of a removed one, those that have it."""
    try:
        known = file.stat(follow_symlinks=False)
    except FileNotFoundError:
        return [loop for loop in all_loops() if _backing(loop) == f"{file} (deleted)"]
    return [loop for loop in all_loops() if (loop.device, loop.inode) == (known.st_dev, known.st_ino)]


def all_loops() -> list[Loop]:
    """All loop devices that are in use, by their number."""
    found = []
    for folder in SYS_BLOCK.glob("loop*/loop"):
        loop = _read(folder.parent.name)
        if loop is not None:
            found.append(loop)
    return sorted(found, key=lambda loop: int(loop.name.removeprefix("loop")))


def attach(file: Path, *, read_only: bool) -> Loop:
    """Put a loop device over a file, which is no symbolic link.

    Raises:
        OSError: there is none left, it may not be used, or the file cannot be opened.
    """
    how = os.O_RDONLY if read_only else os.O_RDWR
    backing = os.open(file, how | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        known, name = os.fstat(backing), _taken(backing, file, read_only=read_only)
    finally:
        os.close(backing)
    return Loop(name, known.st_dev, known.st_ino, read_only)


def detach(loop: Loop) -> None:
    """Ask for a loop device to be given back; the kernel does so once nobody has it open. Nothing if it is free."""
    with suppress(FileNotFoundError):
        node = os.open(loop.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(node, LOOP_CLR_FD)
        except OSError as error:
            if error.errno != errno.ENXIO:  # It is free.
                raise
        finally:
            os.close(node)


def take_size(loop: Loop) -> None:
    """Have a loop device be as large as its file has become."""
    node = os.open(loop.path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(node, LOOP_SET_CAPACITY)
    finally:
        os.close(node)


def _taken(backing: int, file: Path, *, read_only: bool) -> str:
    """The name of a free loop device, set up over a file; others may be at it, too."""
    for _ in range(_TRIES):
        name = f"loop{_free()}"
        if _configure(Path("/dev", name), backing, file, read_only=read_only):
            return name
    raise OSError(f"others were faster {_TRIES} times at taking a free loop device")


def _free() -> int:
    control = os.open(LOOP_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(control, LOOP_CTL_GET_FREE)
    finally:
        os.close(control)


def _configure(node: Path, backing: int, file: Path, *, read_only: bool) -> bool:
    """Set a free loop device up in one call; false if somebody else has taken it."""
    flags = READ_ONLY if read_only else 0
    name = os.fsencode(file)[-63:]
    info = _INFO.pack(0, 0, 0, 0, 0, 0, 0, 0, flags, name, b"", b"", 0, 0)
    opened = os.open(node, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
    try:
        fcntl.ioctl(opened, LOOP_CONFIGURE, _CONFIG.pack(backing, 0, info, *([0] * 8)))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    finally:
        os.close(opened)
    return True


def _backing(loop: Loop) -> str:
    try:
        return (SYS_BLOCK / loop.name / "loop" / "backing_file").read_text().rstrip("\n")
    except OSError:  # It is given back.
        return ""


def _read(name: str) -> Loop | None:
    try:
        node = os.open(Path("/dev", name), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NOT_TOLD:
            return None
        raise
    try:
        fields = _INFO.unpack(fcntl.ioctl(node, LOOP_GET_STATUS64, bytes(_INFO.size)))
    except OSError as error:
        if error.errno in _NOT_TOLD:
            return None
        raise
    finally:
        os.close(node)
    return Loop(name, fields[0], fields[1], bool(fields[8] & READ_ONLY))
