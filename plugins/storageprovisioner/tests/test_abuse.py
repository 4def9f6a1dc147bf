"""What was not meant to be: places, devices and files that are somebody else's, in use, replaced, or gone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from plugins.diskmanager.tests.conftest import Udevd, no_udevd, stopped_udevd, udevd
from plugins.storageprovisioner.tests.conftest import needs
from plugins.storageprovisioner.tests.ground import Ground, until

from undercroft.clock import SystemClock
from undercroft.linux import mountinfo
from undercroft.process import SystemProcess
from undercroft_hookspecs import (
    AttachParams,
    Completed,
    MachineId,
    NotFoundError,
    NotValidError,
    PermanentError,
    VolumeId,
)
from undercroft_hookspecs.storage import VolumeParams
from undercroft_model.units import remove_unit
from undercroft_storageprovisioner.linux import loops, mounts
from undercroft_storageprovisioner.linux.formatting import Formatter, Wish
from undercroft_storageprovisioner.providers.loop import LoopVolumes

__all__ = ["no_udevd", "stopped_udevd", "udevd"]

MIB = 1024 * 1024
VOLUME = VolumeId.parse("0/0")
HELD = AttachParams(entity=VOLUME, provider_id="volume-0-0", machine=MachineId.parse("0"))
root = needs()


@pytest.mark.parametrize("path", ["/", "/etc", "/etc/x", "/usr/lib/x", "/srv", "/var/lib", "/proc/1", "/dev/shm/x"])
def test_system_is_not_mounted_on(path: str) -> None:
    with pytest.raises(NotValidError, match="the system's") as caught:
        mounts.check_place(Path(path))

    assert caught.value.field == "path"


@pytest.mark.parametrize("path", ["relative", "/srv/../etc", "/srv/a\nb", "/srv/a\x07"])
def test_place_that_is_not_plain_is_refused(path: str) -> None:
    with pytest.raises(NotValidError, match="absolute and plain"):
        mounts.check_place(Path(path))


@pytest.mark.parametrize("where", ["link", "link/below"])
def test_symbolic_link_is_never_followed(where: str, tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")

    with pytest.raises(NotValidError, match="symbolic link"):
        mounts.open_mount_point(tmp_path / where, make=True)

    assert not list((tmp_path / "target").iterdir())


def test_file_is_no_mount_point(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(NotValidError, match="no folder"):
        mounts.open_mount_point(tmp_path / "file", make=True)


def test_nothing_mounted_is_nothing_to_unmount(tmp_path: Path) -> None:
    mounts.unmount(tmp_path)
    mounts.unmount(tmp_path / "absent")


async def test_program_that_is_missing_is_named_with_its_package(tmp_path: Path) -> None:
    device, formatter = tmp_path / "device", Formatter(Without("mkfs.xfs"), tmp_path / "notes")
    with device.open("wb") as file:
        file.truncate(4 * MIB)

    with pytest.raises(PermanentError, match="install xfsprogs"):
        await formatter.ensure(device, Wish(kind="xfs", name="model/0/0", label="data/0"))


class Without(SystemProcess):
    """A system that lacks a program."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    async def run(self, argv: Sequence[str], **options: Any) -> Completed:  # Any: as run's.
        """Run another one."""
        if argv[0] == self._program:
            raise NotFoundError(self._program)
        return await super().run(argv, **options)


def ext4(device: Path) -> None:
    """A filesystem of somebody else's."""
    subprocess.run(["mkfs.ext4", "-q", "-F", device], check=True)


def damaged(device: Path) -> None:
    """One whose superblock is gone: no probe sees anything."""
    ext4(device)
    with device.open("r+b") as file:
        file.write(bytes(MIB))


def text(device: Path) -> None:
    """Something at the end that is no filesystem."""
    with device.open("r+b") as file:
        file.seek(-100, os.SEEK_END)
        file.write(b"precious")


@needs("mkfs.ext4")
@pytest.mark.slow_callbacks
@pytest.mark.parametrize(("make", "said"), [(ext4, "holds ext4"), (damaged, "something at byte"), (text, "at byte")])
async def test_what_holds_something_is_never_formatted(make: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    device = tmp_path / "device"
    with device.open("wb") as file:
        file.truncate(16 * MIB)
    make(device)
    before = device.read_bytes()

    with pytest.raises(PermanentError, match=said):
        await Formatter(SystemProcess(), tmp_path / "notes").ensure(
            device, Wish(kind="ext4", name="model/0/0", label="data/0")
        )

    assert device.read_bytes() == before
    assert not (tmp_path / "notes").exists()


@pytest.mark.root
@needs("mkfs.ext4")
@pytest.mark.slow_callbacks
async def test_what_was_formatted_is_not_formatted_again(tmp_path: Path) -> None:
    device, formatter = tmp_path / "device", Formatter(SystemProcess(), tmp_path / "notes")
    with device.open("wb") as file:
        file.truncate(16 * MIB)
    wish = Wish(kind="ext4", name="model/0/0", label="a label that is longer than sixteen bytes")
    await formatter.ensure(device, wish)
    before = device.read_bytes()

    await formatter.ensure(device, wish)

    assert device.read_bytes() == before


@pytest.mark.root
@root
async def test_failed_attachment_keeps_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Juju removes it, with all that is in it."""
    volumes = LoopVolumes(tmp_path, SystemClock())
    await volumes.create(VolumeParams(volume=VOLUME, size_mib=1))
    monkeypatch.setattr(loops, "LOOP_CONTROL", tmp_path / "absent")

    with pytest.raises(FileNotFoundError):
        await volumes.attach(HELD)

    assert (tmp_path / "loop/volume-0-0").stat().st_size == MIB


@pytest.mark.root
@root
@pytest.mark.slow_callbacks
async def test_full_disk_leaves_no_half_file(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mounts.mount("small", place, "tmpfs", options="size=4m")
    try:
        with pytest.raises(PermanentError, match="has room for"):
            await LoopVolumes(place, SystemClock()).create(VolumeParams(volume=VOLUME, size_mib=64))
        assert not list((place / "loop").iterdir())
    finally:
        mounts.unmount(place)


async def test_smaller_file_and_link_are_refused(tmp_path: Path) -> None:
    volumes, file = LoopVolumes(tmp_path, SystemClock()), tmp_path / "loop/volume-0-0"
    await volumes.create(VolumeParams(volume=VOLUME, size_mib=1))
    with pytest.raises(PermanentError, match="grow the volume"):
        await volumes.create(VolumeParams(volume=VOLUME, size_mib=2))
    file.unlink()
    file.symlink_to("/etc/passwd")
    with pytest.raises(PermanentError, match="no file of ours"):
        await volumes.create(VolumeParams(volume=VOLUME, size_mib=1))


@pytest.mark.root
@root
@pytest.mark.slow_callbacks
async def test_file_removed_under_its_loop_device_is_given_back_all_the_same(tmp_path: Path) -> None:
    volumes = LoopVolumes(tmp_path, SystemClock())
    await volumes.create(VolumeParams(volume=VOLUME, size_mib=1))
    info = await volumes.attach(HELD)
    (tmp_path / "loop/volume-0-0").unlink()

    with pytest.raises(NotFoundError, match="is missing"):
        await volumes.attach(HELD)
    await volumes.detach(HELD)

    assert info.device_name not in [loop.name for loop in loops.all_loops()]


@pytest.mark.root
@root
@pytest.mark.slow_callbacks
async def test_two_loop_devices_over_one_file_are_both_given_back(tmp_path: Path) -> None:
    volumes, file = LoopVolumes(tmp_path, SystemClock()), tmp_path / "loop/volume-0-0"
    await volumes.create(VolumeParams(volume=VOLUME, size_mib=1))
    first, second = loops.attach(file, read_only=False), loops.attach(file, read_only=False)

    info = await volumes.attach(HELD)
    assert info.device_name in (first.name, second.name)
    await volumes.detach(HELD)

    assert not loops.loops_of(file)


@pytest.mark.root
@needs("mkfs.ext4")
@pytest.mark.slow_callbacks
async def test_busy_unmount_names_who_holds_it(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("loop,16M")
        with subprocess.Popen(["sleep", "60"], cwd=storage.location) as holder:
            try:
                await ground.world.run(remove_unit, "keeper/0", force=True)
                await ground.world.reap()
                found = await ground.until(
                    lambda wanted: any(each.status.message for each in wanted.filesystems.values())
                )
            finally:
                holder.kill()
    (filesystem,) = found.filesystems.values()
    assert filesystem.status.current == "detaching"
    assert f"sleep (pid {holder.pid})" in filesystem.status.message
    assert storage.location in filesystem.status.message
    async with ground.provisioning():  # A restart forgets that it was to wait.
        await ground.gone()


@pytest.mark.root
@needs("mkfs.ext4")
@pytest.mark.slow_callbacks
async def test_what_is_mounted_at_our_place_is_not_taken_for_ours(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("loop,16M")
    place = Path(storage.location)
    mounts.unmount(place)
    mounts.mount("theirs", place, "tmpfs")
    try:
        async with ground.provisioning():
            assert "theirs (tmpfs) is mounted there" in await ground.refusal()
            assert mounts.at(place) is not None
    finally:
        mounts.unmount(place)
    async with ground.provisioning():
        await until(lambda: mounts.at(place) is not None)
        await ground.end()


@pytest.mark.root
@needs("mkfs.ext4")
async def test_with_udevd_it_is_the_same(ground: Ground, udevd: Udevd) -> None:
    await _there_and_back(ground)


@pytest.mark.root
@needs("mkfs.ext4")
async def test_without_udevd_it_is_the_same(ground: Ground, no_udevd: None) -> None:
    await _there_and_back(ground)


async def _there_and_back(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("loop,16M")
        (found,) = [mount for mount in mountinfo.read() if mount.target == storage.location]
        assert found.filesystem_type == "ext4"
        await ground.end()
