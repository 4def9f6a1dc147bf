"""What a host lacks to make storage."""

from __future__ import annotations

import os
import shutil

from undercroft_storageprovisioner.linux.loops import LOOP_CONTROL

_PROGRAMS = {
    "mkfs.ext4": "e2fsprogs",
    "mkfs.xfs": "xfsprogs",
    "mkfs.btrfs": "btrfs-progs",
}


def missing() -> list[str]:
    """One sentence with its remedy for each thing."""
    found = [
        f"{program} is missing, so that no {program.removeprefix('mkfs.')} filesystem can be made: install {package}"
        for program, package in _PROGRAMS.items()
        if shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") is None
    ]
    if os.geteuid() != 0:
        found.append("only root can mount: without, use the storage pool `directory`")
    elif not LOOP_CONTROL.exists():
        found.append(f"{LOOP_CONTROL} is missing, so that there are no loop devices: modprobe loop")
    return found
