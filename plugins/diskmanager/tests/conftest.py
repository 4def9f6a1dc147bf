"""A simulated machine in a folder, real loop devices, a real udevd, and a facade that keeps what is published."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from undercroft.testing.agent import FakeProcess
from undercroft_diskmanager.filesystems import Filesystems
from undercroft_diskmanager.lister import Lister
from undercroft_diskmanager.sysfs import Roots
from undercroft_diskmanager.touched import EVERYTHING, Touched
from undercroft_hookspecs.records import BlockDevice

PATIENCE = 20.0
UDEVD = Path("/lib/systemd/systemd-udevd")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Machine:
    """A machine with simulated trees: what the disk manager reads of /sys, /dev, /run/udev and /proc."""

    def __init__(self, folder: Path) -> None:
        self.roots = Roots(
            sys=folder / "sys",
            dev=folder / "dev",
            udev=folder / "run/udev",
            mountinfo=folder / "mountinfo",
            swaps=folder / "swaps",
        )
        for path in (self.roots.sys / "class/block", self.roots.dev, self.roots.udev / "data"):
            path.mkdir(parents=True)
        self.mount()
        self.swap()
        self.process = FakeProcess()
        self.lister = Lister(Filesystems(self.process), roots=self.roots)

    def add(
        self,
        name: str,
        number: str = "8:0",
        *,
        mib: float = 100,
        parent: str = "/devices/pci0/block",
        devtype: str = "disk",
        files: Mapping[str, str] | None = None,
        udev: str | None = None,
        uevent: str = "",
    ) -> Path:
        """Add a device; `files` are further files of its folder, `udev` its entry in udev's database."""
        folder = Path(f"{self.roots.sys}{parent}/{name}")
        folder.mkdir(parents=True)
        major, minor = number.split(":")
        content = {
            "uevent": f"MAJOR={major}\nMINOR={minor}\nDEVNAME={name}\nDEVTYPE={devtype}\n{uevent}",
            "size": f"{int(mib * 2048)}\n",
            **(files or {}),
        }
        for path, text in content.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        link = self.roots.sys / "class/block" / name
        link.symlink_to(Path("../..") / folder.relative_to(self.roots.sys))
        node = self.roots.dev / name.replace("!", "/")
        node.parent.mkdir(parents=True, exist_ok=True)
        node.touch()
        if udev is not None:
            self.udev(number, udev)
        return folder

    def remove(self, name: str) -> None:
        """Take a device away."""
        (self.roots.sys / "class/block" / name).unlink()
        (self.roots.dev / name).unlink()

    def udev(self, number: str, entry: str) -> None:
        """Write a device's entry in udev's database."""
        (self.roots.udev / "data" / f"b{number}").write_text(entry)

    def mount(self, *lines: str) -> None:
        """These are the mounts now, as `8:1 / /target ext4 /dev/sda1`."""
        fields = (line.split(" ") for line in lines)
        text = "".join(
            f"30 1 {n} {root} {to} rw shared:1 - {kind} {source} rw\n" for n, root, to, kind, source in fields
        )
        self.roots.mountinfo.write_text(text)

    def swap(self, *paths: str) -> None:
        """These devices, by path below /dev, are swapped to."""
        lines = "".join(f"{self.roots.dev}/{path} partition 1024 0 -2\n" for path in paths)
        self.roots.swaps.write_text("Filename Type Size Used Priority\n" + lines)

    async def list(self, touched: Touched = EVERYTHING, *, udev_lives: bool = True) -> Mapping[str, BlockDevice]:
        """The devices by name, after a refresh."""
        devices = await self.lister.refresh(touched, udev_lives=udev_lives)
        return {device.device_name: device for device in devices}


@dataclass
class Recorder:
    """A BlockDeviceFacade that keeps every list; `fail` is raised instead as long as it is set."""

    lists: list[tuple[BlockDevice, ...]] = field(default_factory=list)
    fail: Exception | None = None
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def set_block_devices(self, devices: Sequence[BlockDevice]) -> None:
        """Keep the list."""
        if self.fail is not None:
            raise self.fail
        async with self._changed:
            self.lists.append(tuple(devices))
            self._changed.notify_all()

    def device(self, name: str) -> BlockDevice | None:
        """The device of that name in the last list."""
        last = self.lists[-1] if self.lists else ()
        return next((device for device in last if device.device_name == name), None)

    def versions(self, name: str) -> int:
        """How many different things have been published of that device; others may come and go meanwhile."""
        return len({device for devices in self.lists for device in devices if device.device_name == name})

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for a list after which the condition holds."""
        try:
            async with asyncio.timeout(PATIENCE), self._changed:
                await self._changed.wait_for(holds)
        except TimeoutError:
            raise AssertionError(f"it never came to pass; the last lists: {self.lists[-3:]}") from None


def system(*argv: str, check: bool = True) -> str:
    """Run a program of the system, and give what it says."""
    done = subprocess.run(argv, capture_output=True, text=True, check=check, env={"PATH": SYSTEM_PATH, "LC_ALL": "C"})
    return done.stdout.strip()


def needs(tool: str, package: str) -> None:
    """Skip unless the program is there."""
    if shutil.which(tool, path=SYSTEM_PATH) is None:
        pytest.skip(f"{tool} is missing: apt-get install --no-install-recommends {package}")


class Loops:
    """Real loop devices on files in a folder; all are unmounted and let go of at the end of the test."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._devices: list[str] = []
        self._targets: list[Path] = []

    def attach(self, mib: int = 16, *options: str) -> str:
        """A new file's loop device, by path."""
        image = self._folder / f"image-{len(list(self._folder.iterdir()))}"
        with image.open("wb") as file:
            file.truncate(mib * 1024 * 1024)
        device = system("losetup", "--find", "--show", *options, str(image))
        self._devices.append(device)
        return device

    def detach(self, device: str) -> None:
        """Let go of one, with its partitions: they would outlive it."""
        for part in Path("/sys/class/block", device.removeprefix("/dev/")).glob("loop*/partition"):
            system("delpart", device, part.read_text().strip(), check=False)
        system("losetup", "--detach", device)
        self._devices.remove(device)

    def mount(self, device: str) -> Path:
        """Mount it on a new folder."""
        target = self._folder / f"mount {len(list(self._folder.iterdir()))}"
        target.mkdir()
        self._targets.append(target)
        system("mount", device, str(target))
        return target

    def close(self) -> None:
        """Undo everything."""
        for target in self._targets:
            system("umount", str(target), check=False)
        for device in list(self._devices):
            system("swapoff", device, check=False)
            self.detach(device)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """An empty simulated machine."""
    return Machine(tmp_path / "machine")


@pytest.fixture
def loops(tmp_path: Path) -> Iterator[Loops]:
    """Real loop devices; the test is marked `root`."""
    needs("losetup", "mount")
    folder = tmp_path / "loops"
    folder.mkdir()
    loops = Loops(folder)
    try:
        attached = loops.attach()
    except subprocess.CalledProcessError as error:
        pytest.skip(f"this machine has no loop devices to give: {error.stderr.strip()}")
    loops.detach(attached)
    yield loops
    loops.close()


class Udevd:
    """A udevd of our own on a machine that has none running."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._child = subprocess.Popen(
            [UDEVD], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        system("udevadm", "control", "--ping", "--timeout=20", check=False)

    def settle(self) -> None:
        """Have it look at all block devices, and wait until it has."""
        system("udevadm", "trigger", "--subsystem-match=block", "--action=change")
        system("udevadm", "settle", "--timeout=20")

    def kill(self) -> None:
        """Kill it, so that its socket's file stays behind."""
        if self._child is not None:
            os.killpg(self._child.pid, signal.SIGKILL)  # Its own children too: they write to its folder.
            self._child.wait()
            self._child = None


@contextlib.contextmanager
def udevd_locked(how: int) -> Iterator[None]:
    """Hold a lock on udevd's program, if there is one: other runs of these tests on this machine have to wait."""
    if not UDEVD.exists():
        yield
        return
    with UDEVD.open("rb") as program:
        fcntl.flock(program, how)
        yield


@pytest.fixture
def stopped_udevd() -> Iterator[Udevd]:
    """A udevd that is not yet running; the test is marked `root`."""
    if not UDEVD.exists():
        pytest.skip("udevd is missing: apt-get install --no-install-recommends udev")
    with udevd_locked(fcntl.LOCK_EX):
        yield from _own_udevd()


def _own_udevd() -> Iterator[Udevd]:
    if Path("/run/udev/control").exists() and Path("/run/systemd/system").exists():
        pytest.skip("this machine's own udevd is running: it is not ours to start and stop")
    left = [path for path in (Path("/run/udev"), Path("/dev/disk")) if not path.exists()]
    udevd = Udevd()
    yield udevd
    udevd.kill()
    for path in left:
        while path.exists():
            shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def udevd(stopped_udevd: Udevd) -> Udevd:
    """A running udevd that knows all devices; the test is marked `root`."""
    stopped_udevd.start()
    stopped_udevd.settle()
    return stopped_udevd


@pytest.fixture
def no_udevd() -> Iterator[None]:
    """Skips where udevd runs, and keeps other runs of these tests from starting it."""
    with udevd_locked(fcntl.LOCK_SH):
        if Path("/run/udev/control").exists():
            pytest.skip("udevd is running here; this is about machines without it")
        yield
