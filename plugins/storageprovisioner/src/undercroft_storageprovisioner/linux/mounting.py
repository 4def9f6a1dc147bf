"""A volume's filesystem, mounted where it is wanted: it, all of it, and nothing else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft.linux import signature
from undercroft_hookspecs import PermanentError
from undercroft_storageprovisioner.linux import mounts
from undercroft_storageprovisioner.linux.checking import is_taken, state
from undercroft_storageprovisioner.linux.formatting import holds

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft.linux.mountinfo import Mount
    from undercroft_storageprovisioner.linux.formatting import Kind


@dataclass(frozen=True, slots=True)
class Mounting:
    """The filesystem of a UUID on a device, to be mounted at a path. Its methods block."""

    device: Path
    path: Path
    kind: Kind
    uuid: str
    read_only: bool

    def mount_if_clean(self, *, is_checked: bool) -> bool:
        """Mount it, unless it is to be checked and was not left in order: then nothing is done, and false given.

        Raises:
            PermanentError: something else is on the device, or mounted at the path.
        """
        if self._is_mounted():
            return True
        if is_checked and self.kind == "ext4" and (is_taken(self.device) or any(state(self.device))):
            return False
        self._mount()
        return True

    def mount(self) -> None:
        """Mount it; nothing if it is. Raises PermanentError: something else is on the device, or mounted there."""
        if not self._is_mounted():
            self._mount()

    def _is_mounted(self) -> bool:
        there = mounts.at(self.path)
        if there is not None:
            verify(there, self.device, self.path)
        if not holds(self.device, self.uuid):
            what = ", ".join(f"{each.type} {each.uuid}".strip() for each in signature.read(self.device)) or "nothing"
            which = f"{self.device} was to hold {self.kind} {self.uuid}, and holds {what}"
            if there is not None:
                raise PermanentError(f"{which}, which is mounted on {self.path}: give it its UUID back, or unmount it")
            raise PermanentError(f"{which}: it is not mounted")
        return there is not None

    def _mount(self) -> None:
        mounts.mount(str(self.device), self.path, self.kind, read_only=self.read_only)
        verify(mounts.at(self.path), self.device, self.path)


def verify(mount: Mount | None, device: Path, path: Path) -> None:
    """Refuse a mount that is not a device's, or not all of it. Raises PermanentError."""
    if mount is None:
        raise PermanentError(f"{path} is not mounted, though the kernel took the mount")
    if not _is_of(mount, device):
        raise PermanentError(mounts.taken(mount, device))
    if mount.root != "/":
        raise PermanentError(f"{path} shows {mount.root} of {device}, and not all of it: unmount it (umount {path})")


def detach(device: Path | None, path: Path) -> None:
    """Unmount a device's filesystem; nothing if it is not mounted there. What else is mounted there stays.

    Raises:
        MountBusyError: somebody uses it, or something else is mounted over it.
    """
    there = mounts.all_at(path)
    if device is not None and there and _is_of(there[-1], device):
        mounts.unmount(path)
        there = mounts.all_at(path)
    elif device is not None and any(_is_of(mount, device) for mount in there):
        raise mounts.MountBusyError(path, [f"{there[-1].source}, which is mounted over it (umount {path})"])
    if not there:
        mounts.remove_mount_point(path)


def _is_of(mount: Mount, device: Path) -> bool:
    """Whether a mount is the device's. A btrfs has a number of its own: there the name has to do, which is ours."""
    try:
        number = device.stat().st_rdev
    except FileNotFoundError:
        return False
    return os.makedev(mount.major, mount.minor) == number or (mount.major == 0 and mount.source == str(device))
