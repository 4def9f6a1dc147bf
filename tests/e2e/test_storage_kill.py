"""The agent is killed at random instants while it provisions: what was acknowledged is there, and nothing is left over.

After every other kill the machine loses its mounts and loop devices, too, as if it had been rebooted.
`UNDERCROFT_KILLS=200` tries more instants than CI does.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from tests.e2e.machine import OneMachine

from undercroft.linux import mountinfo

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root: run the tests as root"),
]

KILLS = int(os.environ.get("UNDERCROFT_KILLS", "10"))
LARGEST_SLEEP = 1.2
MOST = 4
POOLS = ("loop,64M", "loop,32M", "rootfs,16M", "tall,310M")


@dataclass(frozen=True, slots=True)
class Kept:
    """An acknowledged piece of storage: where it is, what was written to it, and which filesystem it was then."""

    place: Path
    checksum: str
    filesystem: tuple[UUID, int] | None

    def is_intact(self) -> bool:
        """Whether it is mounted, and has what was written."""
        file = self.place / "kept"
        is_mounted = any(mount.target == str(self.place) for mount in mountinfo.read())
        return is_mounted and file.exists() and hashlib.sha256(file.read_bytes()).hexdigest() == self.checksum


class Hoard:
    """A machine with one unit, whose storage comes and goes."""

    def __init__(self, machine: OneMachine, rng: random.Random) -> None:
        self.machine, self.rng = machine, rng
        self.kept: dict[str, Kept] = {}

    def begin(self) -> None:
        """Deploy it."""
        self.machine.start()
        self.machine.do("create-storage-pool", "tall", "loop", "fs=xfs")
        self.machine.do("deploy", "hoard")
        self.machine.until(lambda: self.machine.units()["hoard/0"]["juju-status"]["current"] == "idle", "it is idle")

    def change(self) -> None:
        """Ask for more, or for less."""
        if len(self.storage()) < MOST and (not self.kept or self.rng.random() < 0.6):
            self.machine.do("add-storage", "hoard/0", f"data={self.rng.choice(POOLS)}")
        elif self.kept:
            name = self.rng.choice(sorted(self.kept))
            del self.kept[name]
            self.machine.do("remove-storage", name, "--force")

    def storage(self) -> dict[str, dict[str, object]]:
        """What the model says."""
        found: dict[str, dict[str, object]] = self.machine.ask("storage").get("storage", {})
        return found

    def acknowledge(self) -> None:
        """Write to what is said to be attached, and remember it."""
        for name, entry in self.storage().items():
            attachments = entry.get("attachments", {})
            assert isinstance(attachments, dict)
            at = attachments.get("units", {}).get("hoard/0", {}).get("location", "")
            assert isinstance(entry["status"], dict)
            if name in self.kept or not at or entry["life"] != "alive" or entry["status"]["current"] != "attached":
                continue
            content = self.rng.randbytes(100_000)
            with (Path(at) / "kept").open("wb") as file:
                file.write(content)
                os.fsync(file.fileno())
            self.kept[name] = Kept(Path(at), hashlib.sha256(content).hexdigest(), _filesystem(Path(at)))

    def check(self) -> None:
        """All that was acknowledged comes back as it was."""
        for name, kept in self.kept.items():
            self.machine.until(kept.is_intact, f"{name} is mounted on {kept.place} with its data")
            assert _filesystem(kept.place) == kept.filesystem, f"{name} was formatted again"

    def crash(self, *, hard: bool) -> None:
        """Kill the agent; `hard`: the machine forgets what was mounted and attached."""
        assert self.machine.end(signal.SIGKILL) == -signal.SIGKILL
        if hard:
            for mount in reversed(list(self.mounts())):
                subprocess.run(["umount", mount.target], check=True)
            for device in self.loops():
                subprocess.run(["losetup", "--detach", device], check=False)

    def mounts(self) -> Iterator[mountinfo.Mount]:
        """What is mounted in its folder."""
        return (mount for mount in mountinfo.read() if mount.target.startswith(str(self.machine.folder)))

    def loops(self) -> list[str]:
        """The loop devices over its files."""
        argv = ["losetup", "-n", "-l", "-O", "NAME,BACK-FILE"]
        listed = subprocess.run(argv, check=True, capture_output=True, text=True)
        return [line.split()[0] for line in listed.stdout.splitlines() if str(self.machine.folder) in line]

    def left(self) -> list[str]:
        """What is left of storage, when there is none."""
        folder = self.machine.data_dir
        files = [*folder.rglob("*volume-*"), *folder.rglob("formatting/*"), *folder.rglob("*filesystem-*")]
        return [*map(str, files), *self.loops(), *(mount.target for mount in self.mounts())]


def test_storage_is_there_whenever_its_agent_is_killed(machine: OneMachine) -> None:
    rng = random.Random(os.environ.get("UNDERCROFT_SEED", "undercroft"))
    hoard = Hoard(machine, rng)
    hoard.begin()
    for number in range(KILLS):
        hoard.change()
        time.sleep(rng.uniform(0.0, LARGEST_SLEEP))
        hoard.acknowledge()
        hoard.crash(hard=number % 2 == 1)
        machine.start()
        hoard.check()
    machine.until(lambda: all(_status(entry) == "attached" for entry in hoard.storage().values()), "all is attached")
    hoard.acknowledge()
    hoard.check()
    machine.do("remove-application", "hoard", "--no-prompt")
    machine.until(lambda: not machine.ask("storage"), "all storage is gone")
    machine.until(lambda: not hoard.left(), "nothing of it is left")
    assert not hoard.left()


def _status(entry: dict[str, object]) -> object:
    assert isinstance(entry["status"], dict)
    return entry["status"]["current"]


def _filesystem(place: Path) -> tuple[UUID, int] | None:
    """The UUID of the filesystem mounted there, and when it was made (ext4 only); None if it is on no device."""
    mount = [each for each in mountinfo.read() if each.target == str(place)][-1]
    if mount.filesystem_type not in ("ext4", "xfs") or mount.root != "/" or not mount.source.startswith("/dev/loop"):
        return None
    with Path(mount.source).open("rb") as device:
        head = device.read(4096)
    if mount.filesystem_type == "xfs":
        return UUID(bytes=head[32:48]), 0
    return UUID(bytes=head[1024 + 104 : 1024 + 120]), int.from_bytes(head[1024 + 264 : 1024 + 268], "little")
