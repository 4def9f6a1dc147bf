"""What a Store is judged with: a way to open it, and its time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TypeAlias

from undercroft.clock import SystemClock
from undercroft.testing import FakeClock
from undercroft_conformance.drive import Bench, deadline
from undercroft_conformance.verdict import Broken
from undercroft_hookspecs.store import Commit, Revision, Store
from undercroft_hookspecs.worker import Clock

OpenStore: TypeAlias = Callable[[Clock], AbstractAsyncContextManager[Store]]
"""Opens a store that is empty the first time. Each further call opens the same state once more."""

NEW = Revision(0)


@dataclass(frozen=True, slots=True)
class StoreCase:
    """One store, on one loop. `real_time` is for backends whose leases do not run on the clock that they are given."""

    open_store: OpenStore
    real_time: bool = False
    bench: Bench = field(default_factory=Bench)
    fake: FakeClock = field(default_factory=FakeClock)

    @property
    def clock(self) -> Clock:
        """The clock that the store is opened with."""
        return SystemClock() if self.real_time else self.fake

    def open(self) -> AbstractAsyncContextManager[Store]:
        """Open the store, or open it once more."""
        return self.open_store(self.clock)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass for the store's leases."""
        if self.real_time:
            await asyncio.sleep(seconds)
        else:
            await self.fake.advance(seconds)


async def take(commits: AsyncIterator[Commit], count: int) -> list[Commit]:
    """The next commits of a watch.

    Raises:
        Broken: they do not come in time.
    """
    found: list[Commit] = []
    try:
        async with asyncio.timeout(deadline()):
            while len(found) < count:
                found.append(await anext(commits))
    except TimeoutError:
        raise Broken(f"{len(found)} of {count} commits came within {deadline():g} s: {found}") from None
    except StopAsyncIteration:
        raise Broken(f"the watch ended by itself after {len(found)} of {count} commits") from None
    return found


async def gone(store: Store, key: str) -> None:
    """Wait until a key is gone: some backends take a moment to put an end to a lease.

    Raises:
        Broken: it stays.
    """
    loop = asyncio.get_running_loop()
    give_up = loop.time() + deadline()
    while await store.get(key) is not None:
        if loop.time() > give_up:
            raise Broken(f"{key!r} is still there {deadline():g} s after its lease has ended")
        await asyncio.sleep(0.02)
