"""Volumes that are known by what they are: which of this host's block devices each one is.

A provider that has made a device itself says which it is, and is believed. One that attaches what was made elsewhere
knows it by a World Wide Name, a hardware id, a serial number or a bus address: its device may have another name each
time, and is to be seen before anything is done with it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from undercroft.linux.devices import Target, device_path, match
from undercroft_hookspecs import PermanentError
from undercroft_storageprovisioner.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs import AttachInfo, BlockDevice, BlockDeviceView
    from undercroft_hookspecs.storage_state import Volume

SEEN_SECONDS = 30.0
"""For a device that was attached and is not to be seen: then the step has failed, and is taken again later."""
_BY_CONTENT = Path("/dev/disk/by-uuid")


def is_identified(volume: Volume, info: AttachInfo) -> bool:
    """Whether a volume is known by what it is, and not by the name of its device."""
    known = volume.info
    has_identity = bool(info.bus_address or (known is not None and (known.hardware_id or known.wwn)))
    return has_identity or not (info.device_name or info.device_link)


def find(devices: Sequence[BlockDevice], volume: Volume, info: AttachInfo) -> BlockDevice | None:
    """The device that an identified volume is; None while it is not to be seen. Names and links are not asked."""
    return match(devices, _target(volume, info))


async def located(view: BlockDeviceView | None, volume: Volume, info: AttachInfo) -> AttachInfo:
    """Where an identified volume is on this host, once it is to be seen.

    Raises:
        PermanentError: nobody tells which devices there are.
        TimeoutError: it is not to be seen.
    """
    if view is None:
        raise PermanentError(f"it is not known which device volume {volume.id} is")
    try:
        async with asyncio.timeout(SEEN_SECONDS):
            found = await _seen(view, volume, info)
    except TimeoutError as error:
        message = f"volume {volume.id} is attached, and none of this host's devices is it: {_known_by(volume, info)}"
        raise TimeoutError(message) from error
    path = await in_thread(_path, found, _target(volume, info))
    return msgspec.structs.replace(info, device_name=found.device_name, device_link=path)


async def _seen(view: BlockDeviceView, volume: Volume, info: AttachInfo) -> BlockDevice:
    async with view.watch_block_devices() as states:
        async for devices in states:
            found = find(devices, volume, info)
            if found is not None:
                return found
    raise PermanentError("nobody tells any more which devices there are")


def _target(volume: Volume, info: AttachInfo) -> Target:
    known = volume.info
    if known is None:
        return Target(bus_address=info.bus_address)
    return Target(
        provider_id=known.provider_id,
        hardware_id=known.hardware_id,
        wwn=known.wwn,
        bus_address=info.bus_address,
    )


def _path(device: BlockDevice, target: Target) -> str:
    """A link that is the same after the next boot, if there is one: what is on a device is no name for it."""
    path = device_path(device, target)
    return str(path) if path.parent not in (_BY_CONTENT, Path("/dev")) and path.exists() else ""


def _known_by(volume: Volume, info: AttachInfo) -> str:
    target = _target(volume, info)
    words = {
        "World Wide Name": target.wwn,
        "hardware id": target.hardware_id,
        "bus address": target.bus_address,
        "provider's id": target.provider_id,
    }
    return ", ".join(f"{name} {value}" for name, value in words.items() if value)
