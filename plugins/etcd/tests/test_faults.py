"""Members die, stand still and come back while somebody writes and somebody watches: nothing is lost, nothing doubled,
and nothing that was said not to have happened did."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import count, pairwise
from pathlib import Path

import pytest
from plugins.etcd.tests.cluster import Cluster, Member

from undercroft.clock import SystemClock
from undercroft_etcd.opening import open_etcd
from undercroft_hookspecs import Check, Commit, Put, Revision, Store, StoreUnavailable

pytestmark = [pytest.mark.slow]

AGENTS_LOOP = pytest.mark.asyncio(loop_factories=["uvloop"])
ABSENT = Revision(0)
PATIENCE = 60.0
PACE = 0.003


class Writer:
    """Writes one key after the other, and keeps what it was told of each."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._is_done = False
        self._task = asyncio.ensure_future(self._run())
        self.written: dict[str, Revision] = {}
        self.unknown: set[str] = set()
        self.refused: set[str] = set()
        self.longest_gap = 0.0

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        for number in count():
            if self._is_done:
                return
            key = f"k/{number:06}"
            try:
                revision = await self._store.transact([Check(key, ABSENT)], [Put(key, b"%d" % number)])
            except StoreUnavailable as error:
                (self.unknown if error.outcome_unknown else self.refused).add(key)
            else:
                self.written[key] = revision
                self.longest_gap, last = max(self.longest_gap, loop.time() - last), loop.time()
            await asyncio.sleep(PACE)

    async def writes(self, more: int) -> None:
        """Wait until some more has been written."""
        wanted = len(self.written) + more
        async with asyncio.timeout(PATIENCE):
            while len(self.written) < wanted:
                assert not self._task.done(), self._task.exception()
                await asyncio.sleep(0.05)

    async def stop(self) -> None:
        """Write no more, once the outcome of what is being written is known."""
        self._is_done = True
        async with asyncio.timeout(PATIENCE):
            await self._task


async def collect(store: Store, since: Revision, into: list[Commit]) -> None:
    """Watch until the last key comes."""
    async with store.watch("k/", since) as commits:
        async for commit in commits:
            into.append(commit)
            if commit.changes[0].key == "k/last":
                return


async def finish(store: Store) -> None:
    """Write the key that ends the watch."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await store.transact([], [Put("k/last", b"")])
            except StoreUnavailable:
                continue
            return


def judge(writer: Writer, seen: Sequence[Commit], there: dict[str, Revision]) -> None:
    """What was seen is what is there, once each and in order, and what is there is what was told."""
    assert all(earlier.revision < later.revision for earlier, later in pairwise(seen))
    assert [len(commit.changes) for commit in seen] == [1] * len(seen)
    shown = {commit.changes[0].key: commit.revision for commit in seen}
    shown.pop("k/last")
    there.pop("k/last")
    assert shown == there
    assert writer.written.items() <= there.items()
    assert not writer.refused & there.keys()
    assert there.keys() <= writer.written.keys() | writer.unknown


@asynccontextmanager
async def under_load(cluster: Cluster, folder: Path) -> AsyncIterator[Writer]:
    """Write through one handle and watch through another; judge both when the block ends."""
    async with (
        open_etcd(cluster.url(), data_dir=folder, clock=SystemClock()) as store,
        open_etcd(cluster.url(), data_dir=folder, clock=SystemClock()) as other,
    ):
        seen: list[Commit] = []
        watching = asyncio.ensure_future(collect(other, ABSENT, seen))
        writer = Writer(store)
        try:
            await writer.writes(50)
            yield writer
            await writer.writes(50)
        finally:
            await writer.stop()
        await finish(store)
        async with asyncio.timeout(PATIENCE):
            await watching
        there = {entry.key: entry.revision for entry in (await other.list("k/")).entries}
        print(f"{len(seen)} seen, {len(writer.unknown)} unknown, {len(writer.refused)} refused,"
              f" longest gap {writer.longest_gap:.1f} s")  # fmt: skip
        judge(writer, seen, there)


async def aside(call: Callable[[], object]) -> None:
    """Do to a cluster what would hold up the loop."""
    await asyncio.to_thread(call)


async def kill_leader(cluster: Cluster, writer: Writer) -> None:
    leader = await asyncio.to_thread(cluster.leader)
    await aside(leader.kill)
    await writer.writes(50)
    await aside(cluster.start)
    await aside(cluster.wait)


async def kill_first(cluster: Cluster, writer: Writer) -> None:
    """The member that both clients are connected to."""
    await aside(cluster.members[0].kill)
    await writer.writes(50)
    await aside(cluster.start)
    await aside(cluster.wait)


async def stop_leader(cluster: Cluster, writer: Writer) -> None:
    leader = await asyncio.to_thread(cluster.leader)
    await _standing_still(leader, writer)


async def stop_first(cluster: Cluster, writer: Writer) -> None:
    """The member that both clients are connected to."""
    await _standing_still(cluster.members[0], writer)


async def _standing_still(member: Member, writer: Writer) -> None:
    member.signal(signal.SIGSTOP)
    await writer.writes(50)
    member.signal(signal.SIGCONT)


async def lose_quorum(cluster: Cluster, writer: Writer) -> None:
    lost = await asyncio.to_thread(cluster.followers)
    for member in lost:
        await aside(member.kill)
    before = len(writer.written)
    await asyncio.sleep(12)
    assert len(writer.written) <= before + 1
    assert writer.refused | writer.unknown
    await aside(cluster.start)
    await aside(cluster.wait)


async def bounce_all(cluster: Cluster, writer: Writer) -> None:
    for _ in range(2):
        for member in cluster.members:
            await aside(member.kill)
        await aside(cluster.start)
        await aside(cluster.wait)
        await writer.writes(20)


Harm = Callable[[Cluster, Writer], Awaitable[None]]


@AGENTS_LOOP
@pytest.mark.parametrize("harm", [kill_leader, kill_first, stop_leader, stop_first, lose_quorum, bounce_all])
async def test_nothing_is_lost_or_doubled_while_members_fail(
    harm: Harm, fresh_cluster: Cluster, tmp_path: Path
) -> None:
    async with under_load(fresh_cluster, tmp_path) as writer:
        await harm(fresh_cluster, writer)
