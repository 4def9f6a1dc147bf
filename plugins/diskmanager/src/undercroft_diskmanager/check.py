"""What this host lacks for the disk manager to do all that it can; it works without any of it but libudev."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from undercroft.process import SYSTEM_FOLDERS
from undercroft_diskmanager import udev, udevd
from undercroft_diskmanager.sysfs import Roots

if TYPE_CHECKING:
    from undercroft_diskmanager.plugin import Config


def missing(config: Config, *, roots: Roots | None = None, uid: int | None = None) -> Sequence[str]:
    """One sentence for each thing that is missing, with its remedy."""
    roots = roots or Roots()
    found: list[str] = []
    try:
        udev.new_context()
    except udev.LibudevMissingError as error:
        found.append(str(error))
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM_FOLDERS))
    if shutil.which(config.blkid, path=path) is None:
        found.append(
            f"There is no program {config.blkid!r}, so that only the common filesystems are recognised where udev is "
            "silent: apt-get install util-linux, or set plugins.diskmanager.blkid."
        )
    if udevd.find(roots.udev) is None:
        found.append(
            "udevd is not running, so that disks have no serial numbers, names or links: apt-get install udev, "
            "and start systemd-udevd. (A container has none: there the host's is out of reach.)"
        )
    if (os.geteuid() if uid is None else uid) != 0:
        found.append("Only root may open disks: all are taken to be in use. Run the agent as root.")
    return found
