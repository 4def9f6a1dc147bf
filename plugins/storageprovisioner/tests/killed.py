"""A provisioner in a process of its own that kills itself at a named moment."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from plugins.model.tests.conftest import World
from plugins.storageprovisioner.tests.ground import Ground
from plugins.storageprovisioner.tests.moments import arm

from undercroft.clock import SystemClock
from undercroft_hookspecs import ModelId
from undercroft_model.sqlite_store import open_sqlite

LONGEST_SECONDS = 30.0


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
