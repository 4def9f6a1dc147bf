"""A whole agent is killed at named steps of its storage's life: its data is there afterwards, and nothing twice.

One agent goes through all of them, one after another. `UNDERCROFT_MOMENTS=all` has all of them, where CI has a few.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from plugins.storageprovisioner.tests.moments import EVERY_DOWN, EVERY_UP
from tests.e2e.machine import OneMachine

from undercroft.linux import mountinfo
from undercroft_storageprovisioner.linux.loops import loops_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root: run the tests as root"),
]

FEW = ["amid mkfs run", "after loop device configured", "before mounted", "after unmounted"]
CHOSEN = [*EVERY_UP, *EVERY_DOWN] if os.environ.get("UNDERCROFT_MOMENTS") == "all" else FEW
DOOMED = Path(__file__).with_name("doomed.py")
HOOK_SECONDS = 300.0


class Life:
    """One unit, and what its storage had in it when it was acknowledged."""

    def __init__(self, machine: OneMachine) -> None:
        self.machine, self.folder = machine, machine.data_dir
        self.kept: dict[str, tuple[Path, str, bytes]] = {}

    def begin(self) -> None:
        """Deploy it."""
        self.machine.start()
        self.machine.do("deploy", "hoard")
        # The hooks of all agents on the machine that run as root wait for one another.
        self.machine.until(
            lambda: self.machine.units()["hoard/0"]["juju-status"]["current"] == "idle", "it is idle", HOOK_SECONDS
        )

    def killed_at(self, moment: str, change: Callable[[], object]) -> None:
        """Ask for a change while no agent runs, and have the next one die of it."""
        assert self.machine.end() == 0
        change()
        paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {**self.machine.environment, "PYTHONPATH": os.pathsep.join(paths)}
        agent = subprocess.run(
            [sys.executable, DOOMED, moment, "agent"], env=environment, timeout=HOOK_SECONDS, check=False
        )
        assert agent.returncode == -signal.SIGKILL, f"it never came to {moment}"

    def goes_up(self, moment: str) -> None:
        """A new volume, killed on its way: it is formatted once, and the others are as they were."""
        before = set(self.volumes())
        self.killed_at(moment, lambda: self.machine.do("add-storage", "hoard/0", "data=loop,16M"))
        made = {file: made_at(file) for file in self.volumes() if file not in before}
        self.machine.start()
        self.machine.until(lambda: len(self.attached()) == len(self.kept) + 1, f"it is attached, killed {moment}")
        for volume, when in made.items():
            assert when in (made_at(volume), NOTHING), f"{volume.name} was formatted again, killed {moment}"
        ((name, place),) = ((name, place) for name, place in self.attached().items() if name not in self.kept)
        content = os.urandom(100_000)
        with (place / "kept").open("wb") as file:
            file.write(content)
            os.fsync(file.fileno())
        self.kept[name] = (place, hashlib.sha256(content).hexdigest(), made_at(volume_at(place)))

    def goes_down(self, moment: str) -> None:
        """A volume that is there is removed, killed on its way: it is gone, and the others are as they were."""
        name = min(self.kept)
        del self.kept[name]
        self.killed_at(moment, lambda: self.machine.do("remove-storage", name, "--force"))
        self.machine.start()
        self.machine.until(lambda: len(self.storage()) == len(self.kept), f"{name} is gone, killed {moment}")

    def check(self, moment: str) -> None:
        """All that was acknowledged is there, formatted once, and there is nothing else."""
        for name, (place, checksum, when) in self.kept.items():
            assert any(mount.target == str(place) for mount in mountinfo.read()), f"{name} after {moment}"
            assert hashlib.sha256((place / "kept").read_bytes()).hexdigest() == checksum, f"{name} after {moment}"
            assert made_at(volume_at(place)) == when, f"{name} was formatted again, killed {moment}"
        volumes = self.volumes()
        assert len(volumes) == len(self.kept)
        assert [len(loops_of(file)) for file in volumes] == [1] * len(volumes)
        mounted = [mount for mount in mountinfo.read() if mount.target.startswith(str(self.folder))]
        assert len(mounted) == len(self.kept)
        left = [*self.folder.rglob("formatting/*"), *self.folder.rglob(".volume-*")]
        assert not left, f"left after {moment}: {left}"

    def volumes(self) -> list[Path]:
        """Their files."""
        return sorted(self.folder.rglob("loop/volume-*"))

    def storage(self) -> dict[str, dict[str, dict[str, dict[str, dict[str, str]]]]]:
        """What the model says."""
        found: dict[str, dict[str, dict[str, dict[str, dict[str, str]]]]] = self.machine.ask("storage").get(
            "storage", {}
        )
        return found

    def attached(self) -> dict[str, Path]:
        """What is said to be attached, and where."""
        found = {}
        for name, entry in self.storage().items():
            place = entry.get("attachments", {}).get("units", {}).get("hoard/0", {}).get("location", "")
            if place and str(entry["status"]["current"]) == "attached":
                found[name] = Path(place)
        return found


NOTHING = bytes(20)


def made_at(device: Path) -> bytes:
    """The UUID of an ext4 and when it was made."""
    with device.open("rb") as opened:
        head = opened.read(2048).ljust(2048, b"\0")
    return head[1024 + 104 : 1024 + 120] + head[1024 + 264 : 1024 + 268]


def volume_at(place: Path) -> Path:
    """The device that is mounted there."""
    return Path([mount.source for mount in mountinfo.read() if mount.target == str(place)][-1])


def test_killed_at_each_step_an_agent_ends_what_it_began(machine: OneMachine) -> None:
    life = Life(machine)
    life.begin()
    for moment in CHOSEN:
        if moment in EVERY_UP:
            life.goes_up(moment)
        else:
            life.goes_down(moment)
        life.check(moment)
    machine.do("remove-application", "hoard", "--no-prompt")
    machine.until(lambda: not machine.ask("storage"), "all storage is gone", HOOK_SECONDS)
    machine.until(lambda: not life.volumes() and not list(life.folder.rglob("formatting/*")), "nothing of it is left")
