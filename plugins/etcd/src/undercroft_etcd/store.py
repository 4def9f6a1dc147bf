"""The Store on etcd: revisions, leases and watches are etcd's own."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from undercroft_etcd import messages
from undercroft_etcd.faults import Fault, Refusals
from undercroft_etcd.history import History
from undercroft_etcd.keys import Keys
from undercroft_etcd.watcher import Watcher
from undercroft_hookspecs.store import (
    Check,
    Commit,
    Conflict,
    Entry,
    LeaseId,
    LeaseLost,
    Put,
    Revision,
    Snapshot,
    StoreUnavailable,
    check_key,
    check_transaction,
    check_ttl,
)

if TYPE_CHECKING:
    from undercroft_etcd.client import Client
    from undercroft_etcd.messages import KeyValue
    from undercroft_hookspecs.store import Delete

PAGE = 1000
"""How many entries are read at once. All pages of a list show the same revision."""

LIST_TRIES = 5
"""How often a list begins anew, because the revision that it reads was compacted meanwhile."""

MAX_TTL = 9_000_000_000
_MAX_LEASE = 1 << 63


class EtcdStore:
    """The Store, over a client of the cluster; `open_etcd` makes one.

    `kept` is how many revisions of the cluster's history are kept at least; 0 leaves its length to others.
    """

    def __init__(self, client: Client, *, prefix: str = "", kept: int = 0) -> None:
        self._client = client
        self._keys = Keys(prefix)
        self._history = History(self.compact, kept=kept) if kept else None

    async def get(self, key: str) -> Entry | None:
        """The entry of `key`, or None."""
        check_key(key)
        with Refusals():
            request = messages.range_request(self._keys.encoded(key))
            answer = messages.range_answer(await self._client.call(messages.RANGE, request, repeatable=True))
        return self._entry(answer.kvs[0]) if answer.kvs else None

    async def list(self, prefix: str) -> Snapshot:
        """All entries whose key begins with `prefix`, in the order of their keys."""
        with Refusals():
            for _ in range(LIST_TRIES):
                if (found := await self._list_unless_compacted(prefix)) is not None:
                    return found
        raise StoreUnavailable(f"etcd compacts so often that the entries under {prefix!r} cannot be read")

    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        """Write all of `writes` if all of `checks` hold, else nothing; durable when it returns."""
        checks, writes = tuple(checks), tuple(writes)
        check_transaction(checks, writes)
        leases = {write.lease for write in writes if isinstance(write, Put) and write.lease is not None}
        if not checks and not writes:
            return await self._present()
        if not_leases := [lease for lease in leases if not 0 < lease < _MAX_LEASE]:
            raise LeaseLost(not_leases[0])  # To etcd, 0 is no lease at all.
        keys = [self._keys.encoded(check.key) for check in checks]
        request = messages.txn_request(
            [messages.comparison(key, check.revision) for key, check in zip(keys, checks, strict=True)],
            [self._operation(write) for write in writes],
            # Were there nothing to read, a transaction without writes would be answered from whatever a member has.
            [messages.look_operation(key) for key in keys],
        )
        with Refusals():
            try:
                answer = messages.txn_answer(await self._client.call(messages.TXN, request, repeatable=not writes))
            except Fault as fault:
                if fault.is_lease_lost:
                    raise LeaseLost(await self._first_lost(sorted(leases))) from None
                raise
        if not answer.succeeded:
            raise _conflict(checks, answer.ranges)
        revision = Revision(answer.revision)
        if writes and self._history is not None:
            self._history.committed(revision)
        return revision

    @asynccontextmanager
    async def watch(self, prefix: str, since: Revision) -> AsyncIterator[AsyncIterator[Commit]]:
        """Every commit after `since` that touches `prefix`, in order.

        It goes on by itself, for as long as it takes, when the cluster was away. It raises StoreUnavailable if it
        cannot begin, if etcd refuses to go on, or when the store is closed.
        """
        watcher = Watcher(self._client, self._keys, prefix, since)
        with Refusals():
            await watcher.start()
        try:
            yield watcher
        finally:
            await watcher.stop()

    async def lease(self, ttl: float) -> LeaseId:
        """Grant a lease that ends `ttl` seconds after its last renewal; etcd counts whole seconds, at least about 2."""
        check_ttl(ttl)
        request = messages.grant_request(min(math.ceil(ttl), MAX_TTL))
        with Refusals():
            # A lease of which nobody has heard ends by itself, so asking twice does no harm.
            answer = messages.lease_answer(await self._client.call(messages.LEASE_GRANT, request, repeatable=True))
        return LeaseId(answer.lease)

    async def renew(self, lease: LeaseId) -> None:
        """Let the lease's time begin anew."""
        if not 0 < lease < _MAX_LEASE:
            raise LeaseLost(lease)
        with Refusals():
            request = messages.lease_request(lease)
            answer = messages.lease_answer(await self._client.exchange(messages.LEASE_KEEP_ALIVE, request))
        if answer.ttl <= 0:
            raise LeaseLost(lease)

    async def revoke(self, lease: LeaseId) -> None:
        """End the lease and delete its keys in one commit; nothing if it has ended."""
        if not 0 < lease < _MAX_LEASE:
            return
        with Refusals():
            try:
                # Leases are not numbered twice, so revoking one again does no harm.
                await self._client.call(messages.LEASE_REVOKE, messages.lease_request(lease), repeatable=True)
            except Fault as fault:
                if not fault.is_lease_lost:
                    raise

    async def compact(self, before: Revision) -> None:
        """Forget the history before `before`, which is the whole cluster's; present entries stay."""
        up_to = min(before - 1, await self._present())
        if up_to <= 0:
            return
        with Refusals():
            try:
                await self._client.call(messages.COMPACT, messages.compact_request(up_to), repeatable=True)
            except Fault as fault:
                if not fault.is_compacted:
                    raise

    async def close(self) -> None:
        """Hang up; what is under way raises StoreUnavailable."""
        if self._history is not None:
            await self._history.close()
        await self._client.close()

    async def _present(self) -> Revision:
        """The present revision."""
        with Refusals():
            request = messages.range_request(self._keys.range("")[0], keys_only=True)
            return Revision(
                messages.range_answer(await self._client.call(messages.RANGE, request, repeatable=True)).revision
            )

    async def _list_unless_compacted(self, prefix: str) -> Snapshot | None:
        try:
            return await self._list(prefix)
        except Fault as fault:
            if not fault.is_compacted:
                raise
        return None

    async def _list(self, prefix: str) -> Snapshot:
        begin, end = self._keys.range(prefix)
        entries: list[Entry] = []
        revision = 0
        while True:
            request = messages.range_request(begin, end, limit=PAGE, revision=revision)
            page = messages.range_answer(await self._client.call(messages.RANGE, request, repeatable=True))
            entries += map(self._entry, page.kvs)
            revision = revision or page.revision
            if not page.has_more:
                return Snapshot(tuple(entries), Revision(revision))
            begin = page.kvs[-1].key + b"\0"

    async def _first_lost(self, leases: Sequence[LeaseId]) -> LeaseId:
        """Which of several leases has ended; the first one if, meanwhile, none or nobody can tell."""
        for lease in leases[: len(leases) if len(leases) > 1 else 0]:
            request = messages.lease_request(lease)
            answer = messages.lease_answer(
                await self._client.call(messages.LEASE_TIME_TO_LIVE, request, repeatable=True)
            )
            if answer.ttl <= 0:
                return lease
        return leases[0]

    def _operation(self, write: Put | Delete) -> bytes:
        key = self._keys.encoded(write.key)
        if isinstance(write, Put):
            return messages.put_operation(key, write.value, write.lease or 0)
        return messages.delete_operation(key)

    def _entry(self, kv: KeyValue) -> Entry:
        lease = LeaseId(kv.lease) if kv.lease else None
        return Entry(self._keys.decoded(kv.key), kv.value, Revision(kv.revision), lease)


def _conflict(checks: Sequence[Check], found: Sequence[Sequence[KeyValue]]) -> Conflict:
    """The first check that does not hold, by what was found of each key in the same transaction."""
    actual = [Revision(kvs[0].revision if kvs else 0) for kvs in found]
    for check, revision in zip(checks, actual, strict=True):
        if check.revision != revision:
            return Conflict(check.key, check.revision, revision)
    raise StoreUnavailable("etcd says that a check does not hold, and then that they all do")
