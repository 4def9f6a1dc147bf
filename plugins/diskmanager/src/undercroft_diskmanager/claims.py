"""Which devices are mounted or swapped to, and where: what changes without an event of the device itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from undercroft.linux import mountinfo
from undercroft.linux.mountinfo import Mount, decode
from undercroft_diskmanager.sysfs import Roots

SWAP = "[SWAP]"


def read(roots: Roots, names: Mapping[tuple[int, int], str]) -> dict[str, str]:
    """Device's name -> its mount point, or SWAP; `names` are the devices' names by major and minor number. Blocks."""
    claims = mount_points(mountinfo.read(roots.mountinfo), names, roots.dev)
    for name in _swaps(roots):
        claims.setdefault(name, SWAP)
    return claims


def mount_points(
    mounts: Iterable[Mount], names: Mapping[tuple[int, int], str], dev: Path = Path("/dev")
) -> dict[str, str]:
    """Where each device is mounted: the first place that shows the whole filesystem, else the first of all."""
    whole: dict[str, str] = {}
    partial: dict[str, str] = {}
    for mount in mounts:
        # A filesystem that may span several devices (btrfs) has a number of its own, and names one device as source.
        name = names.get((mount.major, mount.minor)) or (_name_of(mount.source, dev) if mount.major == 0 else "")
        if name:
            (whole if mount.root == "/" else partial).setdefault(name, mount.target)
    return {**partial, **whole}


def _swaps(roots: Roots) -> list[str]:
    try:
        lines = roots.swaps.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    except OSError:
        return []
    return [name for line in lines if line and (name := _name_of(decode(line.split()[0]), roots.dev))]


def _name_of(path: str, dev: Path) -> str:
    """The name of the device that a path below /dev leads to; empty for anything else."""
    prefix = f"{dev}/"
    if not path.startswith(prefix):
        return ""
    real = os.path.realpath(path)
    return real.removeprefix(prefix).replace("/", "!") if real.startswith(prefix) else ""
