from __future__ import annotations

from dataclasses import replace

import pytest

from undercroft_diskmanager import record, udevdb
from undercroft_diskmanager.sysfs import Node
from undercroft_diskmanager.udevdb import Filesystem
from undercroft_hookspecs.records import BlockDevice

SCSI = "/devices/a/b/c/d/1:2:3:4/block/sda"
DISK = Node(
    name="sda",
    devpath="/devices/pci0/block/sda",
    major=8,
    minor=0,
    devtype="disk",
    size_bytes=100 * record.MIB,
    diskseq="1",
    disk="sda",
)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({}, "disk"),
        ({"scsi_type": "0"}, "disk"),
        ({"scsi_type": "5"}, None),
        ({"name": "sda1", "devtype": "partition"}, "part"),
        ({"name": "loop0p1", "devtype": "partition"}, "part"),
        ({"name": "loop0", "major": 7}, "loop"),
        ({"name": "loop0", "major": 7, "size_bytes": 0}, None),
        ({"name": "fd0", "major": 2}, None),
        ({"name": "ram0", "major": 1}, None),
        ({"name": "zram0", "major": 253}, "disk"),
        ({"name": "zram0", "major": 253, "size_bytes": 0}, None),
        ({"name": "nbd0", "major": 43, "size_bytes": 0}, None),
        ({"name": "sr0", "major": 11}, None),
        ({"name": "dm-0", "major": 252}, None),
        ({"name": "md127", "major": 9}, None),
        ({"name": "nvme0n1", "major": 259}, "disk"),
        ({"size_bytes": 0}, "disk"),
    ],
)
def test_kinds(change: dict[str, object], kind: str | None) -> None:
    # mypy cannot see that the keys are the fields'.
    assert record.kind_of(replace(DISK, **change)) == kind  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("devpath", "address"),
    [
        (SCSI, "scsi@1:2.3.4"),
        (f"{SCSI}/sda1", "scsi@1:2.3.4"),
        ("/devices/a/1:2:x:4/block/sda", ""),
        ("/devices/a/1:2:3/block/sda", ""),
        (f"{SCSI}/sda1/deeper", ""),
    ],
)
def test_the_bus_address_is_the_last_numbers_of_a_scsi_path(devpath: str, address: str) -> None:
    assert record.bus_address({"ID_BUS": "scsi"}, devpath) == address


def test_another_bus_has_no_bus_address() -> None:
    assert record.bus_address({"ID_BUS": "ata"}, SCSI) == ""


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"ID_BUS": "ata", "ID_SERIAL": "980980"}, "ata-980980"),
        ({"ID_SERIAL": "980980"}, ""),
        ({"ID_BUS": "ata"}, ""),
        ({}, ""),
    ],
)
def test_the_hardware_id_needs_bus_and_serial(properties: dict[str, str], expected: str) -> None:
    assert record.hardware_id(properties) == expected


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"ID_WWN": "0x1"}, "0x1"),
        ({"ID_WWN_WITH_EXTENSION": "0x1002", "ID_WWN": "0x1"}, "0x1002"),
        ({"ID_WWN": "0x1", "ID_WWN_WITH_EXTENSION": "0x1002"}, "0x1002"),
        ({}, ""),
    ],
)
def test_the_wwn_with_its_extension_wins(properties: dict[str, str], expected: str) -> None:
    assert record.wwn(properties) == expected


def test_the_content_is_told_with_udevs_escapes_undone() -> None:
    properties = {
        "ID_FS_TYPE": "ext4",
        "ID_FS_UUID": "deadbeef",
        "ID_FS_LABEL": "d__ta",
        "ID_FS_LABEL_ENC": r"d\xc3\xa1\x20t\x22a",
    }

    assert udevdb.filesystem_of(properties) == Filesystem("ext4", "deadbeef", 'dá t"a')


def test_a_whole_record() -> None:
    entry = udevdb.parse(
        "S:disk/by-path/two\nS:disk/by-id/one\nE:ID_BUS=scsi\nE:ID_SERIAL=ser\nE:ID_WWN=0x5\nI:12\nG:systemd\nnonsense\nE:x\n"
    )

    device = record.build(
        replace(DISK, devpath=SCSI), "disk", entry, Filesystem("xfs", "u", "l"), in_use=True, mount_point="/srv"
    )

    assert device == BlockDevice(
        device_name="sda",
        kind="disk",
        device_links=("/dev/disk/by-id/one", "/dev/disk/by-path/two"),
        label="l",
        uuid="u",
        hardware_id="scsi-ser",
        wwn="0x5",
        serial_id="ser",
        bus_address="scsi@1:2.3.4",
        size_mib=100,
        filesystem_type="xfs",
        in_use=True,
        mount_point="/srv",
    )


@pytest.mark.parametrize(
    ("size", "mib"), [(1024, 0), (1024 * 1024 - 1, 0), (1024 * 1024, 1), (3 * 1024**4, 3 * 1024**2)]
)
def test_sizes_are_rounded_down_to_mib(size: int, mib: int) -> None:
    device = record.build(replace(DISK, size_bytes=size), "disk", None, Filesystem(), in_use=False, mount_point="")

    assert device.size_mib == mib


def test_links_keep_their_escapes() -> None:
    entry = udevdb.parse("S:disk/by-label/two\\x20words\n")

    assert entry.links == (r"disk/by-label/two\x20words",)


@pytest.mark.parametrize(
    ("link", "diskseq", "is_fresh"),
    [
        ("disk/by-diskseq/7", "7", True),
        ("disk/by-diskseq/7-part2", "7", True),
        ("disk/by-diskseq/7", "8", False),
        ("disk/by-diskseq/7", "", True),
        ("disk/by-id/7", "8", True),
    ],
)
def test_an_entry_about_another_medium_is_stale(link: str, diskseq: str, is_fresh: bool) -> None:
    assert udevdb.parse(f"S:{link}\n").is_of(diskseq) is is_fresh


def test_a_node_in_a_folder_is_named_by_its_path() -> None:
    assert replace(DISK, name="cciss!c0d0").device_name == "cciss/c0d0"
