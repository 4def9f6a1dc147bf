"""The rules by which a device becomes a `BlockDevice`: pure functions of what /sys and udev say.

They are Juju's, so that whatever compares its records with ours sees the same names:

* kinds are `disk`, `part` and `loop`; floppies and RAM disks are left out, and so are loop, zram and nbd devices as
  long as there is nothing behind them;
* `hardware_id` is `<ID_BUS>-<ID_SERIAL>`, where both are known; `serial_id` is ID_SERIAL;
* `wwn` is ID_WWN_WITH_EXTENSION, else ID_WWN: the disks behind a RAID controller share the latter;
* `bus_address` is `scsi@H:C.T.L`, where ID_BUS is `scsi` and the device's path has these numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from undercroft_diskmanager.sysfs import Node
from undercroft_diskmanager.udevdb import Entry, Filesystem
from undercroft_hookspecs.records import BlockDevice

MIB = 1024 * 1024
RAM_MAJOR = 1
FLOPPY_MAJOR = 2
SCSI_DISK = "0"
# Not listed as disks: they are other things with a block device's face. Device-mapper targets and arrays are listed
# through the disks that they are made of, which are in use.
OTHER_PREFIXES = ("dm-", "md", "sr")
# There in numbers before anything is put in or connected.
EMPTY_PREFIXES = ("zram", "nbd")
SCSI_ADDRESS = re.compile(r"/(\d+):(\d+):(\d+):(\d+)/block/[^/]+(?:/[^/]+)?$")


def kind_of(node: Node) -> str | None:
    """`disk`, `part` or `loop`; None for what is not listed."""
    if node.devtype == "partition":
        return "part"
    if node.name.startswith("loop"):
        return "loop" if node.size_bytes else None
    if node.name.startswith(EMPTY_PREFIXES) and not node.size_bytes:
        return None
    if node.major in (RAM_MAJOR, FLOPPY_MAJOR) or node.name.startswith(OTHER_PREFIXES):
        return None
    return "disk" if node.scsi_type in ("", SCSI_DISK) else None


def hardware_id(properties: Mapping[str, str]) -> str:
    """`<bus>-<serial>`, where both are known."""
    bus, serial = properties.get("ID_BUS", ""), properties.get("ID_SERIAL", "")
    return f"{bus}-{serial}" if bus and serial else ""


def wwn(properties: Mapping[str, str]) -> str:
    """The World Wide Name, with its extension where there is one."""
    return properties.get("ID_WWN_WITH_EXTENSION") or properties.get("ID_WWN", "")


def bus_address(properties: Mapping[str, str], devpath: str) -> str:
    """`scsi@H:C.T.L`; empty for what is not a SCSI device, or has no such numbers in its path."""
    match = SCSI_ADDRESS.search(devpath) if properties.get("ID_BUS") == "scsi" else None
    return f"scsi@{match[1]}:{match[2]}.{match[3]}.{match[4]}" if match else ""


def build(
    node: Node, kind: str, entry: Entry | None, filesystem: Filesystem, *, in_use: bool, mount_point: str
) -> BlockDevice:
    """The record of a device."""
    properties = entry.properties if entry else {}
    return BlockDevice(
        device_name=node.device_name,
        kind=kind,
        device_links=tuple(sorted(f"/dev/{link}" for link in entry.links)) if entry else (),
        label=filesystem.label,
        uuid=filesystem.uuid,
        hardware_id=hardware_id(properties),
        wwn=wwn(properties),
        serial_id=properties.get("ID_SERIAL", ""),
        bus_address=bus_address(properties, node.devpath),
        size_mib=node.size_bytes // MIB,
        filesystem_type=filesystem.type,
        in_use=in_use,
        mount_point=mount_point,
    )


def with_filesystem(device: BlockDevice, filesystem: Filesystem) -> BlockDevice:
    """The record, with what has been found on the device."""
    return msgspec.structs.replace(
        device, filesystem_type=filesystem.type, uuid=filesystem.uuid, label=filesystem.label
    )
