"""What was seen to be attached on this host, and whether it still is what it was.

A mount is known by its filesystem's number, the folder of it that is shown, and the UUID of what is on its device. One
that has become another is not ours any more: it is attached anew, which refuses what is not the filesystem, touches
nothing, and succeeds once somebody has put it right.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft.linux import mountinfo, signature
from undercroft_hookspecs.state import Life
from undercroft_storageprovisioner.identified import find, is_identified
from undercroft_storageprovisioner.plan import Kind
from undercroft_storageprovisioner.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from undercroft_hookspecs import AttachInfo, BlockDevice
    from undercroft_hookspecs.storage_facades import WantedStorage
    from undercroft_storageprovisioner.plan import Step

Busy = tuple[Kind, str]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """What is mounted at a place; `uuid` is empty where no device's content tells it."""

    number: tuple[int, int]
    root: str
    source: str
    uuid: str

    def __str__(self) -> str:
        major, minor = self.number
        return " ".join(filter(None, (self.source, f"({major}:{minor}, {self.root})", self.uuid)))


@dataclass(frozen=True, slots=True)
class Mounted:
    """A filesystem that was seen to be attached: where, and as what; None for one that is a folder and no mount."""

    path: str
    identity: Identity | None


class Sight:
    """The volumes and filesystems of one model that are attached here."""

    def __init__(self) -> None:
        self.devices: dict[str, str] = {}
        """By volume, the name of the device that it was seen to be."""
        self.mounts: dict[str, Mounted] = {}
        """By filesystem, where it was seen to be."""
        self.instead: dict[str, Identity] = {}
        """By filesystem that is to be attached and is not, what is mounted at its place."""
        self.hosts: Sequence[BlockDevice] | None = None
        """This host's devices as last told; None: nobody has told."""

    def report(self) -> dict[str, object]:
        """What is attached."""
        return {
            "volumes": dict(sorted(self.devices.items())),
            "filesystems": {name: each.path if each.identity else "" for name, each in sorted(self.mounts.items())},
        }

    async def note(self, step: Step, info: AttachInfo) -> None:
        """Something has been attached, and it was seen that it is what it is to be."""
        if step.kind is Kind.VOLUME:
            self.devices[step.entity] = info.device_name
        else:
            identities = await in_thread(_identities, {info.path: None})
            self.mounts[step.entity] = Mounted(info.path, identities.get(info.path))
            self.instead.pop(step.entity, None)

    async def see_instead(self, filesystem: str, place: str) -> None:
        """A filesystem could not be attached: what is mounted at its place may be in the way."""
        found = (await in_thread(_identities, {place: None})).get(place)
        self.instead = {name: each for name, each in self.instead.items() if name != filesystem}
        if found is not None:
            self.instead[filesystem] = found

    def forget(self, step: Step) -> None:
        """Something is not attached any more."""
        attached: dict[str, str] | dict[str, Mounted] = self.devices if step.kind is Kind.VOLUME else self.mounts
        attached.pop(step.entity, None)

    async def look(
        self, wanted: WantedStorage, places: Mapping[str, str], busy: Collection[Busy], *, is_whole: bool
    ) -> bool:
        """Forget what is not there any more, or has become another; whether something has changed.

        `places` has where each filesystem is to be; `busy` what is being worked on, which is as its step leaves it.
        With `is_whole` what is on the devices is read again, too, and not only where the mounts have changed.
        """
        mounts, devices, before = dict(self.mounts), dict(self.devices), frozenset(busy)
        paths = {each.path: None if is_whole else each.identity for each in mounts.values() if each.identity}
        lacking = {
            name: place
            for name, place in places.items()
            if name not in mounts
            and (Kind.FILESYSTEM, name) not in before
            and wanted.filesystem_attachments[name].life is Life.ALIVE
        }
        paths |= {place: None if is_whole else self.instead.get(name) for name, place in lacking.items()}
        found = await in_thread(_identities, paths) if paths else {}
        there = await in_thread(_there, frozenset(devices.values())) if devices else set()
        instead = {name: each for name, each in self.instead.items() if (Kind.FILESYSTEM, name) in before}
        instead |= {name: found[place] for name, place in lacking.items() if place in found}
        has_changed = instead != self.instead
        self.instead = instead
        for name, mounted in mounts.items():
            is_free = self.mounts.get(name) is mounted and not {(Kind.FILESYSTEM, name)} & {*before, *busy}
            if is_free and mounted.identity is not None and found.get(mounted.path) != mounted.identity:
                now = found.get(mounted.path, "nothing")
                _log.warning("filesystem %s was %s on %s, which has %s", name, mounted.identity, mounted.path, now)
                del self.mounts[name]
                has_changed = True
        for name, device in devices.items():
            is_free = self.devices.get(name) == device and not {(Kind.VOLUME, name)} & {*before, *busy}
            if device and is_free and not self._is_still(name, device, there, wanted):
                _log.warning("volume %s is not %s any more", name, device)
                del self.devices[name]
                has_changed = True
        return has_changed

    def _is_still(self, volume: str, device: str, there: set[str], wanted: WantedStorage) -> bool:
        """Whether a volume is the device that it was; of one that is known by what it is, the disk manager knows."""
        record, held = wanted.volumes.get(volume), wanted.volume_attachments.get(volume)
        if self.hosts is None or record is None or held is None or held.info is None:
            return device in there
        if not is_identified(record, held.info):
            return device in there
        found = find(self.hosts, record, held.info)
        return found is not None and found.device_name == device


def _identities(paths: Mapping[str, Identity | None]) -> dict[str, Identity]:
    """What is mounted at each path, the last of several; what is known to be on it is not read again."""
    last = {mount.target: mount for mount in mountinfo.read() if mount.target in paths}
    found = {}
    for path, mount in last.items():
        known, number = paths[path], (mount.major, mount.minor)
        if known is not None and (known.number, known.root, known.source) == (number, mount.root, mount.source):
            found[path] = known
        else:
            found[path] = Identity(number, mount.root, mount.source, _uuid(mount.source))
    return found


def _uuid(source: str) -> str:
    """The UUID of the filesystem on a device; empty if it is none, or does not let itself be read."""
    if source.startswith("/dev/"):
        with contextlib.suppress(OSError):
            return next((each.uuid for each in signature.read(Path(source)) if each.usage == "filesystem"), "")
    return ""


def _there(devices: frozenset[str]) -> set[str]:
    """Which of these devices are there."""
    return {device for device in devices if device and _is_there(device)}


def _is_there(device: str) -> bool:
    """Whether a device is there and has a size: a loop device without a file has none."""
    try:
        return int(Path("/sys/class/block", device, "size").read_text()) > 0
    except (OSError, ValueError):
        return False
