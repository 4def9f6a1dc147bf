"""A watcher over the model by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from plugins.uniter.tests.remotestate.fakes import Scene

from undercroft import outcome
from undercroft_uniter.remotestate.snapshot import Snapshot
from undercroft_uniter.remotestate.watcher import RemoteStateWatcher


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(40):
        await asyncio.sleep(0)


class Sight:
    """A watcher, as its one user sees it."""

    def __init__(self, scene: Scene, watcher: RemoteStateWatcher) -> None:
        self.scene, self.watcher = scene, watcher

    async def next(self) -> Snapshot:
        """What is wanted at the next change, when all has been heard that was told before."""
        async with asyncio.timeout(10):
            await self.watcher.changed()
        await settle()
        return self.watcher.snapshot()

    async def is_quiet(self) -> bool:
        """Nothing has changed, however long one waits."""
        waiting = asyncio.ensure_future(self.watcher.changed())
        await settle()
        is_quiet = not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        return is_quiet


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A model that says nothing yet."""
    return Scene(tmp_path)


@pytest.fixture
async def sight(scene: Scene) -> AsyncIterator[Sight]:
    """A watcher that knows all that there is to know at first; the test has not looked yet."""
    scene.tell_all()
    watcher = await scene.watcher()
    yield Sight(scene, watcher)
    watcher.kill()
    await outcome(watcher)
