from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undercroft.linux.signature import Signature, probe, read

UUID = "6f1c7fd2-9f1b-4f07-a1a4-3d7c8d0b2d11"

# The command that formats an image of so many MiB, the package that has it, and what is on it then by our reckoning.
FORMATS = {
    "ext2": (8, ["mkfs.ext2", "-q", "-L", "two words", "-U", UUID], "e2fsprogs"),
    "ext3": (16, ["mkfs.ext3", "-q", "-L", "three", "-U", UUID], "e2fsprogs"),
    "ext4": (16, ["mkfs.ext4", "-q", "-L", "d\u00e1 ta", "-U", UUID], "e2fsprogs"),
    "ext4-no-journal": (16, ["mkfs.ext4", "-q", "-O", "^has_journal"], "e2fsprogs"),
    "journal": (16, ["mke2fs", "-q", "-O", "journal_dev"], "e2fsprogs"),
    "xfs": (320, ["mkfs.xfs", "-q", "-L", "twelveletter", "-m", f"uuid={UUID}"], "xfsprogs"),
    "btrfs": (120, ["mkfs.btrfs", "-q", "-L", "a label", "-U", UUID], "btrfs-progs"),
    "swap": (8, ["mkswap", "-L", "swapped", "-U", UUID], "util-linux"),
    "vfat12": (4, ["mkfs.vfat", "-F", "12", "-i", "1a2b3c4d", "-n", "TWELVE"], "dosfstools"),
    "vfat16": (16, ["mkfs.vfat", "-F", "16", "-i", "1a2b3c4d", "-n", "SIX TEEN"], "dosfstools"),
    "vfat32": (64, ["mkfs.vfat", "-F", "32", "-i", "0000beef"], "dosfstools"),
    "ntfs": (8, ["mkntfs", "-q", "-F", "-L", "N T"], "ntfs-3g"),
    "luks1": (
        8,
        ["cryptsetup", "-q", "luksFormat", "--type", "luks1", "--pbkdf-force-iterations", "1000"],
        "cryptsetup",
    ),
    "luks2": (
        32,
        [
            "cryptsetup",
            "-q",
            "luksFormat",
            "--type",
            "luks2",
            "--label",
            "sealed",
            "--pbkdf",
            "pbkdf2",
            "--pbkdf-force-iterations",
            "1000",
        ],
        "cryptsetup",
    ),
    "gpt": (8, ["sgdisk", "--clear", "--new=1:0:0"], "gdisk"),
}


def needs(tool: str, package: str) -> None:
    if shutil.which(tool, path="/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin") is None:
        pytest.skip(f"{tool} is missing: apt-get install {package}")


def run(*argv: str, stdin: bytes = b"") -> None:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin", "LC_ALL": "C"}
    subprocess.run(argv, check=True, capture_output=True, input=stdin, env=environment)


def image(folder: Path, mib: int) -> Path:
    path = folder / "image"
    with path.open("wb") as file:
        file.truncate(mib * 1024 * 1024)
    return path


def blkid(path: Path) -> dict[str, str]:
    """What blkid says. Its output for udev is the only one that tells non-ASCII labels apart."""
    done = subprocess.run(
        ["/sbin/blkid", "-p", "-o", "udev", str(path)], capture_output=True, check=False, env={"LC_ALL": "C"}
    )
    pairs = (line.partition("=") for line in done.stdout.decode("utf-8").splitlines())
    return {name: re.sub(r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), value) for name, _, value in pairs}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_as_blkid_reads_it(tmp_path: Path, name: str) -> None:
    needs("blkid", "util-linux")
    mib, command, package = FORMATS[name]
    needs(command[0], package)
    path = image(tmp_path, mib)
    key = ["-"] if command[0] == "cryptsetup" else []
    run(*command, str(path), *key, stdin=b"a long enough passphrase")

    (found, *tables) = read(path)

    said = blkid(path)
    assert not tables
    if found.usage == "table":
        assert (found.type, found.uuid) == (said["ID_PART_TABLE_TYPE"], said["ID_PART_TABLE_UUID"])
    else:
        uuid = said.get("ID_FS_UUID", said.get("ID_FS_LOGUUID", ""))
        expected = (said["ID_FS_TYPE"], uuid, said.get("ID_FS_LABEL_ENC", ""), said["ID_FS_USAGE"])
        assert (found.type, found.uuid, found.label, found.usage) == expected


def test_an_lvm_volume_is_read_as_blkid_reads_it(tmp_path: Path) -> None:
    """Made by hand: pvcreate takes real devices only."""
    needs("blkid", "util-linux")
    path = image(tmp_path, 4)
    identity = b"Abcdef1234567890abcdefghijklmnop"
    body = struct.pack("<I8s", 32, b"LVM2 001") + identity + b"\0" * (512 - 20 - 12 - 32)
    with path.open("r+b") as file:
        file.seek(512)
        file.write(b"LABELONE" + struct.pack("<QI", 1, _lvm_checksum(body)) + body)

    found = read(path)

    assert found == (Signature("raid", "LVM2_member", "Abcdef-1234-5678-90ab-cdef-ghij-klmnop"),)
    assert blkid(path)["ID_FS_UUID"] == found[0].uuid


def _lvm_checksum(data: bytes) -> int:
    crc = 0xF597A6CF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xEDB88320 if crc & 1 else 0)
    return crc


def test_squashfs_is_read_as_blkid_reads_it(tmp_path: Path) -> None:
    needs("mksquashfs", "squashfs-tools")
    (tmp_path / "in").mkdir()
    run("mksquashfs", str(tmp_path / "in"), str(tmp_path / "out"), "-quiet", "-no-progress")

    assert read(tmp_path / "out") == (Signature("filesystem", "squashfs"),)
    assert blkid(tmp_path / "out")["ID_FS_TYPE"] == "squashfs"


def test_a_cd_image_is_read_as_blkid_reads_it(tmp_path: Path) -> None:
    needs("genisoimage", "genisoimage")
    (tmp_path / "in").mkdir()
    run("genisoimage", "-quiet", "-V", "A DISC", "-o", str(tmp_path / "out"), str(tmp_path / "in"))

    (found,) = read(tmp_path / "out")

    said = blkid(tmp_path / "out")
    assert (found.type, found.label, found.uuid) == ("iso9660", "A DISC", said["ID_FS_UUID"])


def test_a_dos_partition_table_is_told_from_a_fat_boot_sector(tmp_path: Path) -> None:
    path = image(tmp_path, 4)
    with path.open("r+b") as file:
        file.seek(440)
        file.write(struct.pack("<I", 0xCAFE1234))
        file.seek(446)
        file.write(bytes([0x80, 0, 2, 0, 0x83, 0, 0, 0]) + struct.pack("<II", 2048, 4096))
        file.seek(510)
        file.write(b"\x55\xaa")

    assert read(path) == (Signature("table", "dos", "cafe1234"),)


def test_two_signatures_are_both_told(tmp_path: Path) -> None:
    needs("mkswap", "util-linux")
    path = image(tmp_path, 8)
    run("mkswap", str(path))
    with path.open("r+b") as file:
        file.seek(1024 + 0x38)
        file.write(b"\x53\xef")

    assert {found.type for found in read(path)} == {"ext2", "swap"}


@pytest.mark.parametrize("size", [0, 1, 511, 1024, 70_000])
def test_nothing_is_recognised_on_what_is_blank_or_short(tmp_path: Path, size: int) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"\0" * size)

    assert read(path) == ()


async def test_the_probe_runs_beside_the_loop(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.write_bytes(b"XFSB" + b"\0" * 512)

    assert await probe(path) == (Signature("filesystem", "xfs"),)


async def test_a_missing_device_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await probe(tmp_path / "absent")


MAGICS = [
    (3, b"NTFS    "),
    (1080, b"\x53\xef"),
    (512, b"EFI PART"),
    (0, b"LUKS\xba\xbe\0\2"),
    (0, b"LABELONE"),
    (32768, b"\1CD001"),
]


@settings(max_examples=200, deadline=None)
@given(noise=st.binary(min_size=96, max_size=96), magics=st.lists(st.sampled_from(MAGICS), max_size=3))
def test_no_damage_makes_it_fail(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, magics: list[tuple[int, bytes]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    content = bytearray(noise * 800)
    for offset, magic in magics:
        content[offset : offset + len(magic)] = magic
    path.write_bytes(content)

    for found in read(path):
        assert found.type
