"""The named moments at which a provisioner can be killed, by patching what it calls then.

A moment is a name of `MOMENTS` behind `before` or `after`, or `amid` for a program.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from undercroft.process import SystemProcess
from undercroft_model.storage.provisioning import HostStorage
from undercroft_storageprovisioner.linux import formatting, loops, mounts
from undercroft_storageprovisioner.providers import loop

MOMENTS: dict[str, tuple[object, str]] = {
    "file allocated": (os, "posix_fallocate"),
    "file renamed": (Path, "rename"),
    "volume recorded": (HostStorage, "set_volume"),
    "loop device configured": (loops, "attach"),
    "attachment recorded": (HostStorage, "set_attached"),
    "note written": (formatting, "write_note"),
    "mkfs run": (SystemProcess, "run"),
    "filesystem recorded": (HostStorage, "set_filesystem"),
    "mounted": (mounts, "mount"),
    "unmounted": (mounts, "unmount"),
    "mount point removed": (mounts, "remove_mount_point"),
    "detachment recorded": (HostStorage, "set_detached"),
    "loop device freed": (loops, "detach"),
    "file removed": (loop, "_remove"),
    "entity removed": (HostStorage, "remove"),
}
UP = tuple(MOMENTS)[:9]
DOWN = tuple(MOMENTS)[9:]
EVERY_UP = [f"{when} {name}" for name in UP for when in ("before", "after")] + ["amid mkfs run"]
EVERY_DOWN = [f"{when} {name}" for name in DOWN for when in ("before", "after")]

MIDST_SECONDS = 0.003
"""How long mkfs runs before the provisioner is killed in its midst."""
_OURS = f"{os.sep}undercroft_storageprovisioner{os.sep}"


def arm(moment: str) -> None:
    """Have the process die at a moment."""
    when, _, name = moment.partition(" ")
    owner, attribute = MOMENTS[name]
    original = getattr(owner, attribute)
    armed = _coroutine(original, when) if asyncio.iscoroutinefunction(original) else _function(original, when)
    setattr(owner, attribute, armed)


# Any: whatever the function takes and gives.
def _function(original: Callable[..., Any], when: str) -> Callable[..., Any]:
    def armed(*args: Any, **kwargs: Any) -> Any:
        if _OURS not in sys._getframe(1).f_code.co_filename:  # Others of the agent call it, too.
            return original(*args, **kwargs)
        if when == "before":
            die()
        found = original(*args, **kwargs)
        die()
        return found

    return armed


def _coroutine(original: Callable[..., Any], when: str) -> Callable[..., Any]:  # as above
    async def armed(*args: Any, **kwargs: Any) -> Any:
        if original is _run and not args[1][0].startswith("mkfs"):
            return await original(*args, **kwargs)
        if when == "before":
            die()
        if when == "amid":
            asyncio.get_running_loop().call_later(MIDST_SECONDS, die)
        found = await original(*args, **kwargs)
        die()
        return found

    return armed


_run = SystemProcess.run


def die() -> None:
    """As if somebody had sent SIGKILL."""
    os.kill(os.getpid(), signal.SIGKILL)
