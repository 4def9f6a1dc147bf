from __future__ import annotations

from pathlib import Path

import pytest

from undercroft.linux.devices import Target, device_path, match
from undercroft_hookspecs.errors import NotFoundError
from undercroft_hookspecs.records import BlockDevice

SDA = BlockDevice(device_name="sda", device_links=("/dev/disk/by-id/a", "/dev/disk/by-path/a"), serial_id="vol-12")
SDB = BlockDevice(device_name="sdb", hardware_id="scsi-b", wwn="0xb", bus_address="scsi@1:0.0.2")
SDC = BlockDevice(device_name="sdc", hardware_id="scsi-c", wwn="0xc", bus_address="scsi@1:0.0.3", uuid="cc")
PARTITION = BlockDevice(device_name="sda1", kind="part", device_links=("/dev/disk/by-id/a-part1",), uuid="aa")
ALL = (SDA, SDB, SDC)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(plan_hardware_id="scsi-b"), SDB),
        (Target(plan_wwn="0xc"), SDC),
        (Target(plan_device_name="sdb"), SDB),
        (Target(wwn="0xb"), SDB),
        (Target(hardware_id="scsi-c"), SDC),
        (Target(provider_id="vol-123456"), SDA),
        (Target(bus_address="scsi@1:0.0.3"), SDC),
        (Target(device_link="/dev/disk/by-path/a"), SDA),
        (Target(device_name="sdc"), SDC),
    ],
)
def test_each_rule_finds_its_device(target: Target, expected: BlockDevice) -> None:
    assert match(ALL, target) == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target(plan_hardware_id="scsi-b", wwn="0xc"), SDB),
        (Target(plan_wwn="0xb", plan_device_name="sdc"), SDB),
        (Target(plan_device_name="sdb", wwn="0xc"), SDB),
        (Target(wwn="0xb", hardware_id="scsi-c"), SDB),
        (Target(hardware_id="scsi-b", provider_id="vol-123"), SDB),
        (Target(provider_id="vol-123", bus_address="scsi@1:0.0.2"), SDA),
        (Target(bus_address="scsi@1:0.0.2", device_link="/dev/disk/by-id/a"), SDB),
        (Target(device_link="/dev/disk/by-id/a", device_name="sdc"), SDA),
    ],
)
def test_the_more_certain_rule_wins_over_all_devices(target: Target, expected: BlockDevice) -> None:
    assert match(ALL, target) == expected


def test_a_rule_that_finds_nothing_leaves_it_to_the_next() -> None:
    assert match(ALL, Target(wwn="0xgone", hardware_id="gone", device_name="sdb")) == SDB


def test_nothing_known_matches_nothing() -> None:
    assert match((BlockDevice(device_name=""), *ALL), Target()) is None


def test_no_devices_no_match() -> None:
    assert match((), Target(device_name="sda")) is None


def test_a_device_without_a_serial_is_not_every_volumes() -> None:
    assert match((SDB,), Target(provider_id="vol-12")) is None


def test_a_filesystem_may_be_on_the_links_first_partition() -> None:
    target = Target(device_link="/dev/disk/by-id/a")

    assert match((SDA, PARTITION), target, with_partition=True) == PARTITION
    assert match((SDA, PARTITION), target) == SDA


def test_without_a_filesystem_the_link_itself_is_taken() -> None:
    blank = BlockDevice(device_name="sda1", kind="part", device_links=PARTITION.device_links)

    assert match((SDA, blank), Target(device_link="/dev/disk/by-id/a"), with_partition=True) == SDA


@pytest.mark.parametrize(
    ("device", "target", "path"),
    [
        (SDB, Target(wwn="0xb", hardware_id="scsi-b"), "/dev/disk/by-id/wwn-0xb"),
        (SDB, Target(hardware_id="scsi-b", device_link="/x"), "/dev/disk/by-id/scsi-b"),
        (SDA, Target(device_link="/dev/disk/by-path/a"), "/dev/disk/by-path/a"),
        (SDB, Target(device_link="/dev/disk/by-path/a"), "/dev/sdb"),
        (SDB, Target(device_name="sdz"), "/dev/sdb"),
        (SDC, Target(provider_id="v"), "/dev/disk/by-id/wwn-0xc"),
        (SDA, Target(provider_id="v"), "/dev/disk/by-id/a"),
        (BlockDevice(device_name="sde", uuid="ee"), Target(), "/dev/disk/by-uuid/ee"),
        (BlockDevice(device_name="sde"), Target(), "/dev/sde"),
        (BlockDevice(device_name=""), Target(device_name="sdf"), "/dev/sdf"),
        (BlockDevice(device_name="", hardware_id="h"), Target(), "/dev/disk/by-id/h"),
    ],
)
def test_the_path_that_lasts_longest_is_preferred(device: BlockDevice, target: Target, path: str) -> None:
    assert device_path(device, target) == Path(path)


def test_a_volume_of_which_nothing_is_known_has_no_path() -> None:
    with pytest.raises(NotFoundError, match="'vol-1' has no name"):
        device_path(BlockDevice(device_name=""), Target(provider_id="vol-1"))
