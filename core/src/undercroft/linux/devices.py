"""Which of this host's block devices is a given volume, and by what path to use it. Pure rules, Juju's.

A provider knows its volume by some of: a World Wide Name, a hardware id, a serial number that its own id begins with, a
bus address, a link, a name. The rules go from what cannot be mistaken to what may change with the next boot; each is
tried on all devices before the next one is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from undercroft_hookspecs.errors import NotFoundError
from undercroft_hookspecs.records import BlockDevice

FIRST_PARTITION = "-part1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is known of a volume and its attachment; empty where nothing is.

    `plan_...` is what attaching it on the host has found out (iSCSI), and is believed first.
    """

    provider_id: str = ""
    hardware_id: str = ""
    wwn: str = ""
    device_name: str = ""
    device_link: str = ""
    bus_address: str = ""
    plan_hardware_id: str = ""
    plan_wwn: str = ""
    plan_device_name: str = ""


def match(devices: Sequence[BlockDevice], target: Target, *, with_partition: bool = False) -> BlockDevice | None:
    """The device that is the volume; None while it is not to be seen.

    `with_partition` is for a filesystem: where the volume is known by its link, the first partition will do too, and
    of the two the one that has a filesystem is taken.
    """
    for rule in _rules(target):
        found = next((device for device in devices if rule(device)), None)
        if found is not None:
            return found
    by_link = _by_link(devices, target.device_link, with_partition=with_partition)
    return by_link or _by_name(devices, target.device_name)


def device_path(device: BlockDevice, target: Target) -> Path:
    """The path to use the volume by: the one most likely to be the same after the next boot.

    What the provider says counts more than what was seen, for a link that is its own outlives a link of its content.

    Raises:
        NotFoundError: nothing is known that makes a path.
    """
    name = device.device_name or target.device_name
    if target.hardware_id or target.wwn or target.device_name or target.device_link:
        wwn, hardware_id, uuid = target.wwn, target.hardware_id, ""
        links: tuple[str, ...] = (target.device_link,) if target.device_link and device.device_links else ()
    else:
        wwn, hardware_id, uuid = device.wwn, device.hardware_id, device.uuid
        links = device.device_links
    if wwn:
        return Path("/dev/disk/by-id", f"wwn-{wwn}")
    if hardware_id:
        return Path("/dev/disk/by-id", hardware_id)
    if links:
        return Path(links[0])
    if uuid:
        return Path("/dev/disk/by-uuid", uuid)
    if not name:
        raise NotFoundError(target.provider_id, f"volume {target.provider_id!r} has no name, link or id to find it by")
    return Path("/dev", name)


def _rules(target: Target) -> Sequence[Callable[[BlockDevice], bool]]:
    """The rules by what belongs to the device, in order of trust; an empty value never matches an empty one."""
    return (
        lambda device: bool(target.plan_hardware_id) and device.hardware_id == target.plan_hardware_id,
        lambda device: bool(target.plan_wwn) and device.wwn == target.plan_wwn,
        lambda device: bool(target.plan_device_name) and device.device_name == target.plan_device_name,
        lambda device: bool(target.wwn) and device.wwn == target.wwn,
        lambda device: bool(target.hardware_id) and device.hardware_id == target.hardware_id,
        # A virtio serial number holds 20 characters: what it is cut from is the volume's id.
        lambda device: bool(device.serial_id) and target.provider_id.startswith(device.serial_id),
        lambda device: bool(target.bus_address) and device.bus_address == target.bus_address,
    )


def _by_link(devices: Sequence[BlockDevice], link: str, *, with_partition: bool) -> BlockDevice | None:
    if not link:
        return None
    links = {link, link + FIRST_PARTITION} if with_partition else {link}
    found = [device for device in devices if links.intersection(device.device_links)]
    with_filesystem = (device for device in found if with_partition and device.uuid)
    return next(with_filesystem, found[0] if found else None)


def _by_name(devices: Sequence[BlockDevice], name: str) -> BlockDevice | None:
    return next((device for device in devices if name and device.device_name == name), None)
