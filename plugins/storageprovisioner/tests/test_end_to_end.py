"""What is wanted in a real model is made with real loop devices and mounts, and taken down again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from plugins.model.tests.conftest import charm
from plugins.storageprovisioner.tests.conftest import needs
from plugins.storageprovisioner.tests.ground import Ground, until

from undercroft.linux import mountinfo
from undercroft_hookspecs.charm import StorageSpec
from undercroft_model.storage.pools import create_pool
from undercroft_model.units import remove_unit

root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root: run the tests as root")
KEEPER = charm("keeper", storage={"data": StorageSpec()})


@root
@pytest.mark.root
@pytest.mark.parametrize(("directive", "kind"), [("loop,64M", "ext4"), ("tmpfs,16M", "tmpfs"), ("rootfs,16M", "")])
async def test_unit_has_a_filesystem_and_it_goes_with_the_unit(ground: Ground, directive: str, kind: str) -> None:
    await ground.world.deploy(KEEPER, storage={"data": directive})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        storage = await ground.attached("keeper/0")
        place = Path(storage.location)
        (found,) = [mount for mount in mountinfo.read() if mount.target == str(place)]
        assert kind in ("", found.filesystem_type)
        (place / "kept").write_text("by the charm")

        await ground.world.run(remove_unit, "keeper/0")
        await ground.of("keeper/0").destroy_attachments()
        await ground.of("keeper/0").remove_attachment("data/0")
        await ground.gone()
        assert not place.exists()


@pytest.mark.root
@pytest.mark.parametrize(
    ("kind", "size"),
    [pytest.param("xfs", "310M", marks=needs("mkfs.xfs")), pytest.param("btrfs", "128M", marks=needs("mkfs.btrfs"))],
)
async def test_pool_says_which_filesystem_is_made(ground: Ground, kind: str, size: str) -> None:
    await ground.world.run(create_pool, "mine", "loop", {"fs": kind}, providers=ground.providers)
    await ground.world.deploy(KEEPER, storage={"data": f"mine,{size}"})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        storage = await ground.attached("keeper/0")
        (found,) = [mount for mount in mountinfo.read() if mount.target == storage.location]
        assert found.filesystem_type == kind
        await ground.world.run(remove_unit, "keeper/0", force=True)
        await ground.world.reap()
        await ground.gone()


@root
@pytest.mark.root
async def test_what_is_on_it_outlives_the_agent_and_a_mount_that_vanished(ground: Ground) -> None:
    await ground.world.deploy(KEEPER, storage={"data": "loop,64M"})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        storage = await ground.attached("keeper/0")
        (Path(storage.location) / "kept").write_text("by the charm")
    async with ground.provisioning():
        assert (Path(storage.location) / "kept").read_text() == "by the charm"
        await ground.agent.process.run(["umount", storage.location], timeout=10)
        await until(lambda: Path(storage.location, "kept").exists())
        await ground.world.run(remove_unit, "keeper/0", force=True)
        await ground.world.reap()
        await ground.gone()


async def test_who_is_not_root_has_directories(ground: Ground) -> None:
    await ground.world.deploy(KEEPER, storage={"data": "directory,1M"})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        storage = await ground.attached("keeper/0")
        (Path(storage.location) / "kept").write_text("by the charm")
        await ground.world.run(remove_unit, "keeper/0", force=True)
        await ground.world.reap()
        await ground.gone()
        assert not Path(storage.location).exists()


async def test_provider_that_refuses_for_good_is_heard_and_not_asked_again(ground: Ground) -> None:
    await ground.world.deploy(KEEPER, storage={"data": "directory,900T"})
    await ground.world.start("keeper/0")
    async with ground.provisioning() as provisioner:
        await ground.of("keeper/0").attachments()
        message = await ground.refusal()
        assert "has room for" in message
        (report,) = provisioner.report().values()
        assert "when something else is wanted" in str(report)
        await ground.world.run(remove_unit, "keeper/0", force=True)
        await ground.world.reap()
        await ground.gone()
