"""What is mounted is still what was mounted, or is said not to be; and what is not ours is not touched."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from plugins.storageprovisioner.tests.conftest import needs
from plugins.storageprovisioner.tests.ground import Ground, until

from undercroft.clock import SystemClock
from undercroft.linux import mountinfo
from undercroft.process import SystemProcess
from undercroft.testing import FakeClock
from undercroft_hookspecs import (
    AttachParams,
    CommandFailedError,
    Completed,
    MachineId,
    PermanentError,
    VolumeId,
    VolumeParams,
)
from undercroft_hookspecs.storage_facades import WantedStorage
from undercroft_model.units import remove_unit
from undercroft_storageprovisioner.linux import loops, mounts
from undercroft_storageprovisioner.linux.formatting import Formatter, Wish
from undercroft_storageprovisioner.plugin import Config
from undercroft_storageprovisioner.providers.loop import LoopVolumes

pytestmark = [pytest.mark.root, pytest.mark.slow_callbacks, needs("mkfs.ext4")]

VOLUME = VolumeId.parse("0/0")
HELD = AttachParams(entity=VOLUME, provider_id="volume-0-0", machine=MachineId.parse("0"))
MIB = 1024 * 1024


def status(wanted: WantedStorage) -> tuple[str, str]:
    """How the one filesystem is, and what is said of it."""
    (filesystem,) = wanted.filesystems.values()
    return filesystem.status.current, filesystem.status.message


def is_said(current: str, part: str = "") -> Callable[[WantedStorage], bool]:
    """A condition."""
    return lambda wanted: status(wanted)[0] == current and part in status(wanted)[1]


@contextmanager
def theirs(folder: Path) -> Iterator[Path]:
    """Another ext4 on another loop device, of somebody else's, with something in it."""
    image, place = folder / "theirs.img", folder / "theirs"
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image), "16M"], check=True)
    loop = loops.attach(image, read_only=False)
    mounts.mount(str(loop.path), place, "ext4")
    (place / "precious").write_text("theirs")
    mounts.unmount(place)
    try:
        yield loop.path
    finally:
        for mount in mountinfo.read():
            if mount.source == str(loop.path):
                mounts.unmount(Path(mount.target))
        loops.detach(loop)


async def test_other_filesystem_in_the_place_of_ours_is_an_error_until_it_is_gone(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("loop,16M")
        place = Path(storage.location)
        (place / "kept").write_text("ours")
        await ground.until(is_said("attached"))
        with theirs(ground.folder) as device:
            mounts.unmount(place)
            subprocess.run(["mount", str(device), str(place)], check=True)  # It may be over ours, mounted meanwhile.
            _, message = status(await ground.until(is_said("error")))
            assert f"{device} (ext4) is mounted there" in message
            assert f"umount {place}" in message
            assert (place / "precious").read_text() == "theirs"
            mounts.unmount(place)
            await ground.until(is_said("attached"))
        assert (place / "kept").read_text() == "ours"
        await ground.end()


async def test_other_filesystem_over_ours_is_an_error_and_ours_is_not_taken_from_below_it(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("loop,16M")
        place = Path(storage.location)
        await ground.until(is_said("attached"))
        with theirs(ground.folder) as device:
            subprocess.run(["mount", str(device), str(place)], check=True)
            await ground.until(is_said("error", "is mounted there"))
            await ground.world.run(remove_unit, "keeper/0", force=True)
            await ground.world.reap()
            await ground.until(is_said("detaching", "which is mounted over it"))
            assert (place / "precious").read_text() == "theirs"
    async with ground.provisioning():  # A restart forgets that it was to wait.
        await ground.gone()


@pytest.mark.parametrize("directive", ["rootfs,1M", "tmpfs,1M"])
async def test_bound_folder_and_memory_are_known_again_too(ground: Ground, directive: str) -> None:
    async with ground.provisioning():
        storage = await ground.deploy(directive)
        place = Path(storage.location)
        await ground.until(is_said("attached"))
        mounts.mount("theirs", ground.folder / "elsewhere", "tmpfs")
        subprocess.run(["mount", "--bind", str(ground.folder / "elsewhere"), str(place)], check=True)
        await ground.until(is_said("error", "is mounted there"))
        mounts.unmount(place)
        await ground.until(is_said("attached"))
        mounts.unmount(ground.folder / "elsewhere")
        await ground.end()


async def test_uuid_that_has_changed_is_seen_at_the_next_look_at_everything(ground: Ground) -> None:
    clock = FakeClock()
    ground.agent.clock = clock
    async with ground.provisioning():
        storage = await ground.deploy("loop,16M")
        await ground.until(is_said("attached"))
        device = next(mount.source for mount in mountinfo.read() if mount.target == storage.location)
        before = subprocess.run(["blkid", "-s", "UUID", "-o", "value", device], check=True, capture_output=True)
        with Path(device).open("r+b") as written:  # As who restores another image over a device that is in use.
            written.seek(1024 + 104)
            written.write(os.urandom(16))
        await clock.advance(Config().resync_seconds)
        _, message = status(await ground.until(is_said("error")))
        assert f"mounted on {storage.location}: give it its UUID back" in message
        with Path(device).open("r+b") as written:
            written.seek(1024 + 104)
            written.write(bytes.fromhex(before.stdout.decode().strip().replace("-", "")))
        await clock.advance(Config().resync_seconds)
        await ground.until(is_said("attached"))
        await ground.end()


async def test_device_that_somebody_else_has_mounted_is_waited_for_and_he_is_named(ground: Ground) -> None:
    clock = FakeClock()
    ground.agent.clock = clock
    async with ground.provisioning():
        storage = await ground.deploy("loop,16M")
        device = next(mount.source for mount in mountinfo.read() if mount.target == storage.location)
        elsewhere = ground.folder / "elsewhere"
        elsewhere.mkdir()
        subprocess.run(["mount", device, str(elsewhere)], check=True)
        with subprocess.Popen(["sleep", "60"], cwd=elsewhere) as holder:
            try:
                await ground.world.run(remove_unit, "keeper/0", force=True)
                await ground.world.reap()
                wanted = await ground.until(lambda found: found.volumes["0/0"].status.message)
            finally:
                holder.kill()
        said = wanted.volumes["0/0"].status
        assert said.current == "detaching"
        assert f"umount {elsewhere}" in said.message
        assert f"sleep (pid {holder.pid})" in said.message
        mounts.unmount(elsewhere)
        await _hurried(clock, ground.gone())


async def test_device_that_somebody_else_has_open_names_him(tmp_path: Path) -> None:
    clock = FakeClock()
    volumes = LoopVolumes(tmp_path, clock)
    await volumes.create(VolumeParams(volume=VOLUME, size_mib=1))
    info = await volumes.attach(HELD)
    with (Path("/dev") / info.device_name).open("rb"):
        detaching = volumes.detach(HELD)
        with pytest.raises(TimeoutError, match=rf"is held by .*\(pid {os.getpid()}\)"):
            await _hurried(clock, detaching)
    await LoopVolumes(tmp_path, SystemClock()).detach(HELD)


async def _hurried(clock: FakeClock, detaching: Coroutine[object, object, None]) -> None:
    task = asyncio.ensure_future(detaching)
    while not task.done():
        await clock.advance(5)
        await asyncio.sleep(0.01)
    await task


@pytest.mark.parametrize("directive", ["rootfs,1M", "directory,1M"])
async def test_folder_that_was_removed_is_let_go_of_all_the_same(ground: Ground, directive: str) -> None:
    async with ground.provisioning():
        storage = await ground.deploy(directive)
        await ground.until(is_said("attached"))
        own = next((ground.folder / "agent").rglob(f"{directive.partition(',')[0]}/filesystem-0-0"))
        if own.is_dir():
            shutil.rmtree(own)
        else:
            shutil.rmtree(storage.location)
        await ground.end()
        assert not Path(storage.location).exists()


@needs("mkfs.xfs")
async def test_xfs_that_was_half_made_is_made_again_if_it_was_ours(tmp_path: Path) -> None:
    device, notes = tmp_path / "device", tmp_path / "notes"
    with device.open("wb") as file:
        file.truncate(310 * MIB)
    wish = Wish(kind="xfs", name="model/0/0", label="data/0")
    await Formatter(SystemProcess(), notes).ensure(device, wish)
    _cut_off(device)
    before = device.read_bytes()[:MIB]

    with pytest.raises(PermanentError, match="holds xfs"):
        await Formatter(SystemProcess(), notes).ensure(device, wish)
    assert device.read_bytes()[:MIB] == before
    (notes / str(wish.uuid)).touch()
    await Formatter(SystemProcess(), notes).ensure(device, wish)

    assert subprocess.run(["xfs_repair", "-n", "-f", str(device)], capture_output=True, check=False).returncode == 0
    assert not (notes / str(wish.uuid)).exists()


def _cut_off(device: Path) -> None:
    """As if the power had failed before mkfs.xfs came to its end (sb_inprogress)."""
    with device.open("r+b") as file:
        file.seek(126)
        file.write(b"\1")


async def test_what_is_gone_by_itself_is_attached_again(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("loop,16M")
        await ground.until(is_said("attached"))
        mounts.unmount(Path(storage.location))
        await until(lambda: mounts.at(Path(storage.location)) is not None)
        await ground.end()


async def test_device_that_somebody_looks_at_for_himself_is_waited_for_a_moment(tmp_path: Path) -> None:
    """A disk manager opens each new device so, to see whether it is in use: then making it failed for 30 s."""
    volumes, clock = LoopVolumes(tmp_path, SystemClock()), FakeClock()
    await volumes.create(VolumeParams(volume=VOLUME, size_mib=16))
    device = Path("/dev", (await volumes.attach(HELD)).device_name)
    wish = Wish(kind="ext4", name="model/0/0", label="data/0")
    looked_at = os.open(device, os.O_RDONLY | os.O_EXCL)
    making = asyncio.ensure_future(Formatter(SystemProcess(), tmp_path / "notes", clock).ensure(device, wish))
    await clock.until(1, timeout=20)
    os.close(looked_at)
    while not making.done():
        await clock.advance(0.01)
        await asyncio.sleep(0.001)

    assert await making == 16 * MIB
    await volumes.detach(HELD)


async def test_mkfs_that_finds_its_device_busy_is_run_again(tmp_path: Path) -> None:
    device, clock = tmp_path / "device", FakeClock()
    with device.open("wb") as file:
        file.truncate(16 * MIB)
    process = BusyAtFirst()
    making = asyncio.ensure_future(
        Formatter(process, tmp_path / "notes", clock).ensure(
            device, Wish(kind="ext4", name="model/0/0", label="data/0")
        )
    )
    await clock.until(1, timeout=20)
    await clock.advance(1)

    assert await making == 16 * MIB
    assert process.runs == 2


class BusyAtFirst(SystemProcess):
    """mkfs cannot have the device for itself the first time."""

    runs = 0

    async def run(self, argv: Sequence[str], *, timeout: float, **kwargs: Any) -> Completed:  # Any: as SystemProcess.
        """Fail the first time."""
        self.runs += 1
        if self.runs == 1:
            said = b"mkfs.ext4: Device or resource busy while setting up superblock"
            raise CommandFailedError(Completed(argv=tuple(argv), returncode=1, stdout=b"", stderr=said))
        return await super().run(argv, timeout=timeout, **kwargs)
