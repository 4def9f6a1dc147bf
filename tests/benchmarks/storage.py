"""Storage: a volume of 64 MiB from being asked for to its mounted ext4, against the system's own tools in a row."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop
from plugins.model.tests.conftest import HERE, World
from plugins.storageprovisioner.tests.ground import KEEPER, Ground
from tests.benchmarks.measure import Scale, Table, in_turns, milliseconds

from undercroft.testing.store import MemoryStore
from undercroft_hookspecs import HostId, ModelId
from undercroft_hookspecs.storage_facades import WantedStorage
from undercroft_model.hosts import register_host
from undercroft_model.storage.provisioning import HostStorage

SIZE_MIB = 64
AT_ONCE = 8
LIMIT, AT_ONCE_LIMIT = 1.15, 1.0
PATIENCE = 60.0
TRIES = 10
TOOLS = ("fallocate", "losetup", "mkfs.ext4", "mount", "umount")


def storage(scale: Scale, table: Table) -> None:
    """One volume, and eight at once."""
    what = f"a volume of {SIZE_MIB} MiB, asked for and mounted as ext4"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=path) is None]
    if os.geteuid() != 0 or missing:
        table.add(what, f"not measured: needs root, and {', '.join(missing) or 'nothing else'}")
        return
    one, raw = uvloop.run(_measure(1, scale.rounds(20)))
    table.at_most(what, one, raw, LIMIT, show=milliseconds, of="fallocate, losetup, mkfs, mount")
    many, row = uvloop.run(_measure(AT_ONCE, scale.rounds(7)))
    table.at_most(
        f"{AT_ONCE} of them at once", many, row, AT_ONCE_LIMIT, show=milliseconds, of="8 in a row by the tools"
    )


async def _measure(number: int, rounds: int) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as name:
        sides = Sides(Path(name), number)
        (ours,), (raw,) = await in_turns(rounds, sides.ours, sides.raw)
    return ours, raw


class Watched(HostStorage):
    """Tells when the provisioner has heard for the first time what is wanted, and waits for more."""

    # Any: what HostStorage takes.
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_followed = asyncio.Event()

    @asynccontextmanager
    async def watch_storage(self, model: ModelId) -> AsyncIterator[AsyncIterator[WantedStorage]]:
        """As the provisioner is told."""
        async with super().watch_storage(model) as states:
            yield self._told(states)

    async def _told(self, states: AsyncIterator[WantedStorage]) -> AsyncIterator[WantedStorage]:
        async for state in states:
            yield state
            self.is_followed.set()


class Sides:
    """Both ways to so many volumes, each in a folder of its own that is empty again afterwards."""

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self._number, self._round = folder, number, 0

    async def ours(self) -> list[float]:
        """From the moment when the unit's storage is asked for, until all of it is said to be there."""
        self._round += 1
        folder = self._folder / f"ours-{self._round}"
        folder.mkdir()
        world = await World(MemoryStore()).begin()
        await world.change(lambda tx: register_host(tx, HERE))
        ground = Ground(world, folder)
        facade = Watched(world.store, HostId.parse(HERE.id), clock=world.clock, rng=world.rng)
        ground.facade = facade
        await world.deploy(KEEPER, storage={"data": f"loop,{self._number},{SIZE_MIB}M"})
        await world.start("keeper/0")
        async with ground.provisioning(), asyncio.timeout(PATIENCE):
            await facade.is_followed.wait()
            began = time.perf_counter()
            await self._attached(ground)
            seconds = time.perf_counter() - began
            await ground.end()
        return [seconds]

    async def _attached(self, ground: Ground) -> None:
        async with ground.of("keeper/0").watch_attachments() as states:
            async for state in states:
                if len(state) == self._number and all(each.location for each in state):
                    return

    async def raw(self) -> list[float]:
        """The same files, devices, filesystems and mounts, one after another."""
        return [await asyncio.to_thread(self._raw)]

    def _raw(self) -> float:
        places = [self._folder / f"raw-{number}" for number in range(self._number)]
        devices = []
        began = time.perf_counter()
        for place in places:
            image = place.with_suffix(".img")
            _run("fallocate", "-l", f"{SIZE_MIB}MiB", str(image))
            device = _run("losetup", "--find", "--show", str(image))
            devices.append(device)
            _made(device)
            place.mkdir()
            _run("mount", device, str(place))
        seconds = time.perf_counter() - began
        for place, device in zip(places, devices, strict=True):
            _run("umount", str(place))
            _run("losetup", "--detach", device)
            place.rmdir()
            place.with_suffix(".img").unlink()
        return seconds


def _made(device: str) -> None:
    """Make the filesystem; another agent of this machine may just look whether the device is in use."""
    for _ in range(TRIES):
        with contextlib.suppress(subprocess.CalledProcessError):
            _run("mkfs.ext4", "-q", device)
            return
    _run("mkfs.ext4", "-q", device)


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout.strip()
