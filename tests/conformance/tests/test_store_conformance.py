"""The kit on the Store that keeps the contract, and on one bad store for each rule."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, cast

import pytest

from undercroft.testing import MemoryStore
from undercroft_conformance import StoreConformance
from undercroft_conformance.drive import judge
from undercroft_conformance.store_conformance import CHECKS
from undercroft_conformance.stores import OpenStore, StoreCase
from undercroft_conformance.verdict import RuleBroken
from undercroft_hookspecs import (
    Check,
    Clock,
    Commit,
    Compacted,
    Conflict,
    Delete,
    Entry,
    LeaseId,
    NotValidError,
    Put,
    Revision,
    Snapshot,
    Store,
    TooLarge,
)


def opening(make: Callable[[Clock], Store]) -> OpenStore:
    """Open a store that is made once."""
    made: list[Store] = []

    @asynccontextmanager
    async def open_store(clock: Clock) -> AsyncIterator[Store]:
        if not made:
            made.append(make(clock))
        yield made[0]

    return open_store


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def open_store(self) -> OpenStore:
        return opening(lambda clock: MemoryStore(clock=clock))


class Bad:
    """A store that does one thing wrong: each subclass overrides what it does."""

    def __init__(self, clock: Clock) -> None:
        self.good = MemoryStore(clock=clock)
        self.clock = clock

    async def get(self, key: str) -> Entry | None:
        return await self.good.get(key)

    async def list(self, prefix: str) -> Snapshot:
        return await self.good.list(prefix)

    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        return await self.good.transact(checks, writes)

    def watch(self, prefix: str, since: Revision) -> AbstractAsyncContextManager[AsyncIterator[Commit]]:
        return self.good.watch(prefix, since)

    async def lease(self, ttl: float) -> LeaseId:
        return await self.good.lease(ttl)

    async def renew(self, lease: LeaseId) -> None:
        await self.good.renew(lease)

    async def revoke(self, lease: LeaseId) -> None:
        await self.good.revoke(lease)

    async def compact(self, before: Revision) -> None:
        await self.good.compact(before)


class HasNoCompact:
    """Not a store."""

    def __init__(self, clock: Clock) -> None:
        good = MemoryStore(clock=clock)
        self.get, self.list, self.transact, self.watch = good.get, good.list, good.transact, good.watch
        self.lease, self.renew, self.revoke = good.lease, good.renew, good.revoke


class GivesEmptyForAbsent(Bad):
    async def get(self, key: str) -> Entry | None:
        return await super().get(key) or Entry(key, b"", Revision(0))


class GivesPresentRevision(Bad):
    async def get(self, key: str) -> Entry | None:
        entry = await super().get(key)
        return entry and Entry(entry.key, entry.value, (await self.list("")).revision, entry.lease)


class ListsLikeSql(Bad):
    async def list(self, prefix: str) -> Snapshot:
        found = await super().list("")
        entries = [entry for entry in found.entries if entry.key.lower().startswith(prefix.lower())]
        return Snapshot(entries, found.revision)


class ListsInOrderOfWriting(Bad):
    async def list(self, prefix: str) -> Snapshot:
        found = await super().list(prefix)
        return Snapshot(sorted(found.entries, key=lambda entry: entry.revision), found.revision)


class ListsRevisionOfPrefix(Bad):
    async def list(self, prefix: str) -> Snapshot:
        found = await super().list(prefix)
        return Snapshot(found.entries, max((entry.revision for entry in found.entries), default=Revision(0)))


class MeasuresCharacters(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        if any(len(write.key) <= 1024 < len(write.key.encode()) for write in writes):
            return Revision(1)
        return await super().transact(checks, writes)


class StripsKeys(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        stripped = [Put(w.key.replace("\n", ""), w.value) if isinstance(w, Put) else w for w in writes]
        return await super().transact(checks, stripped)


class KeepsText(Bad):
    async def get(self, key: str) -> Entry | None:
        entry = await super().get(key)
        return entry and Entry(key, entry.value.decode("utf-8", "replace").encode(), entry.revision, entry.lease)


class ReadsStale(Bad):
    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.cache: dict[str, tuple[int, Entry | None]] = {}

    async def get(self, key: str) -> Entry | None:
        age, entry = self.cache.get(key, (9, None))
        if age > 2:
            age, entry = 0, await super().get(key)
        self.cache[key] = age + 1, entry
        return entry


class WritesOneByOne(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        revision = await super().transact(checks, [])
        for write in writes:
            revision = await super().transact([], [write])
        return revision


class WritesBeforeItChecks(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        try:
            return await super().transact(checks, writes)
        except Conflict:
            await super().transact([], writes)
            raise


class TakesZeroForAnything(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        return await super().transact([check for check in checks if check.revision], writes)


class SaysNothingInConflicts(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        try:
            return await super().transact(checks, writes)
        except Conflict as conflict:
            raise Conflict(conflict.key, conflict.expected, Revision(0)) from None


class IgnoresChecksAlone(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        return await super().transact(checks if writes else [], writes)


class AlwaysCommits(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        revision = await super().transact(checks, writes)
        if not any(isinstance(write, Put) for write in writes):
            revision = await super().transact([], [Put("log", b"")])
        return revision


class TakesLastOfTwo(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        return await super().transact(checks, list({write.key: write for write in writes}.values()))


class CountsFromTheSameRevision(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        return Revision((await super().transact(checks, writes)) // 2)


class RefusesToDeleteAbsent(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        for write in writes:
            if isinstance(write, Delete) and await self.get(write.key) is None:
                raise Conflict(write.key, Revision(1), Revision(0))
        return await super().transact(checks, writes)


class CountsWritesOnly(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        if len(checks) + len(writes) > 100 >= len(writes):
            return await super().transact([], writes)
        return await super().transact(checks, writes)


class CountsValuesOnly(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        try:
            return await super().transact(checks, writes)
        except TooLarge:
            if len(writes) > 50 or len(checks) > 50:
                raise
            return Revision(1)


class IgnoresChecks(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        return await super().transact([], writes)


class ChecksThenWritesLater(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        await super().transact(checks, [])
        return await super().transact([], writes)


class ListsWhileOthersWrite(Bad):
    async def list(self, prefix: str) -> Snapshot:
        first = await super().list(prefix)
        second = await super().list(prefix)
        half = len(first.entries) // 2
        return Snapshot([*first.entries[:half], *second.entries[half:]], second.revision)


class Rewatched(Bad):
    """A store that does something to what its watches give."""

    @asynccontextmanager
    async def _rewatch(self, prefix: str, since: Revision) -> AsyncIterator[AsyncIterator[Commit]]:
        async with self.good.watch(prefix, since) as commits:
            changed = self.change(commits, prefix)
            try:
                yield changed
            finally:
                await cast("Any", changed).aclose()

    def watch(self, prefix: str, since: Revision) -> AbstractAsyncContextManager[AsyncIterator[Commit]]:
        return self._rewatch(prefix, since)

    async def change(self, commits: AsyncIterator[Commit], prefix: str) -> AsyncIterator[Commit]:
        async for commit in commits:
            yield commit


class WatchForgetsDeletes(Rewatched):
    async def change(self, commits: AsyncIterator[Commit], prefix: str) -> AsyncIterator[Commit]:
        async for commit in commits:
            if any(isinstance(change, Put) for change in commit.changes):
                yield commit


class WatchShowsAll(Bad):
    def watch(self, prefix: str, since: Revision) -> AbstractAsyncContextManager[AsyncIterator[Commit]]:
        return self.good.watch("", since)


class WatchSplits(Rewatched):
    async def change(self, commits: AsyncIterator[Commit], prefix: str) -> AsyncIterator[Commit]:
        async for commit in commits:
            for change in commit.changes:
                yield Commit(commit.revision, (change,))


class WatchSplitsLarge(Rewatched):
    async def change(self, commits: AsyncIterator[Commit], prefix: str) -> AsyncIterator[Commit]:
        async for commit in commits:
            for start in range(0, len(commit.changes), 50):
                yield Commit(commit.revision, commit.changes[start : start + 50])


class WatchRepeatsTheLast(Bad):
    def watch(self, prefix: str, since: Revision) -> AbstractAsyncContextManager[AsyncIterator[Commit]]:
        return self.good.watch(prefix, Revision(max(since - 1, 0)))


class WatchEnds(Bad):
    @asynccontextmanager
    async def _watch(self, prefix: str, since: Revision) -> AsyncIterator[AsyncIterator[Commit]]:
        history = [commit async for commit in _present(self.good, prefix, since)]

        async def replay() -> AsyncIterator[Commit]:
            for commit in history:
                yield commit

        yield replay()

    def watch(self, prefix: str, since: Revision) -> AbstractAsyncContextManager[AsyncIterator[Commit]]:
        return self._watch(prefix, since)


async def _present(store: MemoryStore, prefix: str, since: Revision) -> AsyncIterator[Commit]:
    for commit in store._commits:
        if commit.revision > since and any(change.key.startswith(prefix) for change in commit.changes):
            yield commit


class WatchDiesWhenCancelled(Rewatched):
    """An async generator is finished by the first cancellation."""


class WatchOnlyOne(Bad):
    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.watches = 0

    def watch(self, prefix: str, since: Revision) -> AbstractAsyncContextManager[AsyncIterator[Commit]]:
        self.watches += 1
        return self.good.watch(prefix if self.watches < 10 else "nothing", since)


class WatchDoubles(Rewatched):
    async def change(self, commits: AsyncIterator[Commit], prefix: str) -> AsyncIterator[Commit]:
        async for commit in commits:
            yield commit
            yield commit


class NeverCompacts(Bad):
    async def compact(self, before: Revision) -> None:
        pass


class SaysWrongOldest(Bad):
    @asynccontextmanager
    async def _watch(self, prefix: str, since: Revision) -> AsyncIterator[AsyncIterator[Commit]]:
        try:
            async with self.good.watch(prefix, since) as commits:
                yield commits
        except Compacted:
            raise Compacted(Revision(0)) from None

    def watch(self, prefix: str, since: Revision) -> AbstractAsyncContextManager[AsyncIterator[Commit]]:
        return self._watch(prefix, since)


class CompactsEntries(Bad):
    async def compact(self, before: Revision) -> None:
        await super().compact(before)
        for entry in (await self.list("")).entries:
            if entry.revision < before:
                await self.transact([], [Delete(entry.key)])


class LeasesLastForever(Bad):
    async def lease(self, ttl: float) -> LeaseId:
        return await super().lease(ttl * 1000)


class LeasesEndKeyByKey(Bad):
    async def get(self, key: str) -> Entry | None:
        await self.expire()
        return await super().get(key)

    async def list(self, prefix: str) -> Snapshot:
        await self.expire()
        return await super().list(prefix)

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.ends: dict[LeaseId, float] = {}

    async def lease(self, ttl: float) -> LeaseId:
        lease = await super().lease(1000)
        self.ends[lease] = self.clock.monotonic() + ttl
        return lease

    async def expire(self) -> None:
        ended = {lease for lease, end in self.ends.items() if end <= self.clock.monotonic()}
        for entry in (await super().list("")).entries:
            if entry.lease in ended:
                await self.transact([], [Delete(entry.key)])


class RenewsNothing(Bad):
    async def renew(self, lease: LeaseId) -> None:
        pass


class RenewsOnlyOnce(Bad):
    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.renewed: set[LeaseId] = set()

    async def renew(self, lease: LeaseId) -> None:
        if lease not in self.renewed:
            await super().renew(lease)
        self.renewed.add(lease)


class PutsOnLostLeases(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        known = self.good._leases
        kept = [Put(w.key, w.value, w.lease if w.lease in known else None) if isinstance(w, Put) else w for w in writes]
        return await super().transact(checks, kept)


class RevokesLater(Bad):
    async def revoke(self, lease: LeaseId) -> None:
        pass


class RefusesToRevokeTwice(Bad):
    async def revoke(self, lease: LeaseId) -> None:
        if lease not in self.good._leases:
            raise NotValidError(field="lease")
        await super().revoke(lease)


class KeepsKeysOnTheFirstLease(Bad):
    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        kept: list[Put | Delete] = []
        for write in writes:
            entry = await self.get(write.key) if isinstance(write, Put) else None
            old = None if entry is None else entry.lease
            kept.append(Put(write.key, write.value, write.lease or old) if isinstance(write, Put) else write)
        return await super().transact(checks, kept)


BAD_STORES: Mapping[str, Callable[[Clock], object]] = {
    "store-protocol": HasNoCompact,
    "get-absent": GivesEmptyForAbsent,
    "get-entry": GivesPresentRevision,
    "list-prefix": ListsLikeSql,
    "list-order": ListsInOrderOfWriting,
    "list-revision": ListsRevisionOfPrefix,
    "key-length": MeasuresCharacters,
    "key-form": StripsKeys,
    "value-bytes": KeepsText,
    "read-own-write": ReadsStale,
    "transact-all": WritesOneByOne,
    "transact-nothing": WritesBeforeItChecks,
    "transact-check-absent": TakesZeroForAnything,
    "transact-conflict": SaysNothingInConflicts,
    "transact-checks-only": IgnoresChecksAlone,
    "transact-unchanged": AlwaysCommits,
    "transact-twice": TakesLastOfTwo,
    "transact-revisions": CountsFromTheSameRevision,
    "delete-absent": RefusesToDeleteAbsent,
    "limit-operations": CountsWritesOnly,
    "limit-bytes": CountsValuesOnly,
    "cas-counter": ChecksThenWritesLater,
    "cas-bank": ListsWhileOthersWrite,
    "watch-concurrent": WatchDoubles,
    "watch-all": WatchForgetsDeletes,
    "watch-prefix": WatchShowsAll,
    "watch-whole": WatchSplitsLarge,
    "watch-resume": WatchRepeatsTheLast,
    "watch-waits": WatchEnds,
    "watch-cancelled": WatchDiesWhenCancelled,
    "watch-many": WatchOnlyOne,
    "compact-watch": NeverCompacts,
    "compact-oldest": SaysWrongOldest,
    "compact-keeps": CompactsEntries,
    "lease-ends": LeasesLastForever,
    "lease-deletes": LeasesEndKeyByKey,
    "lease-watch": LeasesEndKeyByKey,
    "lease-renewed": RenewsOnlyOnce,
    "lease-renew-lost": RenewsNothing,
    "lease-put-lost": PutsOnLostLeases,
    "lease-revoked": RevokesLater,
    "lease-revoked-twice": RefusesToRevokeTwice,
    "lease-moved": KeepsKeysOnTheFirstLease,
}


@pytest.mark.parametrize("rule", [check.rule.id for check in CHECKS])
def test_a_store_that_breaks_a_rule_is_caught_by_its_name(rule: str) -> None:
    (check,) = (check for check in CHECKS if check.rule.id == rule)
    make = cast("Callable[[Clock], Store]", BAD_STORES[rule])

    with pytest.raises(RuleBroken) as caught:
        judge(check, lambda bench: StoreCase(opening(make), bench=bench), loop="uvloop", seconds=0.5)

    assert caught.value.rule.id == rule
    assert f"[{rule}]" in str(caught.value)
    assert check.rule.sentence in str(caught.value)
