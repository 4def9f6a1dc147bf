from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest
from plugins.diskmanager.tests.conftest import Machine

from undercroft_diskmanager import claims
from undercroft_diskmanager.lister import Lister, ListingError
from undercroft_diskmanager.sysfs import Roots, Sysfs
from undercroft_diskmanager.touched import EVERYTHING, Pending, Touched
from undercroft_hookspecs.agent import Completed

EXT4 = "E:ID_FS_TYPE=ext4\nE:ID_FS_UUID=u-1\nE:ID_FS_LABEL=data\n"


def touch(*names: str, claims: bool = False) -> Touched:
    return Touched(frozenset(names), claims)


async def test_disks_partitions_and_loops_are_listed_in_order(machine: Machine) -> None:
    machine.add("sdb", "8:16", udev="")
    disk = "/devices/pci0/block"
    machine.add("sda", "8:0", mib=100, udev="")
    machine.add("sda1", "8:1", parent=f"{disk}/sda", devtype="partition", mib=0.001, udev=EXT4)
    machine.add("loop0", "7:0", udev="")
    machine.add("fd0", "2:0", udev="")
    machine.add("sr0", "11:0", udev="")

    devices = await machine.list()

    assert [(name, device.kind, device.size_mib) for name, device in devices.items()] == [
        ("loop0", "loop", 100),
        ("sda", "disk", 100),
        ("sda1", "part", 0),
        ("sdb", "disk", 100),
    ]
    assert (devices["sda1"].filesystem_type, devices["sda1"].uuid, devices["sda1"].label) == ("ext4", "u-1", "data")


async def test_scsi_devices_have_bus_address_hardware_id_and_wwn(machine: Machine) -> None:
    parent = "/devices/pci0/host1/target1:2:3/1:2:3:4/block"
    entry = "E:ID_BUS=scsi\nE:ID_SERIAL=s\nE:ID_WWN=0x5\nE:ID_WWN_WITH_EXTENSION=0x5001\n"
    machine.add("sda", "8:0", parent=parent, files={"device/type": "0\n"}, udev=entry)
    machine.add("sda1", "8:1", parent=f"{parent}/sda", devtype="partition", udev=entry)

    devices = await machine.list()

    for name in ("sda", "sda1"):
        device = devices[name]
        assert (device.bus_address, device.hardware_id, device.serial_id) == ("scsi@1:2.3.4", "scsi-s", "s")
        assert device.wwn == "0x5001"


async def test_a_scsi_device_that_is_no_disk_is_left_out(machine: Machine) -> None:
    machine.add("sda", parent="/devices/pci0/host1/target1:0:0/1:0:0:0/block", files={"device/type": "5\n"})

    assert await machine.list() == {}


async def test_a_device_without_a_node_is_left_out(machine: Machine) -> None:
    machine.add("sda", udev="")
    (machine.roots.dev / "sda").unlink()

    assert await machine.list() == {}


async def test_a_node_that_cannot_be_opened_is_in_use_and_not_asked(machine: Machine) -> None:
    """A socket gives ENXIO, whoever opens it; so does a disk without a medium."""
    machine.add("sda")
    (machine.roots.dev / "sda").unlink()
    with socket.socket(socket.AF_UNIX) as node:
        node.bind(os.path.relpath(machine.roots.dev / "sda"))

        devices = await machine.list()

    assert devices["sda"].in_use
    assert machine.process.calls == []
    assert machine.lister.doubtful == frozenset()


async def test_sizes_and_numbers_that_make_no_sense_leave_the_device_out(machine: Machine) -> None:
    machine.add("sda", files={"size": "eleventy\n"})
    machine.add("sdb", "8:16", udev="")

    assert list(await machine.list()) == ["sdb"]


async def test_blkid_is_asked_where_udev_lacks_the_device(machine: Machine) -> None:
    said = b"ID_FS_LABEL_ENC=d\\x20a\nID_FS_UUID=u\nID_FS_TYPE=xfs\n"
    machine.process.answer("blkid", Completed((), 0, said))
    machine.add("sda")

    devices = await machine.list()

    assert (devices["sda"].filesystem_type, devices["sda"].uuid, devices["sda"].label) == ("xfs", "u", "d a")
    assert machine.process.calls[0].argv == ("blkid", "-p", "-o", "udev", str(machine.roots.dev / "sda"))


@pytest.mark.parametrize("name", ["zram0", "nbd0"])
async def test_blkid_is_asked_about_what_udev_passes_over(machine: Machine, name: str) -> None:
    machine.process.answer("blkid", Completed((), 0, b"ID_FS_TYPE=ext2\n"))
    machine.add(name, "253:0", udev="I:1\n")

    assert (await machine.list())[name].filesystem_type == "ext2"


async def test_udev_is_not_believed_about_a_medium_that_has_gone(machine: Machine) -> None:
    machine.process.answer("blkid", Completed((), 0, b"ID_FS_TYPE=xfs\n"))
    machine.add("loop0", "7:0", uevent="DISKSEQ=12\n", udev="S:disk/by-diskseq/11\nE:ID_SERIAL=old\n" + EXT4)

    device = (await machine.list())["loop0"]

    assert (device.filesystem_type, device.serial_id, device.device_links) == ("xfs", "", ())


async def test_a_partition_is_of_its_disks_medium(machine: Machine) -> None:
    machine.add("loop0", "7:0", uevent="DISKSEQ=12\n", udev="", files={"diskseq": "12\n"})
    entry = "S:disk/by-diskseq/12-part1\n" + EXT4
    parent = "/devices/pci0/block/loop0"
    machine.add("loop0p1", "259:0", parent=parent, devtype="partition", udev=entry)

    assert (await machine.list())["loop0p1"].filesystem_type == "ext4"


async def test_a_partition_that_has_outlived_its_loop_device_is_left_out(machine: Machine) -> None:
    machine.add("loop0", "7:0", mib=0, udev="")
    machine.add("loop0p1", "259:0", parent="/devices/pci0/block/loop0", devtype="partition", udev="")

    assert await machine.list() == {}


async def test_without_udevd_its_old_word_on_filesystems_does_not_count_and_that_on_hardware_does(
    machine: Machine,
) -> None:
    machine.process.answer("blkid", Completed((), 2))
    machine.add("sda", udev="E:ID_BUS=ata\nE:ID_SERIAL=s\n" + EXT4)

    device = (await machine.list(udev_lives=False))["sda"]

    assert (device.filesystem_type, device.hardware_id) == ("", "ata-s")


async def test_where_it_is_mounted_is_the_first_place_that_shows_all_of_it(machine: Machine) -> None:
    machine.add("sda", udev="")
    machine.add("sdb", "8:16", udev="")
    machine.mount(
        "8:0 /sub /bind ext4 /dev/sda",
        "8:0 / /srv\\040data ext4 /dev/sda",
        "8:0 / /again ext4 /dev/sda",
        "8:16 /only /bound ext4 /dev/sdb",
    )

    devices = await machine.list()

    assert devices["sda"].mount_point == "/srv data"
    assert devices["sdb"].mount_point == "/bound"


async def test_a_filesystem_with_a_number_of_its_own_is_found_by_its_source(machine: Machine) -> None:
    machine.add("sda", udev="")
    (machine.roots.dev / "mapper").mkdir()
    (machine.roots.dev / "mapper/name").symlink_to("../sda")
    machine.mount(
        f"0:40 / /srv btrfs {machine.roots.dev}/mapper/name",
        "0:41 / /proc proc proc",
        f"0:42 / /x y {machine.roots.dev}/../outside",
    )

    assert (await machine.list())["sda"].mount_point == "/srv"


async def test_swap_is_no_mount_point(machine: Machine) -> None:
    machine.add("sda", udev="")
    machine.swap("sda")

    assert (await machine.list())["sda"].mount_point == ""
    assert claims.read(machine.roots, {}) == {"sda": claims.SWAP}


async def test_a_kernel_without_swap_has_no_swaps(machine: Machine) -> None:
    machine.roots.swaps.unlink()

    assert claims.read(machine.roots, {}) == {}


async def test_only_what_was_touched_is_read_again(machine: Machine) -> None:
    sda = machine.add("sda", udev="")
    sdb = machine.add("sdb", "8:16", udev="")
    await machine.list()
    for folder in (sda, sdb):
        (folder / "size").write_text("4096\n")

    devices = await machine.list(touch("sda"))

    assert (devices["sda"].size_mib, devices["sdb"].size_mib) == (2, 100)


async def test_a_touched_device_may_be_new_or_gone(machine: Machine) -> None:
    machine.add("sda", udev="")
    await machine.list()
    machine.remove("sda")
    machine.add("cciss!c0d0", "104:0", udev="")
    pending = Pending()
    pending.touch("sda")
    pending.touch("cciss/c0d0")

    devices = await machine.list(await pending.take())

    assert list(devices) == ["cciss/c0d0"]


async def test_everything_includes_what_has_gone(machine: Machine) -> None:
    machine.add("sda", udev="")
    await machine.list()
    machine.remove("sda")

    assert await machine.list() == {}


async def test_a_mount_is_read_again_with_the_disk_and_all_its_partitions(machine: Machine) -> None:
    parent = machine.add("sda", udev="")
    part = {"parent": "/devices/pci0/block/sda", "devtype": "partition", "udev": ""}
    first = machine.add("sda1", "8:1", parent="/devices/pci0/block/sda", devtype="partition", udev="")
    machine.add("sda2", "8:2", parent=part["parent"], devtype="partition", udev="")
    other = machine.add("sdb", "8:16", udev="")
    await machine.list()
    for folder in (parent, first, other):
        (folder / "size").write_text("2048\n")
    machine.mount("8:2 / /srv ext4 /dev/sda2")

    devices = await machine.list(touch(claims=True))

    assert devices["sda2"].mount_point == "/srv"
    assert [devices[name].size_mib for name in ("sda", "sda1", "sdb")] == [1, 1, 100]


async def test_mounts_of_other_things_read_no_device_again(machine: Machine) -> None:
    folder = machine.add("sda", udev="")
    await machine.list()
    (folder / "size").write_text("2048\n")
    machine.mount("0:50 / /run/user/0 tmpfs tmpfs", "0:51 / /x overlay overlay")

    assert (await machine.list(touch(claims=True)))["sda"].size_mib == 100


async def test_an_array_is_read_again_with_the_disks_it_is_made_of_when_it_comes_and_when_it_goes(
    machine: Machine,
) -> None:
    disk = machine.add("sda", udev="")
    await machine.list()
    machine.add("md0", "9:0", files={"slaves/sda": ""}, parent="/devices/virtual/block")
    (disk / "size").write_text("4096\n")

    came = await machine.list(touch("md0"))
    machine.remove("md0")
    (disk / "size").write_text("6144\n")
    went = await machine.list(touch("md0"))

    assert (came["sda"].size_mib, went["sda"].size_mib) == (2, 3)
    assert list(went) == ["sda"]


def test_a_device_that_is_part_of_another_is_held(machine: Machine) -> None:
    machine.add("sda", files={"holders/md0": ""})
    machine.add("sdb", "8:16", files={"slaves/x": ""})
    machine.add("dm-0", "252:0")
    sysfs = Sysfs(machine.roots)
    nodes = [sysfs.node(name) for name in ("sda", "sdb", "dm-0")]

    assert [sysfs.is_held(node) for node in nodes if node is not None] == [True, False, False]
    assert [node.lower for node in nodes if node is not None] == [(), (), ()]


async def test_a_device_of_the_same_name_in_another_place_is_another_device(machine: Machine) -> None:
    machine.add("sda", "8:0", udev="E:ID_SERIAL=old\n")
    before = await machine.list()
    machine.remove("sda")
    parent = "/devices/pci0/host9/target9:0:0/9:0:0:1/block"
    machine.add("sda", "8:32", parent=parent, udev="E:ID_SERIAL=new\nE:ID_BUS=scsi\n")
    after = await machine.list()

    assert (before["sda"].serial_id, after["sda"].serial_id) == ("old", "new")
    assert after["sda"].bus_address == "scsi@9:0.0.1"


async def test_a_new_entry_of_udev_is_noticed(machine: Machine) -> None:
    machine.add("sda", udev=EXT4)
    await machine.list()
    (machine.roots.udev / "data/b8:0").unlink()
    machine.udev("8:0", EXT4.replace("u-1", "u-2"))

    assert (await machine.list())["sda"].uuid == "u-2"


async def test_a_machine_without_sysfs_is_an_error_that_says_so(tmp_path: Path, machine: Machine) -> None:
    lister = Lister(machine.lister._filesystems, roots=Roots(sys=tmp_path / "absent"))

    with pytest.raises(ListingError, match=r"cannot list the block devices: .* is .*/absent mounted"):
        await lister.refresh(EVERYTHING, udev_lives=False)


async def test_what_is_touched_is_gathered_until_it_is_taken() -> None:
    pending = Pending()
    taking = asyncio.ensure_future(pending.take())
    await asyncio.sleep(0)

    for _ in range(1000):
        pending.touch("sda")
    pending.touch_claims()

    assert await taking == Touched(frozenset({"sda"}), claims=True)
    pending.touch_everything()
    assert await pending.take() == EVERYTHING


async def test_a_broken_source_of_events_is_the_takers_error() -> None:
    pending = Pending()
    pending.fail(OSError("first"))
    pending.fail(OSError("second"))

    with pytest.raises(OSError, match="first"):
        await pending.take()
