"""A store that goes away and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from undercroft.testing import MemoryStore
from undercroft_hookspecs import (
    Check,
    Commit,
    Delete,
    Entry,
    LeaseId,
    Put,
    Revision,
    Snapshot,
    StoreUnavailable,
)


class FlakyStore(MemoryStore):
    """A store that can be taken away: then all that is asked of it fails, and its watches end."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0
        self._away = asyncio.Event()

    def go_away(self) -> None:
        """Answer nobody any more."""
        self._away.set()

    def come_back(self) -> None:
        """Answer again."""
        self._away = asyncio.Event()

    async def get(self, key: str) -> Entry | None:
        self._look()
        return await super().get(key)

    async def list(self, prefix: str) -> Snapshot:
        self._look()
        return await super().list(prefix)

    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        self._look()
        return await super().transact(checks, writes)

    async def lease(self, ttl: float) -> LeaseId:
        self._look()
        return await super().lease(ttl)

    async def renew(self, lease: LeaseId) -> None:
        self._look()
        await super().renew(lease)

    async def revoke(self, lease: LeaseId) -> None:
        self._look()
        await super().revoke(lease)

    def watch(self, prefix: str, since: Revision) -> AbstractAsyncContextManager[AsyncIterator[Commit]]:
        return self._watching(prefix, since)

    @asynccontextmanager
    async def _watching(self, prefix: str, since: Revision) -> AsyncIterator[AsyncIterator[Commit]]:
        self._look()
        async with super().watch(prefix, since) as commits:
            yield _Ending(commits, self._away)

    def _look(self) -> None:
        if self._away.is_set():
            self.failures += 1
            raise StoreUnavailable


class _Ending:
    """Commits until the store goes away."""

    def __init__(self, commits: AsyncIterator[Commit], away: asyncio.Event) -> None:
        self._commits, self._away = commits, away

    def __aiter__(self) -> _Ending:
        return self

    async def __anext__(self) -> Commit:
        coming = asyncio.ensure_future(anext(self._commits))
        leaving = asyncio.ensure_future(self._away.wait())
        try:
            await asyncio.wait([coming, leaving], return_when=asyncio.FIRST_COMPLETED)
            if coming.done() and not self._away.is_set():
                return coming.result()
            raise StoreUnavailable
        finally:
            coming.cancel()
            leaving.cancel()
            await asyncio.gather(coming, leaving, return_exceptions=True)
