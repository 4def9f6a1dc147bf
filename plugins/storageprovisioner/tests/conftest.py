"""What the tests of real devices share."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from plugins.model.tests.conftest import HERE, World
from plugins.storageprovisioner.tests.ground import Ground

from undercroft.linux import mountinfo
from undercroft.process import SystemProcess
from undercroft.testing.store import MemoryStore
from undercroft_model.hosts import register_host
from undercroft_storageprovisioner.linux.loops import detach, loops_of


def needs(*programs: str) -> pytest.MarkDecorator:
    """Skip where a program is missing, or the tests are not run by root."""
    packages = {"mkfs.xfs": "xfsprogs", "mkfs.btrfs": "btrfs-progs", "mkfs.ext4": "e2fsprogs"}
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [program for program in programs if shutil.which(program, path=path) is None]
    install = " ".join(packages.get(program, "util-linux") for program in missing)
    if os.geteuid() != 0:
        return pytest.mark.skipif(True, reason="mounting needs root: run the tests as root")
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} missing: apt-get install {install}")


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    """A model in memory."""
    world = World(MemoryStore())
    # Filesystems' UUIDs are made from the model's, and no machine takes two alike at the same time.
    world.rng = random.Random(str(tmp_path))
    await world.begin()
    await world.change(lambda tx: register_host(tx, HERE))
    yield Ground(world, tmp_path)
    left = await tidied(tmp_path)
    assert not left, f"left behind: {', '.join(left)}"


async def tidied(folder: Path) -> list[str]:
    """What there is of mounts and loop devices in a folder, after it has been taken away."""
    mounted = [mount.target for mount in mountinfo.read() if mount.target.startswith(f"{folder}/")]
    for target in reversed(mounted):
        await SystemProcess().run(["umount", "-l", target], timeout=10)
    taken = [loop for file in folder.rglob("*") if file.is_file() for loop in loops_of(file)]
    for loop in taken:
        detach(loop)
    return [*mounted, *(loop.name for loop in taken)]
