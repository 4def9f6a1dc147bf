"""Tell what is on a block device or an image, from the magic numbers of the common formats.

For hosts that have no blkid. It knows filesystems, encrypted containers, LVM, swap and partition tables, with their
UUID and label written as blkid writes them. An empty answer means that nothing was recognised: it is no proof that a
device is blank, for a format may be unknown here or its first blocks damaged.

The layouts are those of the formats' own documentation:

* ext2, ext3, ext4: kernel, Documentation/filesystems/ext4/globals.rst (super block)
* xfs: XFS Algorithms & Data Structures, "Superblocks"
* btrfs: btrfs.readthedocs.io, "On-disk format", superblock
* swap: kernel, include/linux/swap.h (union swap_header)
* vfat: Microsoft, FAT32 File System Specification 1.03; the label is the boot sector's
* crypto_LUKS: LUKS1 On-Disk Format Specification 1.2.3; LUKS2 On-Disk Format Specification 1.1
* LVM2_member: LVM2, lib/format_text/layout.h and lib/label/label.h
* squashfs: kernel, fs/squashfs/squashfs_fs.h
* iso9660: ECMA-119, 8.4 (Primary Volume Descriptor)
* ntfs: kernel, fs/ntfs3/ntfs.h (boot sector, $Volume's attribute 0x60)
* gpt: UEFI Specification 2.10, 5.3.2 (GPT header); dos: 5.2.1 (legacy MBR)
"""

from __future__ import annotations

import itertools
import os
import struct
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from undercroft.files import in_thread

if TYPE_CHECKING:
    from pathlib import Path

HEAD_BYTES = 0x10000 + 0x1000
MAX_OFFSET = 1 << 62
SWAP_PAGE_SIZES = (0x1000, 0x2000, 0x4000, 0x8000, 0x10000)
GPT_SECTOR_SIZES = (512, 4096)

Usage = Literal["filesystem", "crypto", "raid", "other", "table"]


@dataclass(frozen=True, slots=True)
class Signature:
    """One thing that is on a device: its type by blkid's name; uuid and label are empty where it has none."""

    usage: Usage
    type: str
    uuid: str = ""
    label: str = ""


class Reader:
    """Reads a device: its head from memory, what lies behind it by asking again. Short where the device ends."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._head = os.pread(fd, HEAD_BYTES, 0)

    def at(self, offset: int, size: int) -> bytes:
        """The bytes there, filled up with zeros where the device is shorter."""
        if offset + size <= HEAD_BYTES:
            found = self._head[offset : offset + size]
        else:
            # A damaged field may point anywhere, also to where the kernel's offsets do not reach.
            found = os.pread(self._fd, size, offset) if offset < MAX_OFFSET else b""
        return found.ljust(size, b"\0")

    def number(self, layout: str, offset: int) -> int:
        """The number there; `layout` is a struct format of one number."""
        return int(struct.unpack(layout, self.at(offset, struct.calcsize(layout)))[0])


async def probe(path: Path) -> tuple[Signature, ...]:
    """All that is recognised on the device, filesystems and containers before partition tables. In a thread.

    Raises:
        OSError: it cannot be opened or read.
    """
    return await in_thread(read, path)


def read(path: Path) -> tuple[Signature, ...]:
    """As `probe`, in this thread."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        return tuple(_signatures(Reader(fd)))
    finally:
        os.close(fd)


def _signatures(device: Reader) -> Iterator[Signature]:
    for look in _formats():
        if (found := look(device)) is not None:
            yield found


def _formats() -> tuple[Callable[[Reader], Signature | None], ...]:
    return (_luks, _lvm2, _xfs, _ext, _btrfs, _ntfs, _vfat, _swap, _squashfs, _iso9660, _gpt, _dos)


def _ext(device: Reader) -> Signature | None:
    start = 0x400
    if device.number("<H", start + 0x38) != 0xEF53:
        return None
    compat, incompat, ro_compat = struct.unpack("<III", device.at(start + 0x5C, 12))
    if incompat & 0x8:  # A journal on a device of its own.
        return Signature("other", "jbd", _uuid(device.at(start + 0x68, 16)))
    has_journal = bool(compat & 0x4)
    # What ext3 knows: filetype, recover, meta_bg; sparse_super, large_file, btree_dir.
    is_plain = not incompat & ~(0x2 | 0x4 | 0x10) and not ro_compat & ~(0x1 | 0x2 | 0x4)
    kind = "ext4" if not is_plain else "ext3" if has_journal else "ext2"
    return Signature("filesystem", kind, _uuid(device.at(start + 0x68, 16)), _text(device.at(start + 0x78, 16)))


def _xfs(device: Reader) -> Signature | None:
    if device.at(0, 4) != b"XFSB":
        return None
    return Signature("filesystem", "xfs", _uuid(device.at(32, 16)), _text(device.at(108, 12)))


def _btrfs(device: Reader) -> Signature | None:
    start = 0x10000
    if device.at(start + 0x40, 8) != b"_BHRfS_M":
        return None
    return Signature("filesystem", "btrfs", _uuid(device.at(start + 0x20, 16)), _text(device.at(start + 0x12B, 256)))


def _swap(device: Reader) -> Signature | None:
    if not any(device.at(size - 10, 10) in (b"SWAPSPACE2", b"SWAP-SPACE") for size in SWAP_PAGE_SIZES):
        return None
    return Signature("other", "swap", _uuid(device.at(0x40C, 16)), _text(device.at(0x41C, 16)))


def _vfat(device: Reader) -> Signature | None:
    if device.at(510, 2) != b"\x55\xaa":
        return None
    if device.at(82, 8) == b"FAT32   ":
        serial, label = device.at(67, 4), device.at(71, 11)
    elif device.at(54, 8) in (b"FAT12   ", b"FAT16   ", b"FAT     "):
        serial, label = device.at(39, 4), device.at(43, 11)
    else:
        return None
    number = serial[::-1].hex().upper()
    name = "" if label == b"NO NAME    " else _text(label, "cp850")
    return Signature("filesystem", "vfat", f"{number[:4]}-{number[4:]}", name)


def _luks(device: Reader) -> Signature | None:
    if device.at(0, 6) != b"LUKS\xba\xbe":
        return None
    label = _text(device.at(24, 48)) if device.number(">H", 6) == 2 else ""
    return Signature("crypto", "crypto_LUKS", _text(device.at(168, 40)), label)


def _lvm2(device: Reader) -> Signature | None:
    for start in range(0, 4 * 512, 512):
        if device.at(start, 8) == b"LABELONE" and device.at(start + 24, 8) == b"LVM2 001":
            header = start + device.number("<I", start + 20)
            return Signature("raid", "LVM2_member", _lvm_uuid(device.at(header, 32)))
    return None


def _lvm_uuid(raw: bytes) -> str:
    text, cuts = raw.decode("ascii", "replace"), (0, 6, 10, 14, 18, 22, 26, 32)
    return "-".join(text[begin:end] for begin, end in itertools.pairwise(cuts))


def _squashfs(device: Reader) -> Signature | None:
    if device.at(0, 4) != b"hsqs":
        return None
    return Signature("filesystem", "squashfs" if device.number("<H", 28) >= 4 else "squashfs3")


def _iso9660(device: Reader) -> Signature | None:
    start = 0x8000
    if device.at(start, 6) != b"\x01CD001":
        return None
    # YYYYMMDDhhmmsscc of the modification, else of the creation; all zeros or blanks where it was not written.
    dates = (device.at(start + offset, 16).decode("ascii", "replace") for offset in (830, 813))
    date = next((text for text in dates if text.isdecimal() and text.strip("0")), "")
    parts = (date[:4], *(date[at : at + 2] for at in range(4, 16, 2)))
    return Signature("filesystem", "iso9660", "-".join(parts) if date else "", _text(device.at(start + 40, 32)))


def _ntfs(device: Reader) -> Signature | None:
    if device.at(3, 8) != b"NTFS    ":
        return None
    return Signature("filesystem", "ntfs", f"{device.number('<Q', 72):016X}", _ntfs_label(device))


def _ntfs_label(device: Reader) -> str:
    """The name of the volume: attribute 0x60 of the fourth record of the master file table."""
    cluster = device.number("<H", 11) * device.number("<B", 13)
    records = device.number("<b", 64)
    size = records * cluster if records > 0 else 1 << -records
    if not 256 <= size <= 0x10000:
        return ""
    record = device.at(device.number("<Q", 48) * cluster + 3 * size, size)
    if record[:4] != b"FILE":
        return ""
    at = int(struct.unpack_from("<H", record, 20)[0])
    while at + 24 <= size:
        kind, length = struct.unpack_from("<II", record, at)
        if kind == 0x60:
            value_length, value_offset = struct.unpack_from("<IH", record, at + 16)
            return record[at + value_offset :][:value_length].decode("utf-16-le", "replace")
        if kind == 0xFFFFFFFF or length == 0:
            break
        at += length
    return ""


def _gpt(device: Reader) -> Signature | None:
    for sector in GPT_SECTOR_SIZES:
        if device.at(sector, 8) == b"EFI PART":
            return Signature("table", "gpt", str(uuid.UUID(bytes_le=device.at(sector + 56, 16))))
    return None


def _dos(device: Reader) -> Signature | None:
    """A partition table of the old kind: not where the same sector is a filesystem's, or only guards a GPT."""
    if device.at(510, 2) != b"\x55\xaa" or _vfat(device) or _ntfs(device) or _gpt(device):
        return None
    entries = [device.at(446 + 16 * index, 16) for index in range(4)]
    if any(entry[0] not in (0x00, 0x80) for entry in entries) or not any(entry[4] for entry in entries):
        return None
    return Signature("table", "dos", f"{device.number('<I', 440):08x}")


def _uuid(raw: bytes) -> str:
    return str(uuid.UUID(bytes=raw)) if any(raw) else ""


def _text(raw: bytes, encoding: str = "utf-8") -> str:
    return raw.split(b"\0", 1)[0].decode(encoding, "replace").rstrip(" ")
