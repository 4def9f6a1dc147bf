"""What the tests of real devices share."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from plugins.model.tests.conftest import HERE, World
from plugins.storageprovisioner.tests.ground import Ground

from undercroft.linux import mountinfo
from undercroft.testing.store import MemoryStore
from undercroft_model.hosts import register_host
from undercroft_storageprovisioner.linux.loops import loops_of


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
    world = await World(MemoryStore()).begin()
    await world.change(lambda tx: register_host(tx, HERE))
    yield Ground(world, tmp_path)
    assert not [file for file in tmp_path.rglob("volume-*") if loops_of(file)], "a loop device was left behind"
    assert not [mount.target for mount in mountinfo.read() if str(tmp_path) in mount.target]
