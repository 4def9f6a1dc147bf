"""A provisioner in a process of its own that kills itself at a named moment.

A moment is a name of `MOMENTS` behind `before` or `after`, or `amid` for a program.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plugins.model.tests.conftest import World
from plugins.storageprovisioner.tests.ground import Ground

from undercroft.clock import SystemClock
from undercroft.process import SystemProcess
from undercroft_hookspecs import ModelId
from undercroft_model.sqlite_store import open_sqlite
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
LONGEST_SECONDS = 30.0
MIDST_SECONDS = 0.003
"""How long mkfs runs before the provisioner is killed in its midst."""


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
        if when == "before":
            _die()
        found = original(*args, **kwargs)
        _die()
        return found

    return armed


def _coroutine(original: Callable[..., Any], when: str) -> Callable[..., Any]:  # as above
    async def armed(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            _die()
        if when == "amid":
            asyncio.get_running_loop().call_later(MIDST_SECONDS, _die)
        found = await original(*args, **kwargs)
        _die()
        return found

    return armed


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(folder: Path, model: str, moment: str) -> int:
    """Provision in a child until it dies; how it ended. It is forked, for to import everything takes a second."""
    child = os.fork()
    if child == 0:
        try:
            arm(moment)
            asyncio.run(_provision(folder, model))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


async def _provision(folder: Path, model: str) -> None:
    async with open_sqlite("sqlite:", data_dir=folder, clock=SystemClock()) as store:
        world = World(store)
        world.model = ModelId.parse(model)
        async with Ground(world, folder).provisioning():
            await asyncio.sleep(LONGEST_SECONDS)
