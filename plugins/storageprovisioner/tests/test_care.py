"""Storage that is there grows, is put right, trimmed, imported and measured: on real devices."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from plugins.model.tests.conftest import HERE, charm
from plugins.storageprovisioner.tests.conftest import needs
from plugins.storageprovisioner.tests.ground import Ground, until

from undercroft.files import in_thread
from undercroft.linux import mountinfo
from undercroft_hookspecs.charm import StorageSpec
from undercroft_hookspecs.storage_facades import WantedStorage
from undercroft_hookspecs.storage_state import Filesystem, Volume
from undercroft_model.storage.attaching import give_to_new
from undercroft_model.storage.care import ask_trim, resize_storage
from undercroft_model.storage.document import read_storage
from undercroft_model.storage.ending import attach_storage, detach_storage, remove_storage
from undercroft_model.storage.importing import import_filesystem
from undercroft_model.storage.pools import create_pool
from undercroft_model.transaction import Transaction
from undercroft_model.units import add_units

MIB = 1024 * 1024
OPTIONAL = charm("keeper", storage={"data": StorageSpec(minimum=0, maximum=None)})
root = needs()


def _size(place: str) -> int:
    """How large a mounted filesystem is, in MiB, as the kernel says."""
    found = os.statvfs(place)
    return found.f_blocks * found.f_frsize // MIB


def _filesystem(wanted: WantedStorage) -> Filesystem:
    return next(iter(wanted.filesystems.values()))


def _volume(wanted: WantedStorage) -> Volume:
    return next(iter(wanted.volumes.values()))


def _is_grown(size_mib: int) -> Callable[[WantedStorage], bool]:
    def condition(wanted: WantedStorage) -> bool:
        info = _filesystem(wanted).info
        return info is not None and info.size_mib >= size_mib and _filesystem(wanted).status.message == ""

    return condition


async def _let_go(ground: Ground) -> None:
    """The unit's storage is detached, and kept."""
    await ground.world.run(detach_storage, "data/0", force=True)
    await ground.until(lambda wanted: not wanted.volume_attachments and not wanted.filesystem_attachments)


async def _import(ground: Ground, pool: str, provider_id: str) -> str:
    world = ground.world
    return await world.run(
        import_filesystem, pool, provider_id, "data", host=HERE.id, providers=ground.providers, now=world.clock.now()
    )


@pytest.mark.root
@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        pytest.param("ext4", 64, 128, marks=root),
        pytest.param("xfs", 310, 400, marks=needs("mkfs.xfs")),
        pytest.param("btrfs", 128, 300, marks=needs("mkfs.btrfs")),
    ],
)
async def test_filesystem_grows_with_what_is_on_it(ground: Ground, kind: str, before: int, after: int) -> None:
    await ground.world.run(create_pool, "mine", "loop", {"fs": kind}, providers=ground.providers)
    async with ground.provisioning():
        storage = await ground.deploy(f"mine,{before}M")
        Path(storage.location, "kept").write_text("by the charm")
        small = _size(storage.location)
        await ground.world.run(resize_storage, "data/0", after, providers=ground.providers)
        await ground.until(_is_grown(after))
        assert _size(storage.location) > small + (after - before) * 0.7
        assert Path(storage.location, "kept").read_text() == "by the charm"
        await ground.end()


@pytest.mark.root
@root
async def test_growth_that_was_cut_off_goes_on_with_the_next_start(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("loop,64M")
    # The file has grown, and nobody has heard of it: neither the loop device, nor the filesystem, nor the model.
    (file,) = ground.folder.rglob("loop/volume-0-0")
    with file.open("r+b") as opened:
        os.posix_fallocate(opened.fileno(), 0, 128 * MIB)
    await ground.world.run(resize_storage, "data/0", 128, providers=ground.providers)
    async with ground.provisioning():
        await ground.until(_is_grown(128))
        assert _size(storage.location) > 100
        await ground.end()


@pytest.mark.root
@root
async def test_disk_that_is_too_small_to_grow_on_leaves_storage_as_it_is(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("loop,64M")
        await ground.world.run(resize_storage, "data/0", 1 << 34, providers=ground.providers)
        wanted = await ground.until(lambda wanted: "cannot grow" in _volume(wanted).status.message)
        assert _volume(wanted).status.current == "attached"
        assert Path(storage.location).is_mount()
        await ground.world.run(resize_storage, "data/0", 64, providers=ground.providers)
        assert _volume(await ground.wanted()).status.message == "", "the wish is taken back, and so is the complaint"
        await ground.end()


@pytest.mark.root
@root
async def test_ext4_that_was_not_unmounted_is_put_right_and_says_so(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("loop,16M")
        Path(storage.location, "kept").write_text("by the charm")
        await ground.agent.process.run(["sync", "-f", storage.location], timeout=10)
    (file,) = ground.folder.rglob("loop/volume-0-0")
    torn = await in_thread(file.read_bytes)  # As a power cut leaves it: mounted.
    async with ground.provisioning():
        await _let_go(ground)
        await in_thread(file.write_bytes, torn)
        await ground.world.run(attach_storage, "data/0", "keeper/0")
        wanted = await ground.until(lambda wanted: wanted.filesystems and _filesystem(wanted).status.message)
        assert "had not been unmounted" in _filesystem(wanted).status.message
        assert _filesystem(wanted).status.current == "attached"
        assert Path(storage.location, "kept").read_text() == "by the charm"
        await ground.end()


@pytest.mark.root
@root
@pytest.mark.parametrize(
    ("policy", "current", "said"),
    [
        ("repair", "attached", "errors were mended before it was mounted"),
        ("check", "error", "is damaged; run `e2fsck"),
        ("never", "attached", ""),
    ],
)
async def test_ext4_with_errors_is_dealt_with_as_its_pool_says(
    ground: Ground, policy: str, current: str, said: str
) -> None:
    await ground.world.run(create_pool, "mine", "loop", {"fsck": policy}, providers=ground.providers)
    async with ground.provisioning():
        await ground.deploy("mine,64M")
        await _let_go(ground)
        (file,) = ground.folder.rglob("loop/volume-0-0")
        # A folder has lost its inode, and the superblock says that there are errors.
        for command in ("clri lost+found", "ssv state 2"):
            await ground.agent.process.run(["debugfs", "-w", "-R", command, str(file)], timeout=10)
        await ground.world.run(attach_storage, "data/0", "keeper/0")
        wanted = await ground.until(lambda wanted: _filesystem(wanted).status.current in ("error", "attached"))
        status = _filesystem(wanted).status
        assert status.current == current
        assert said in status.message
        assert said or not status.message
        await ground.world.run(remove_storage, "data/0", force=True)
        await ground.end()


@pytest.mark.root
@root
async def test_trim_gives_back_what_was_removed(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("loop,64M")
        (file,) = ground.folder.rglob("loop/volume-0-0")
        full = file.stat().st_blocks
        await ground.world.run(ask_trim, "data/0", providers=ground.providers, now=ground.world.clock.now())
        await ground.until(lambda wanted: _filesystem(wanted).trimmed is not None)
        assert file.stat().st_blocks < full / 2
        assert Path(storage.location).is_mount()
        await ground.end()


@pytest.mark.root
@root
async def test_pool_has_its_filesystems_trimmed_by_themselves(ground: Ground) -> None:
    await ground.world.run(create_pool, "mine", "loop", {"trim": "weekly"}, providers=ground.providers)
    async with ground.provisioning():
        await ground.deploy("mine,64M")
        await ground.until(lambda wanted: _filesystem(wanted).trimmed is not None)
        await ground.end()


@pytest.mark.root
@root
async def test_volume_that_was_let_go_of_is_imported_with_what_is_on_it(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("loop,64M")
        Path(storage.location, "kept").write_text("by the charm")
        await _let_go(ground)
        await ground.world.run(remove_storage, "data/0", destroy=False)
        await ground.gone()
        (file,) = ground.folder.rglob("loop/volume-0-0")

        taken = await _import(ground, "loop", "volume-0-0")
        await ground.world.run(attach_storage, taken, "keeper/0")
        wanted = await ground.until(lambda wanted: wanted.volumes and _filesystem(wanted).status.current == "attached")
        place = wanted.filesystem_attachments[_filesystem(wanted).id].info
        assert place is not None
        assert Path(place.path, "kept").read_text() == "by the charm"
        assert not file.exists(), "it has the name of the new volume"
        await ground.world.run(detach_storage, taken, force=True)
        await ground.world.run(remove_storage, taken)
        await ground.gone()


@pytest.mark.root
@pytest.mark.parametrize("kind", [pytest.param("xfs", marks=needs("mkfs.xfs"))])
async def test_image_of_somebody_elses_is_imported_as_it_is(ground: Ground, kind: str) -> None:
    image = ground.folder / "image"
    with image.open("wb") as opened:
        opened.truncate(310 * MIB)
    await ground.agent.process.run([f"mkfs.{kind}", "-q", str(image)], timeout=30)
    async with ground.provisioning():
        await ground.world.deploy(OPTIONAL)
        await ground.world.start("keeper/0")
        taken = await _import(ground, "loop", str(image))
        await ground.until(lambda wanted: wanted.volumes and _volume(wanted).status.current == "detached")
        await ground.world.run(attach_storage, taken, "keeper/0")
        wanted = await ground.until(lambda wanted: _filesystem(wanted).status.current == "attached")
        info = _filesystem(wanted).info
        assert info is not None
        assert (info.kind, info.size_mib) == (kind, 310)
        await ground.world.run(detach_storage, taken, force=True)
        await ground.world.run(remove_storage, taken)
        await ground.gone()


@pytest.mark.root
@root
async def test_what_is_no_filesystem_is_not_imported_and_not_touched(ground: Ground) -> None:
    image = ground.folder / "image"
    image.write_bytes(b"precious" + bytes(MIB))
    async with ground.provisioning():
        await ground.world.deploy(OPTIONAL)
        await ground.world.start("keeper/0")
        taken = await _import(ground, "loop", str(image))
        await ground.world.run(attach_storage, taken, "keeper/0")
        assert "cannot be imported: it is to hold one of ext4, xfs, btrfs, not nothing" in await ground.refusal()
        (file,) = ground.folder.rglob("loop/volume-0-0")
        assert file.read_bytes().startswith(b"precious")
        await ground.world.run(detach_storage, taken, force=True)
        await ground.world.run(remove_storage, taken, destroy=False)
        await ground.gone()
        assert file.exists(), "it is let go of"


@pytest.mark.root
@root
@pytest.mark.parametrize("provider_id", ["volume-0-99", "../volume-0-1", "/etc", "/nowhere/image"])
async def test_what_is_not_there_is_not_imported(ground: Ground, provider_id: str) -> None:
    async with ground.provisioning():
        await ground.world.deploy(OPTIONAL)
        taken = await _import(ground, "loop", provider_id)
        wanted = await ground.until(lambda wanted: wanted.volumes and _volume(wanted).status.current == "error")
        assert "cannot import" in _volume(wanted).status.message
        await ground.world.run(remove_storage, taken, destroy=False)
        await ground.gone()


@pytest.mark.root
@root
async def test_folder_that_was_let_go_of_is_imported(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("rootfs,16M")
        Path(storage.location, "kept").write_text("by the charm")
        await _let_go(ground)
        await ground.world.run(remove_storage, "data/0", destroy=False)
        await ground.gone()
        taken = await _import(ground, "rootfs", "filesystem-0-0")
        await ground.world.run(attach_storage, taken, "keeper/0")
        wanted = await ground.until(
            lambda wanted: wanted.filesystems and _filesystem(wanted).status.current == "attached"
        )
        place = wanted.filesystem_attachments["0/1"].info
        assert place is not None
        assert Path(place.path, "kept").read_text() == "by the charm"
        await ground.world.run(detach_storage, taken, force=True)
        await ground.world.run(remove_storage, taken)
        await ground.gone()


async def test_directory_that_is_let_go_of_stays_with_what_is_in_it(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("directory,1M")
        Path(storage.location, "kept").write_text("by the charm")
        await _let_go(ground)
        await ground.world.run(remove_storage, "data/0", destroy=False)
        await ground.gone()
        assert sorted(file.name for file in Path(storage.location).iterdir()) == ["kept"]


@pytest.mark.root
@root
async def test_storage_moves_from_one_unit_to_another_with_what_is_on_it(ground: Ground) -> None:
    await ground.world.deploy(OPTIONAL, units=2, storage={"data": "loop,1,64M"})
    await ground.world.start("keeper/0", "keeper/1")
    async with ground.provisioning():
        before = await ground.attached("keeper/0")
        Path(before.location, "kept").write_text("by the charm")
        await _let_go(ground)
        await ground.world.run(attach_storage, before.id, "keeper/1")
        wanted = await ground.until(lambda wanted: _filesystem(wanted).status.current == "attached")
        place = wanted.filesystem_attachments["0/0"].info
        assert place is not None
        assert Path(place.path, "kept").read_text() == "by the charm"
        await ground.end("keeper/1")


@pytest.mark.root
@root
async def test_new_unit_is_given_storage_with_what_is_on_it_and_nothing_else(ground: Ground) -> None:
    await ground.world.deploy(OPTIONAL, storage={"data": "loop,1,64M"})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        before = await ground.attached("keeper/0")
        Path(before.location, "kept").write_text("by the charm")
        await _let_go(ground)
        await ground.world.run(add_units, "keeper", here=HERE, now=ground.world.clock.now())
        await ground.world.run(give_to_new, "keeper/1", ["data/0"])
        await ground.world.start("keeper/1")
        found = await ground.attached("keeper/1")
        assert Path(found.location, "kept").read_text() == "by the charm"
        assert len((await ground.wanted()).volumes) == 1
        await ground.end("keeper/1")


async def test_usage_is_told_to_the_model_and_as_metrics(ground: Ground) -> None:
    async with ground.provisioning():
        await ground.deploy("directory,1M")
        view = await read_storage(Transaction(ground.world.store), ground.world.model)
        while not view.usage:
            await ground.world.clock.sleep(0.01)
            view = await read_storage(Transaction(ground.world.store), ground.world.model)
        (usage,) = view.usage.values()
        assert 0 < usage.used_bytes < usage.size_bytes
        shown = ground.agent.meter.instruments["filesystem_used_bytes"].values
        assert shown == {(str(ground.world.model), "data/0", "0/0"): usage.used_bytes}
        await ground.end()


@pytest.mark.root
@root
async def test_data_folder_may_be_behind_a_symbolic_link(ground: Ground) -> None:
    real = ground.folder / "elsewhere"
    real.mkdir()
    (ground.folder / "agent").symlink_to(real)
    async with ground.provisioning():
        storage = await ground.deploy("loop,64M")
        assert storage.location.startswith(str(real))
        assert [mount.target for mount in mountinfo.read() if mount.target == storage.location]
        await ground.end()


@pytest.mark.root
@root
async def test_data_folder_can_be_moved_and_linked_to(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("loop,64M")
        Path(storage.location, "kept").write_text("by the charm")
        await ground.agent.process.run(["umount", storage.location], timeout=10)
        await until(lambda: Path(storage.location, "kept").exists())
    await ground.agent.process.run(["umount", storage.location], timeout=10)
    real = ground.folder / "elsewhere"
    (ground.folder / "agent").rename(real)
    (ground.folder / "agent").symlink_to(real)
    async with ground.provisioning():
        wanted = await ground.until(
            lambda wanted: str(real) in str(next(iter(wanted.filesystem_attachments.values())).info)
        )
        place = wanted.filesystem_attachments["0/0"].info
        assert place is not None
        assert Path(place.path, "kept").read_text() == "by the charm"
        await ground.end()


@pytest.mark.root
@root
async def test_ext4_that_can_only_grow_unmounted_is_not_taken_from_who_uses_it(ground: Ground) -> None:
    async with ground.provisioning():
        storage = await ground.deploy("loop,64M")
        with Path(storage.location, "kept").open("w"):
            await ground.world.run(resize_storage, "data/0", 96, providers=ground.providers)
            wanted = await ground.until(lambda wanted: _is_said(wanted) or _is_grown(96)(wanted))
            grows_mounted = _is_grown(96)(wanted)
            if not grows_mounted:
                assert _filesystem(wanted).status.current == "attached"
                assert f"(pid {os.getpid()})" in _filesystem(wanted).status.message
                assert Path(storage.location).is_mount()
        await ground.end()
    if grows_mounted:
        pytest.skip("the kernel lets ext4 grow while it is mounted")


def _is_said(wanted: WantedStorage) -> bool:
    return "cannot grow" in _filesystem(wanted).status.message
