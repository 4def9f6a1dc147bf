"""The disk manager: how soon a device's event is published, and how long reading a thousand devices takes."""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from tests.benchmarks.measure import Scale, Table, milliseconds

from undercroft.process import SystemProcess
from undercroft.testing.agent import FakeAgent
from undercroft_diskmanager.filesystems import Filesystems
from undercroft_diskmanager.lister import Lister
from undercroft_diskmanager.plugin import Config
from undercroft_diskmanager.sysfs import Roots
from undercroft_diskmanager.touched import EVERYTHING
from undercroft_diskmanager.worker import DiskManager
from undercroft_hookspecs import BlockDevice

EVENT_LIMIT = 0.010
RESCAN_LIMIT = 0.050
PATIENCE = 10.0

_NETLINK_KOBJECT_UEVENT = 15


class Kernel:
    """When the kernel first told of each device, seen by a thread of our own, beside the worker that is measured."""

    def __init__(self) -> None:
        self.first: dict[str, float] = {}
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETLINK_KOBJECT_UEVENT)
        self._socket.bind((0, 1))
        self._ending = False
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while not self._ending:
            event = self._socket.recv(65536)
            now = time.perf_counter()
            for field in event.split(b"\0"):
                if field.startswith(b"DEVNAME="):
                    self.first.setdefault(field[8:].decode(), now)

    def close(self) -> None:
        """Stop listening; the next event of anybody ends the thread, or the process does."""
        self._ending = True


class Facade:
    """A BlockDeviceFacade that notes when a device was first in the list."""

    def __init__(self) -> None:
        self.first: dict[str, float] = {}
        self._changed = asyncio.Event()

    async def set_block_devices(self, devices: Sequence[BlockDevice]) -> None:
        """Note the time of what is new, forget what has gone."""
        now = time.perf_counter()
        names = {device.device_name for device in devices if device.size_mib}
        self.first = {name: self.first.get(name, now) for name in names}
        self._changed.set()

    async def until(self, name: str, *, there: bool) -> None:
        """Wait until the device is there, or gone."""
        async with asyncio.timeout(PATIENCE):
            while (name in self.first) is not there:
                self._changed.clear()
                await self._changed.wait()


def devices(scale: Scale, table: Table) -> None:
    """A loop device attached: from the kernel's first event of it to its publication."""
    what = "device event to publication"
    if os.geteuid() != 0 or shutil.which("losetup") is None:
        table.add(what, "not measured: needs root and losetup")
        return
    source, found = uvloop.run(_events(3 if scale.short else 40))
    table.within(f"{what} ({source} events)", statistics.median(found), EVENT_LIMIT, show=milliseconds)


async def _events(rounds: int) -> tuple[str, list[float]]:
    facade, kernel, process = Facade(), Kernel(), SystemProcess()
    worker = DiskManager(FakeAgent(config=Config(), process=process), Config(), devices=facade)
    found = []
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder) / "image"
        image.touch()
        os.truncate(image, 32 * 1024 * 1024)
        for _ in range(rounds):
            kernel.first.clear()
            done = await process.run(["losetup", "--find", "--show", str(image)], timeout=PATIENCE)
            path = done.stdout.decode().strip()
            name = path.removeprefix("/dev/")
            try:
                await facade.until(name, there=True)
                found.append(facade.first[name] - kernel.first[name])
            finally:
                await process.run(["losetup", "--detach", path], timeout=PATIENCE)
            await facade.until(name, there=False)
    source = str(worker.report()["source"])
    worker.kill()
    await worker.wait()
    kernel.close()
    return source, found


def rescan(scale: Scale, table: Table) -> None:
    """All of 1,000 disks read again, in simulated trees."""
    number = scale.size(1_000)
    with tempfile.TemporaryDirectory() as folder:
        roots = simulate(Path(folder), number)
        seconds = uvloop.run(_rescans(roots, number, 1 if scale.short else 15))
    table.within(f"rescan of {number:,} simulated devices", seconds, RESCAN_LIMIT, show=milliseconds)


async def _rescans(roots: Roots, number: int, rounds: int) -> float:
    lister = Lister(Filesystems(SystemProcess()), roots=roots)
    found = []
    for _ in range(rounds):
        gc.collect()
        began = time.perf_counter()
        listed = await lister.refresh(EVERYTHING, udev_lives=True)
        found.append(time.perf_counter() - began)
        assert len(listed) == number, f"{len(listed)} of {number} devices were listed"
    return statistics.median(found)


def simulate(folder: Path, number: int) -> Roots:
    """The trees of a machine with so many disks. udev knows the filesystem of each, so that no program is run."""
    roots = Roots(
        sys=folder / "sys",
        dev=folder / "dev",
        udev=folder / "udev",
        mountinfo=folder / "mountinfo",
        swaps=folder / "swaps",
    )
    for path in (roots.sys / "class/block", roots.dev, roots.udev / "data"):
        path.mkdir(parents=True)
    roots.mountinfo.touch()
    roots.swaps.write_text("Filename Type Size Used Priority\n")
    for index in range(number):
        name, major, minor = f"sd{index}", 8 + index // 256, index % 256
        device = roots.sys / "devices/pci0000:00/host0/target0:0:0/block" / name
        device.mkdir(parents=True)
        (device / "uevent").write_text(f"MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\nDEVTYPE=disk\n")
        (device / "size").write_text("2097152\n")
        (device / "device").mkdir()
        (device / "device" / "type").write_text("0\n")
        (roots.sys / "class/block" / name).symlink_to(os.path.relpath(device, roots.sys / "class/block"))
        (roots.dev / name).touch()
        entry = f"S:disk/by-id/scsi-{index:08}\nI:1\nE:ID_FS_TYPE=ext4\nE:ID_SERIAL=serial-{index:08}\nE:ID_BUS=scsi\n"
        (roots.udev / "data" / f"b{major}:{minor}").write_text(entry)
    return roots
