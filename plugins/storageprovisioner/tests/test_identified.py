"""Volumes of a provider that knows them by what they are, and not by what their device is called today."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from plugins.storageprovisioner.tests.ground import Ground, until

from undercroft_hookspecs import (
    AttachInfo,
    AttachParams,
    BlockDevice,
    StorageProvider,
    VolumeId,
    VolumeInfo,
    VolumeParams,
)
from undercroft_hookspecs.charm import Charm, StorageSpec
from undercroft_hookspecs.storage_facades import WantedStorage

DISKS = Charm(name="keeper", sha256="sha-of-keeper", storage={"data": StorageSpec(type="block")})
WWN = "0x5000c500a1b2c3d4"


class Attributes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """None."""


class Cloud:
    """Volumes that are made elsewhere, and come to be seen here."""

    def __init__(self, info: VolumeInfo, attached: AttachInfo) -> None:
        self.info, self.attached = info, attached
        self.attempts = 0

    async def create(self, params: VolumeParams) -> VolumeInfo:
        return self.info

    async def attach(self, params: AttachParams) -> AttachInfo:
        self.attempts += 1
        return self.attached

    async def detach(self, params: AttachParams) -> None:
        pass

    async def destroy(self, volume: VolumeId) -> None:
        pass


def _disk(name: str, **known: str) -> BlockDevice:
    return BlockDevice(device_name=name, size_mib=64, **known)  # type: ignore[arg-type]


def _device(wanted: WantedStorage) -> str:
    """What the one volume is, as the model has it."""
    (held,) = wanted.volume_attachments.values()
    return held.info.device_name if held.info is not None else ""


@pytest.mark.parametrize(
    ("info", "attached", "disk"),
    [
        (VolumeInfo(provider_id="v", size_mib=64, wwn=WWN), AttachInfo(), {"wwn": WWN}),
        (VolumeInfo(provider_id="v", size_mib=64, hardware_id="scsi-1"), AttachInfo(), {"hardware_id": "scsi-1"}),
        (
            VolumeInfo(provider_id="v", size_mib=64),
            AttachInfo(bus_address="scsi@0:0.1.0"),
            {"bus_address": "scsi@0:0.1.0"},
        ),
        (VolumeInfo(provider_id="0123456789-and-more", size_mib=64), AttachInfo(), {"serial_id": "0123456789"}),
        # The name of last time is not believed where the provider says what it is.
        (VolumeInfo(provider_id="v", size_mib=64, wwn=WWN), AttachInfo(device_name="loop0"), {"wwn": WWN}),
    ],
)
async def test_device_is_found_by_what_the_provider_knows(
    ground: Ground, info: VolumeInfo, attached: AttachInfo, disk: dict[str, str]
) -> None:
    _provide(ground, Cloud(info, attached))
    await ground.devices.set_block_devices([_disk("loop0"), _disk("null", **disk)])
    async with ground.provisioning():
        storage = await ground.deploy("cloud,64M", DISKS)
        assert storage.location == "/dev/null"
        await ground.end()


async def test_device_that_is_not_to_be_seen_yet_is_waited_for(ground: Ground) -> None:
    cloud = Cloud(VolumeInfo(provider_id="v", size_mib=64, wwn=WWN), AttachInfo())
    _provide(ground, cloud)
    await ground.devices.set_block_devices([_disk("loop0")])
    async with ground.provisioning():
        await ground.world.deploy(DISKS, storage={"data": "cloud,64M"})
        await ground.world.start("keeper/0")
        await ground.of("keeper/0").attachments()
        await until(lambda: cloud.attempts > 0)
        assert not (await ground.of("keeper/0").attachments())[0].location
        await ground.devices.set_block_devices([_disk("loop0"), _disk("null", wwn=WWN)])
        assert (await ground.attached("keeper/0")).location == "/dev/null"
        await ground.end()


async def test_device_that_has_another_name_after_a_boot_is_found_again(ground: Ground) -> None:
    _provide(ground, Cloud(VolumeInfo(provider_id="v", size_mib=64, wwn=WWN), AttachInfo()))
    await ground.devices.set_block_devices([_disk("null", wwn=WWN), _disk("zero")])
    async with ground.provisioning():
        assert (await ground.deploy("cloud,64M", DISKS)).location == "/dev/null"
    await ground.devices.set_block_devices([_disk("null"), _disk("zero", wwn=WWN)])
    async with ground.provisioning():
        await ground.until(lambda wanted: _device(wanted) == "zero")
        await ground.end()


def _provide(ground: Ground, cloud: Cloud) -> None:
    def volumes(_: Attributes, __: Path) -> Cloud:
        return cloud

    ground.providers = {"cloud": StorageProvider(attributes=Attributes, volumes=volumes, scope="machine")}
