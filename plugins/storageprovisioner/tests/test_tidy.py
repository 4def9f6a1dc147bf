"""Folders that were made for storage go with the last piece of it; those of others stay."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from plugins.model.tests.conftest import charm
from plugins.storageprovisioner.tests.ground import Ground, until

from undercroft_hookspecs.charm import StorageSpec
from undercroft_model.units import remove_unit
from undercroft_storageprovisioner.linux import mounts

root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root: run the tests as root")


@root
@pytest.mark.root
@pytest.mark.slow_callbacks
@pytest.mark.parametrize("directive", ["loop,16M", "rootfs,1M", "tmpfs,1M", "directory,1M"])
async def test_storage_folder_of_a_model_is_gone_with_its_last_storage(ground: Ground, directive: str) -> None:
    async with ground.provisioning():
        await ground.deploy(directive)
        folder = ground.folder / "agent" / str(ground.world.model)
        assert folder.exists()
        await ground.end()
        await until(lambda: not folder.exists())


async def test_empty_storage_folder_of_before_is_gone_after_a_start(ground: Ground) -> None:
    folder = ground.folder / "agent" / str(ground.world.model)
    (folder / "loop").mkdir(parents=True)
    (folder / "released").mkdir()
    (folder / "released" / "volume-0-3").touch()
    async with ground.provisioning():
        await until(lambda: not (folder / "loop").exists())
        assert (folder / "released" / "volume-0-3").exists()


@root
@pytest.mark.root
@pytest.mark.slow_callbacks
async def test_parents_that_were_made_go_with_the_last_mount_point_in_them(ground: Ground) -> None:
    theirs = ground.folder / "theirs"
    theirs.mkdir()
    place = theirs / "made" / "here"
    keeper = charm("keeper", storage={"data": StorageSpec(location=str(place), minimum=2, maximum=2)})
    async with ground.provisioning():
        await ground.world.deploy(keeper, storage={"data": "tmpfs,2,1M"})
        await ground.world.start("keeper/0")
        await ground.of("keeper/0").attachments()
        await until(lambda: len(list(place.rglob("data/*"))) == 2)
        await ground.world.run(remove_unit, "keeper/0", force=True)
        await ground.world.reap()
        await ground.gone()
        assert not (theirs / "made").exists()
        assert theirs.exists()


def test_parents_of_others_stay_and_so_do_those_with_something_in_them(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    for name in ("one", "two"):
        os.close(mounts.open_mount_point(tmp_path / "theirs" / "ours" / name, make=True))
    (tmp_path / "theirs" / "ours" / "file").touch()

    mounts.remove_mount_point(tmp_path / "theirs" / "ours" / "one")
    mounts.remove_mount_point(tmp_path / "theirs" / "ours" / "two")
    assert [each.name for each in (tmp_path / "theirs" / "ours").iterdir()] == ["file"]
    (tmp_path / "theirs" / "ours" / "file").unlink()
    os.close(mounts.open_mount_point(tmp_path / "theirs" / "ours" / "one", make=True))
    mounts.remove_mount_point(tmp_path / "theirs" / "ours" / "one")

    assert not list((tmp_path / "theirs").iterdir())
