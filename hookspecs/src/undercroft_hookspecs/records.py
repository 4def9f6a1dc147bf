"""Records that packages exchange: frozen structs, so that a new field with a default is a minor version."""

from __future__ import annotations

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The base of every record. They hold plain data, never themselves: the garbage collector is spared them."""


class BlockDevice(Record, frozen=True, kw_only=True):
    """A block device of a host, as its disk manager sees it."""

    device_name: str
    """The kernel's name, without `/dev/`: `sdb`, `nvme0n1p1`."""
    kind: str = "disk"
    """`disk`, `part` or `loop`."""
    device_links: tuple[str, ...] = ()
    """The links under `/dev` that point to it, sorted."""
    label: str = ""
    """The filesystem's label."""
    uuid: str = ""
    """The filesystem's UUID."""
    hardware_id: str = ""
    """`<bus>-<serial>`, where both are known."""
    wwn: str = ""
    """The World Wide Name, with its extension where there is one."""
    serial_id: str = ""
    """The serial number as udev has it."""
    bus_address: str = ""
    """`scsi@H:C.T.L`, for SCSI devices."""
    size_mib: int = 0
    """The size in MiB, rounded down."""
    filesystem_type: str = ""
    """The type of what is on it: `ext4`, `crypto_LUKS`, `swap`."""
    in_use: bool = False
    """Somebody holds it: it is mounted, part of another device, or cannot be opened."""
    mount_point: str = ""
    """Where it is mounted; the first place, if there are several."""
