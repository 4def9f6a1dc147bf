"""Subvolumes of a real btrfs: their quota, their snapshots, and what is made of those."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from plugins.model.tests.conftest import HERE
from plugins.storageprovisioner.tests.conftest import needs
from plugins.storageprovisioner.tests.ground import Ground, until

from undercroft.files import in_thread
from undercroft.process import SystemProcess
from undercroft_hookspecs import FilesystemId, FilesystemParams, NotFoundError, NotValidError, PermanentError
from undercroft_hookspecs.storage_facades import WantedStorage
from undercroft_hookspecs.storage_state import Filesystem
from undercroft_model.storage.care import ask_snapshot, remove_snapshot, resize_storage
from undercroft_model.storage.document import read_storage
from undercroft_model.storage.ending import attach_storage, detach_storage, remove_storage
from undercroft_model.storage.importing import import_filesystem
from undercroft_model.storage.pools import create_pool
from undercroft_model.transaction import Transaction
from undercroft_storageprovisioner.linux import loops, mounts
from undercroft_storageprovisioner.providers.btrfs import BtrfsAttributes, BtrfsSubvolumes

MIB = 1024 * 1024
pytestmark = [pytest.mark.root, needs("mkfs.btrfs")]


@pytest.fixture
async def top(tmp_path: Path) -> AsyncIterator[Path]:
    """A folder on a btrfs of its own."""
    image, place = tmp_path / "btrfs.img", tmp_path / "btrfs"
    with image.open("wb") as opened:
        opened.truncate(256 * MIB)
    await SystemProcess().run(["mkfs.btrfs", "-q", str(image)], timeout=30)
    loop = await in_thread(loops.attach, image, read_only=False)
    await in_thread(mounts.mount, str(loop.path), place, "btrfs")
    yield place
    await in_thread(mounts.unmount, place)
    await in_thread(loops.detach, loop)
    await until(lambda: not loops.loops_of(image))


@pytest.fixture
async def pooled(ground: Ground, top: Path) -> Ground:
    """A model with a pool `subvolumes` on that."""
    await ground.world.run(create_pool, "subvolumes", "btrfs", {"path": str(top)}, providers=ground.providers)
    return ground


def _fill(file: Path, size_mib: int) -> int:
    """Write as much, and say by which error that ended, if by any."""
    try:
        with file.open("wb") as opened:
            for _ in range(size_mib):
                opened.write(b"x" * MIB)
                opened.flush()
    except OSError as error:
        return error.errno or -1
    return 0


async def _filesystem(ground: Ground, number: str = "0/0") -> Filesystem:
    return (await ground.wanted()).filesystems[number]


async def test_unit_has_a_subvolume_with_a_limit_and_it_goes_with_the_unit(pooled: Ground, top: Path) -> None:
    async with pooled.provisioning():
        storage = await pooled.deploy("subvolumes,32M")
        assert await in_thread(_fill, Path(storage.location, "small"), 16) == 0
        assert await in_thread(_fill, Path(storage.location, "large"), 40) == errno.EDQUOT
        await pooled.end()
    assert not list(top.rglob("filesystem-*"))
    assert not Path(storage.location).exists()


async def test_limit_is_raised_while_it_is_used(pooled: Ground) -> None:
    async with pooled.provisioning():
        storage = await pooled.deploy("subvolumes,16M")
        assert await in_thread(_fill, Path(storage.location, "file"), 32) == errno.EDQUOT
        Path(storage.location, "file").unlink()
        await pooled.world.run(resize_storage, "data/0", 64, providers=pooled.providers)
        await pooled.until(lambda wanted: (info := wanted.filesystems["0/0"].info) is not None and info.size_mib == 64)
        assert await in_thread(_fill, Path(storage.location, "file"), 32) == 0
        await pooled.end()


async def test_usage_is_that_of_the_subvolume_and_not_of_all(pooled: Ground) -> None:
    async with pooled.provisioning():
        await pooled.deploy("subvolumes,16M")
        view = await read_storage(Transaction(pooled.world.store), pooled.world.model)
        while not view.usage:
            await pooled.world.clock.sleep(0.01)
            view = await read_storage(Transaction(pooled.world.store), pooled.world.model)
        assert view.usage["0/0"].size_bytes == 16 * MIB
        assert view.usage["0/0"].used_bytes < MIB
        await pooled.end()


async def test_snapshot_has_what_was_there_and_storage_can_be_made_of_it(pooled: Ground, top: Path) -> None:
    world = pooled.world
    async with pooled.provisioning():
        storage = await pooled.deploy("subvolumes,32M")
        Path(storage.location, "kept").write_text("before")
        await world.run(ask_snapshot, "data/0", "first", providers=pooled.providers, now=world.clock.now())
        await pooled.until(lambda wanted: wanted.filesystems["0/0"].snapshots[0].made is not None)
        (snapshot,) = (await _filesystem(pooled)).snapshots
        Path(storage.location, "kept").write_text("after")

        taken = await world.run(
            import_filesystem,
            "subvolumes",
            snapshot.provider_id,
            "data",
            host=HERE.id,
            providers=pooled.providers,
            now=world.clock.now(),
        )
        await world.run(attach_storage, taken, "keeper/0")
        await pooled.until(lambda wanted: wanted.filesystems["0/1"].status.current == "attached")
        place = (await pooled.wanted()).filesystem_attachments["0/1"].info
        assert place is not None
        assert Path(place.path, "kept").read_text() == "before"
        Path(place.path, "kept").write_text("it can be written to")
        info = (await _filesystem(pooled, "0/1")).info
        assert info is not None
        assert info.size_mib == 32, "it has the limit of what it was made of"

        await world.run(remove_snapshot, "data/0", "first")
        await pooled.until(lambda wanted: not wanted.filesystems["0/0"].snapshots)
        assert not list(top.rglob("*@first"))
        await world.run(detach_storage, taken, force=True)
        await world.run(remove_storage, taken)
        await pooled.end()


async def test_snapshots_go_with_their_storage(pooled: Ground, top: Path) -> None:
    world = pooled.world
    async with pooled.provisioning():
        await pooled.deploy("subvolumes,32M")
        for name in ("first", "second"):
            await world.run(ask_snapshot, "data/0", name, providers=pooled.providers, now=world.clock.now())
        await pooled.until(lambda wanted: all(each.made for each in wanted.filesystems["0/0"].snapshots))
        assert len(list(top.rglob("*@*"))) == 2
        await pooled.end()
    assert not list(top.rglob("*@*"))


async def test_subvolume_that_was_let_go_of_is_imported(pooled: Ground) -> None:
    world = pooled.world
    async with pooled.provisioning():
        storage = await pooled.deploy("subvolumes,32M")
        Path(storage.location, "kept").write_text("by the charm")
        await world.run(detach_storage, "data/0", force=True)
        await world.run(remove_storage, "data/0", destroy=False)
        await pooled.gone()
        taken = await world.run(
            import_filesystem,
            "subvolumes",
            "filesystem-0-0",
            "data",
            host=HERE.id,
            providers=pooled.providers,
            now=world.clock.now(),
        )
        await world.run(attach_storage, taken, "keeper/0")
        wanted = await pooled.until(_is_attached)
        place = wanted.filesystem_attachments["0/1"].info
        assert place is not None
        assert Path(place.path, "kept").read_text() == "by the charm"
        await world.run(detach_storage, taken, force=True)
        await world.run(remove_storage, taken)
        await pooled.gone()


def _is_attached(wanted: WantedStorage) -> bool:
    return "0/1" in wanted.filesystems and wanted.filesystems["0/1"].status.current == "attached"


async def test_subvolumes_that_a_charm_made_in_it_are_destroyed_with_it(top: Path, tmp_path: Path) -> None:
    source = BtrfsSubvolumes(BtrfsAttributes(path=str(top)), tmp_path / "storage", SystemProcess())
    filesystem = FilesystemId.parse("0/0")
    await source.create(FilesystemParams(filesystem=filesystem, size_mib=16))
    own = top / "undercroft" / "storage" / "filesystem-0-0"
    for inner in (own / "inner", own / "inner" / "innermost"):
        await SystemProcess().run(["btrfs", "subvolume", "create", str(inner)], timeout=10)
    await source.destroy(filesystem)
    assert not own.exists()


async def test_folder_that_is_on_no_btrfs_is_refused_for_now(tmp_path: Path) -> None:
    source = BtrfsSubvolumes(BtrfsAttributes(path=str(tmp_path)), tmp_path / "storage", SystemProcess())
    with pytest.raises(NotFoundError, match="is not on a btrfs"):
        await source.create(FilesystemParams(filesystem=FilesystemId.parse("0/0"), size_mib=16))
    await source.destroy(FilesystemId.parse("0/7"))


async def test_subvolume_is_not_taken_for_gone_while_its_btrfs_is_not_mounted(top: Path, tmp_path: Path) -> None:
    source = BtrfsSubvolumes(BtrfsAttributes(path=str(top)), tmp_path / "storage", SystemProcess())
    filesystem = FilesystemId.parse("0/0")
    await source.create(FilesystemParams(filesystem=filesystem, size_mib=16))
    device = mounts.at(top)
    assert device is not None
    await in_thread(mounts.unmount, top)
    with pytest.raises(NotFoundError, match="is not on a btrfs"):
        await source.destroy(filesystem)
    await in_thread(mounts.mount, device.source, top, "btrfs")
    await source.destroy(filesystem)


@pytest.mark.parametrize("path", ["relative", "/srv/../etc", "/a\0b"])
async def test_path_that_is_not_plain_is_refused_when_the_pool_is_made(ground: Ground, path: str) -> None:
    with pytest.raises(NotValidError, match="path is not absolute and plain"):
        await ground.world.run(create_pool, "bad", "btrfs", {"path": path}, providers=ground.providers)


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden"])
async def test_source_refuses_names_that_reach_elsewhere(top: Path, tmp_path: Path, name: str) -> None:
    source = BtrfsSubvolumes(BtrfsAttributes(path=str(top)), tmp_path / "storage", SystemProcess())
    with pytest.raises(PermanentError):
        await source.snapshot(FilesystemId.parse("0/0"), name)
    with pytest.raises(PermanentError):
        await source.import_existing(FilesystemId.parse("0/0"), name)
