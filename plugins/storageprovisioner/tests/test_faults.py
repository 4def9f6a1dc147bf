"""Every command and system call of the provisioner fails or hangs once, in turn; then all is as if it had not.

`UNDERCROFT_FAULTS=all` has every single call fail and each place hang, where CI takes the first call of each place, and
has a few of them hang.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from plugins.model.tests.conftest import HERE, World
from plugins.storageprovisioner.tests.conftest import needs
from plugins.storageprovisioner.tests.ground import KEEPER, Ground

from undercroft.linux import mountinfo
from undercroft.process import SystemProcess
from undercroft.testing import FakeAgent, FakeClock
from undercroft.testing.store import MemoryStore
from undercroft_hookspecs import CommandFailedError, Completed, StoreUnavailable
from undercroft_model.hosts import register_host
from undercroft_model.storage.provisioning import HostStorage
from undercroft_model.units import remove_unit
from undercroft_storageprovisioner.linux import loops, mounts
from undercroft_storageprovisioner.plugin import Config, undercroft_storage_providers
from undercroft_storageprovisioner.threads import Hangs

pytestmark = [pytest.mark.root, pytest.mark.slow, needs("mkfs.ext4")]

OURS = f"{os.sep}undercroft_storageprovisioner{os.sep}"
CALLS: Sequence[tuple[Any, str]] = (  # Any: modules, and the C library.
    *((os, name) for name in ("open", "mkdir", "rmdir", "unlink", "rename", "posix_fallocate", "fsync", "pread")),
    (fcntl, "ioctl"),
    (fcntl, "flock"),
)
FACADE = ("set_volume", "set_filesystem", "set_attached", "set_detached", "set_status", "remove")
HANG_SECONDS = 0.2
"""For which a call hangs: long after it was given up."""
CALL_SECONDS = 0.05
PATIENCE_SECONDS = 40.0
"""On the provisioner's clock: more than the first pause after a failure."""


@dataclass
class Fault:
    """Which call fails: the `nth` of those that are called so; and what was called until then."""

    what: str = ""
    nth: int = 1
    hangs: bool = False
    called: Counter[str] = field(default_factory=Counter)

    @property
    def has_struck(self) -> bool:
        """Whether it came to that call."""
        return self.called[self.what] >= self.nth

    def strikes(self, what: str) -> bool:
        """Whether this call is the one."""
        self.called[what] += 1
        return what == self.what and self.called[what] == self.nth


def _place() -> str:
    """Which function of the provisioner's is at work, however deep in the library; empty: none."""
    frame = sys._getframe(2)
    for _ in range(6):
        if OURS in frame.f_code.co_filename:
            return frame.f_code.co_qualname
        if frame.f_back is None:
            return ""
        frame = frame.f_back
    return ""


@contextmanager
def injected(fault: Fault) -> Iterator[None]:
    """All seams of the provisioner count their calls, and the fault's fails."""
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in CALLS:
            patch.setattr(owner, name, _system_call(getattr(owner, name), name, fault))
        libc = mounts._libc
        patch.setattr(
            mounts,
            "_libc",
            SimpleNamespace(
                mount=_library_call(libc.mount, "mount", fault), umount2=_library_call(libc.umount2, "umount2", fault)
            ),
        )
        for name in FACADE:
            patch.setattr(HostStorage, name, _facade_call(getattr(HostStorage, name), name, fault))
        yield


# Any: whatever the calls take and give.
def _system_call(original: Callable[..., Any], name: str, fault: Fault) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if (place := _place()) and fault.strikes(f"{name} of {place}"):
            if not fault.hangs:
                raise OSError(errno.EIO, "injected")
            _hang()
        return original(*args, **kwargs)

    return call


def _library_call(original: Callable[..., Any], name: str, fault: Fault) -> Callable[..., Any]:  # as above
    import ctypes

    def call(*args: Any) -> Any:
        if fault.strikes(name):
            if not fault.hangs:
                ctypes.set_errno(errno.EIO)
                return -1
            _hang()
        return original(*args)

    return call


def _hang() -> None:
    assert threading.current_thread() is not threading.main_thread(), "nothing that may hang is called on the loop"
    threading.Event().wait(HANG_SECONDS)


def _facade_call(original: Callable[..., Any], name: str, fault: Fault) -> Callable[..., Any]:  # as above
    async def call(*args: Any, **kwargs: Any) -> Any:
        if fault.strikes(f"{name}, before"):
            raise StoreUnavailable("injected")
        found = await original(*args, **kwargs)
        if fault.strikes(f"{name}, after"):
            raise StoreUnavailable("injected")
        return found

    return call


class FaultyProcess(SystemProcess):
    """Programs that fail: at once, by taking too long, or killed in their midst with half of their work done."""

    def __init__(self, fault: Fault) -> None:
        super().__init__()
        self.fault = fault
        self.made: list[str] = []

    async def run(self, argv: Sequence[str], *, timeout: float, check: bool = True, **kwargs: Any) -> Completed:
        """Run it, unless its time has come."""
        name = argv[0]
        if self.fault.strikes(f"{name} fails"):
            raise CommandFailedError(Completed(argv=tuple(argv), returncode=1, stdout=b"", stderr=b"injected"))
        if self.fault.strikes(f"{name} hangs"):
            raise TimeoutError(f"{name} took longer than {timeout:.0f} s")
        if self.fault.strikes(f"{name} is killed"):
            if name.startswith("mkfs"):
                with Path(argv[-1]).open("r+b") as device:
                    device.write(b"half of a filesystem" * 1000)
            raise CommandFailedError(Completed(argv=tuple(argv), returncode=-9, stdout=b"", stderr=b""))
        done = await super().run(argv, timeout=timeout, check=check, **kwargs)
        if name.startswith("mkfs"):
            self.made.append(argv[-1])
        return done


async def ground_with(fault: Fault, folder: Path) -> tuple[Ground, FakeClock, FaultyProcess]:
    """A model with one unit that wants a volume, and a provisioner whose time is the test's."""
    world = await World(MemoryStore()).begin()
    await world.change(lambda tx: register_host(tx, HERE))
    ground, clock, process = Ground(world, folder), FakeClock(), FaultyProcess(fault)
    ground.agent = FakeAgent(config=Config(), process=process, data_dir=folder / "agent", clock=clock)
    ground.providers = undercroft_storage_providers(ground.agent)
    await world.deploy(KEEPER, storage={"data": "loop,16M"})
    await world.start("keeper/0")
    await ground.of("keeper/0").attachments()
    return ground, clock, process


def loops_over(file: Path) -> list[str]:
    """The loop devices over a file, as the kernel says it: the provisioner's own way may fail."""
    found = []
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if backing.read_text().strip() == str(file):
                found.append(backing.parts[3])
        except FileNotFoundError:
            continue
    return found


async def passing(clock: FakeClock, done: Callable[[], Any]) -> None:
    """Let the provisioner's time pass until something is done."""
    async with asyncio.timeout(20):
        while not await done():
            await clock.advance(PATIENCE_SECONDS)
            await asyncio.sleep(0.002)


async def up_and_down(fault: Fault, folder: Path) -> None:
    """Bring the volume up, write to it, and take it down, whatever fails."""
    ground, clock, process = await ground_with(fault, folder)
    if fault.hangs:
        ground.hangs = Hangs(call_seconds=CALL_SECONDS, leave_seconds=CALL_SECONDS)

    async def is_up() -> bool:
        wanted = await ground.wanted()
        return any(
            each.status.current == "attached" and wanted.filesystem_attachments[name].info is not None
            for name, each in wanted.filesystems.items()
        )

    async def is_gone() -> bool:
        wanted = await ground.wanted()
        return not wanted.volumes and not wanted.filesystems

    with injected(fault):
        async with ground.provisioning():
            await passing(clock, is_up)
            (storage,) = await ground.of("keeper/0").attachments()
            assert [each for each in mountinfo.read() if each.target == storage.location], "it is mounted"
            (Path(storage.location) / "kept").write_text("kept")
            (volume,) = folder.rglob("volume-0-0")
            assert len(loops_over(volume)) == 1, "one loop device is over it"
            assert len(process.made) == 1, f"it was formatted {len(process.made)} times"
            await ground.world.run(remove_unit, "keeper/0", force=True)
            await ground.world.reap()
            await passing(clock, is_gone)
    left = [file for file in folder.rglob("*") if "volume-" in file.name or file.parent.name == "formatting"]
    assert not left
    assert not [each.target for each in mountinfo.read() if each.target.startswith(str(folder))]


def clear(folder: Path) -> None:
    """Unmount and detach what a failed test has left."""
    for mount in reversed([each.target for each in mountinfo.read() if each.target.startswith(str(folder))]):
        mounts.unmount(Path(mount))
    for file in folder.rglob("volume-*"):
        for loop in loops.loops_of(file):
            loops.detach(loop)


def faults(folder: Path) -> list[Fault]:
    """One for each place of a run without faults; with UNDERCROFT_FAULTS for each call."""
    folder.mkdir()
    none = Fault()
    asyncio.run(up_and_down(none, folder))
    is_all = bool(os.environ.get("UNDERCROFT_FAULTS"))
    each = none.called if is_all else dict.fromkeys(none.called, 1)
    calls = [what for what in none.called if " of " in what or what in ("mount", "umount2")]
    hanging = [Fault(what, hangs=True) for what in calls[:: 1 if is_all else 6]]
    return [*hanging, *(Fault(what, nth) for what, times in each.items() for nth in range(1, times + 1))]


def test_after_each_fault_it_comes_up_is_formatted_once_and_goes(tmp_path: Path) -> None:
    struck = set()
    for number, fault in enumerate(faults(tmp_path / "none")):
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            asyncio.run(up_and_down(fault, folder))
        except Exception as error:
            clear(folder)
            how = "hung" if fault.hangs else "failed"
            raise AssertionError(f"after {fault.what}, {fault.nth}, {how}: {error!r}") from error
        if fault.has_struck:
            struck.add(fault.what.partition(" of ")[0])

    assert {"posix_fallocate", "ioctl", "mount", "umount2", "mkfs.ext4 is killed", "set_attached, after"} <= struck
