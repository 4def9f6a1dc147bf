"""The Store contract in memory: for tests, and for an agent that has no backend installed.

`undercroft_hookspecs.store` says what it keeps. What it is not: shared between processes, or kept over a restart. Each
call yields to the loop once before it looks, so that a read-modify-write without checks shows itself in tests as it
would on a real backend.

Leases end by the clock without a task of the store's own: whoever looks (a call, or a watcher that waits) first puts an
end to those whose time has come.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undercroft.clock import SystemClock, alarm
from undercroft_hookspecs.store import (
    Change,
    Check,
    Commit,
    Compacted,
    Conflict,
    Delete,
    Entry,
    LeaseId,
    LeaseLost,
    Put,
    Revision,
    Snapshot,
    check_key,
    check_transaction,
    check_ttl,
)

if TYPE_CHECKING:
    from undercroft_hookspecs.worker import Clock

KEPT_COMMITS = 10_000
"""How many commits a store keeps for its watchers, if nobody compacts it before."""

_ABSENT = Revision(0)


@dataclass(slots=True)
class _Lease:
    ttl: float
    ends: float
    keys: set[str] = field(default_factory=set)


class MemoryStore:
    """A Store in this process's memory. It needs no loop to be made, and nothing to be closed."""

    is_local = True
    """No other machine shares it."""

    def __init__(self, *, clock: Clock | None = None, kept_commits: int = KEPT_COMMITS) -> None:
        self._clock: Clock = clock if clock is not None else SystemClock()
        self._kept_commits = kept_commits
        self._revision = Revision(0)
        self._entries: dict[str, Entry] = {}
        self._keys: list[str] = []  # Sorted; strings sort as their UTF-8 does.
        self._commits: list[Commit] = []
        self._oldest = Revision(0)
        self._leases: dict[LeaseId, _Lease] = {}
        self._last_lease = 0
        self._first_end = math.inf  # No lease ends before; renewals may have put it off since.
        self._watchers: set[_Watcher] = set()

    async def get(self, key: str) -> Entry | None:
        """The entry of `key`, or None."""
        check_key(key)
        await self._turn()
        return self._entries.get(key)

    async def list(self, prefix: str) -> Snapshot:
        """All entries whose key begins with `prefix`, in the order of their keys."""
        await self._turn()
        found = []
        for index in range(bisect_left(self._keys, prefix), len(self._keys)):
            key = self._keys[index]
            if not key.startswith(prefix):
                break
            found.append(self._entries[key])
        return Snapshot(tuple(found), self._revision)

    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        """Write all of `writes` if all of `checks` hold, else nothing."""
        checks, writes = tuple(checks), tuple(writes)
        check_transaction(checks, writes)
        await self._turn()
        for check in checks:
            entry = self._entries.get(check.key)
            actual = _ABSENT if entry is None else entry.revision
            if actual != check.revision:
                raise Conflict(check.key, check.revision, actual)
        for write in writes:
            if isinstance(write, Put) and write.lease is not None and write.lease not in self._leases:
                raise LeaseLost(write.lease)
        return self._commit(writes)

    def watch(self, prefix: str, since: Revision) -> AbstractAsyncContextManager[AsyncIterator[Commit]]:
        """Every commit after `since` that touches `prefix`, in order."""
        return self._watch(prefix, since)

    async def lease(self, ttl: float) -> LeaseId:
        """Grant a lease that ends `ttl` seconds after its last renewal."""
        check_ttl(ttl)
        await self._turn()
        self._last_lease += 1
        lease = LeaseId(self._last_lease)
        self._leases[lease] = held = _Lease(ttl, self._clock.monotonic() + ttl)
        self._first_end = min(self._first_end, held.ends)
        self._wake_all()  # A watcher may be asleep until a later end than this one's.
        return lease

    async def renew(self, lease: LeaseId) -> None:
        """Let the lease's time begin anew."""
        await self._turn()
        held = self._leases.get(lease)
        if held is None:
            raise LeaseLost(lease)
        held.ends = self._clock.monotonic() + held.ttl

    async def revoke(self, lease: LeaseId) -> None:
        """End the lease and delete its keys in one commit; nothing if it has ended."""
        await self._turn()
        self._end(lease)

    async def compact(self, before: Revision) -> None:
        """Forget the history before `before`; present entries stay."""
        await self._turn()
        self._forget(Revision(min(before, self._revision + 1) - 1))

    def report(self) -> dict[str, object]:
        """How much there is, and how many look."""
        return {
            "revision": self._revision,
            "entries": len(self._entries),
            "commits": len(self._commits),
            "leases": len(self._leases),
            "watchers": len(self._watchers),
        }

    async def _turn(self) -> None:
        await self._clock.sleep(0)
        self._end_leases()

    @asynccontextmanager
    async def _watch(self, prefix: str, since: Revision) -> AsyncIterator[AsyncIterator[Commit]]:
        await self._turn()
        watcher = _Watcher(self, prefix, since)
        self._check_kept(since)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def _check_kept(self, since: Revision) -> None:
        if since < self._oldest:
            raise Compacted(self._oldest)

    def _next(self, prefix: str, since: Revision) -> Commit | None:
        """The first commit after `since` that touches `prefix`, with what it changed there."""
        self._end_leases()
        self._check_kept(since)
        for index in range(bisect_right(self._commits, since, key=_revision), len(self._commits)):
            commit = self._commits[index]
            changes = tuple(change for change in commit.changes if change.key.startswith(prefix))
            if changes:
                return Commit(commit.revision, changes)
        return None

    def _until_lease_ends(self) -> float | None:
        return None if self._first_end == math.inf else max(0.0, self._first_end - self._clock.monotonic())

    def _end_leases(self) -> None:
        now = self._clock.monotonic()
        if now < self._first_end:
            return
        ended = sorted((held.ends, lease) for lease, held in self._leases.items() if held.ends <= now)
        for _, lease in ended:
            self._end(lease)
        self._first_end = min((held.ends for held in self._leases.values()), default=math.inf)

    def _end(self, lease: LeaseId) -> None:
        held = self._leases.pop(lease, None)
        if held is not None:
            self._commit([Delete(key) for key in sorted(held.keys)])

    def _commit(self, writes: Sequence[Put | Delete]) -> Revision:
        changes: list[Change] = [write for write in writes if isinstance(write, Put) or write.key in self._entries]
        if not changes:
            return self._revision
        self._revision = Revision(self._revision + 1)
        for change in changes:
            self._apply(change)
        self._commits.append(Commit(self._revision, tuple(changes)))
        if len(self._commits) > self._kept_commits:
            self._forget(self._commits[len(self._commits) // 2].revision)
        self._wake_all()
        return self._revision

    def _apply(self, change: Change) -> None:
        old = self._entries.pop(change.key, None)
        if old is not None and old.lease is not None and (held := self._leases.get(old.lease)) is not None:
            held.keys.discard(change.key)
        if isinstance(change, Put):
            self._entries[change.key] = Entry(change.key, bytes(change.value), self._revision, change.lease)
            if change.lease is not None:
                self._leases[change.lease].keys.add(change.key)
            if old is None:
                insort(self._keys, change.key)
        elif old is not None:
            del self._keys[bisect_left(self._keys, change.key)]

    def _forget(self, up_to: Revision) -> None:
        if up_to > self._oldest:
            del self._commits[: bisect_right(self._commits, up_to, key=_revision)]
            self._oldest = up_to
            self._wake_all()  # Whoever is behind has to learn it.

    def _wake_all(self) -> None:
        for watcher in self._watchers:
            watcher.wake()


class _Watcher:
    """One watch: where it stands, and what wakes it."""

    __slots__ = ("_prefix", "_since", "_store", "_woken")

    def __init__(self, store: MemoryStore, prefix: str, since: Revision) -> None:
        self._store, self._prefix, self._since = store, prefix, since
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    def __aiter__(self) -> _Watcher:
        return self

    async def __anext__(self) -> Commit:
        while True:
            self._woken.clear()
            commit = self._store._next(self._prefix, self._since)
            if commit is not None:
                self._since = commit.revision
                return commit
            await self._wait()

    async def _wait(self) -> None:
        """Until something has changed, or the next lease ends."""
        delay = self._store._until_lease_ends()
        if delay is None:
            await self._woken.wait()
            return
        ring = alarm(self._store._clock, delay, self._woken.set)
        try:
            await self._woken.wait()
        finally:
            ring.cancel()


def _revision(commit: Commit) -> Revision:
    return commit.revision
