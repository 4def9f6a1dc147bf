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
from undercroft_hookspecs import Check, Commit, Delete, LeaseId, Put, Revision, Store, StoreUnavailable

pytestmark = [pytest.mark.slow]

AGENTS_LOOP = pytest.mark.asyncio(loop_factories=["uvloop"])
ABSENT = Revision(0)
PATIENCE = 60.0
PACE = 0.003
KEEPALIVE = 30.0
"""When a member that stands still must have been noticed: twice what the connection's pings need."""


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


async def renew_until(done: asyncio.Future[Commit], store: Store, lease: LeaseId) -> None:
    """Renew a lease each second until something has happened."""
    while not done.done():
        await store.renew(lease)
        await asyncio.wait([done], timeout=1.0)


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
        await aside(cluster.stop)
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


@AGENTS_LOOP
async def test_a_watcher_far_behind_loses_nothing_while_all_members_bounce(
    fresh_cluster: Cluster, tmp_path: Path
) -> None:
    async with open_etcd(fresh_cluster.url(), data_dir=tmp_path, clock=SystemClock()) as store:
        made: list[Revision] = []

        async def write(number: int) -> None:
            made.append(await store.transact([], [Put(f"k/{number}", b"v" * 2000)]))

        for begin in range(0, 4000, 50):
            await asyncio.gather(*map(write, range(begin, begin + 50)))
        seen: list[Revision] = []
        async with store.watch("k/", ABSENT) as commits, asyncio.timeout(PATIENCE):
            seen += [(await anext(commits)).revision for _ in made[:1000]]
            await aside(fresh_cluster.stop)
            await aside(fresh_cluster.start)
            seen += [(await anext(commits)).revision for _ in made[1000:]]

    assert seen == sorted(made)


@AGENTS_LOOP
async def test_a_lease_that_is_renewed_outlives_its_leader_and_one_that_is_not_ends(
    fresh_cluster: Cluster, tmp_path: Path
) -> None:
    async with open_etcd(fresh_cluster.url(), data_dir=tmp_path, clock=SystemClock()) as store:
        kept, left = await store.lease(8), await store.lease(8)
        written = await store.transact([], [Put("kept", b"", kept), Put("left", b"", left)])
        async with store.watch("", written) as commits:
            leader = await asyncio.to_thread(fresh_cluster.leader)
            await aside(leader.kill)
            waiting = asyncio.ensure_future(anext(commits))
            async with asyncio.timeout(PATIENCE):
                await renew_until(waiting, store, kept)

            assert (await waiting).changes == (Delete("left"),)
        assert await store.get("kept") is not None


@AGENTS_LOOP
async def test_a_member_that_is_cut_off_is_left_for_one_that_is_not(fresh_cluster: Cluster, tmp_path: Path) -> None:
    """A member without the others' company answers nothing, but it does not hang up, either: the watch has to leave."""
    alone, *others = fresh_cluster.members
    url = f"etcd://127.0.0.1:{alone.port},127.0.0.1:{others[0].port}/"
    async with open_etcd(url, data_dir=tmp_path, clock=SystemClock()) as store:
        began = await store.transact([], [Put("k", b"0")])
        async with store.watch("", began) as commits:
            for member in others:
                member.signal(signal.SIGSTOP)
            await asyncio.sleep(6)
            alone.signal(signal.SIGSTOP)
            for member in others:
                member.signal(signal.SIGCONT)
            async with asyncio.timeout(PATIENCE):
                await finish(store)
                last = [commit.changes[0].key async for commit in _until(commits, "k/last")]
            alone.signal(signal.SIGCONT)

    assert last == ["k/last"]


@AGENTS_LOOP
async def test_a_watch_alone_leaves_a_member_that_stands_still(fresh_cluster: Cluster, tmp_path: Path) -> None:
    still, *others = fresh_cluster.members
    async with (
        open_etcd(fresh_cluster.url(), data_dir=tmp_path, clock=SystemClock()) as watching,
        open_etcd(f"etcd://127.0.0.1:{others[0].port}", data_dir=tmp_path, clock=SystemClock()) as writing,
    ):
        began = await writing.transact([], [Put("k", b"0")])
        async with watching.watch("", began) as commits:
            still.signal(signal.SIGSTOP)
            await finish(writing)
            async with asyncio.timeout(KEEPALIVE):
                commit = await anext(commits)
            still.signal(signal.SIGCONT)

    assert commit.changes == (Put("k/last", b""),)


async def _until(commits: AsyncIterator[Commit], key: str) -> AsyncIterator[Commit]:
    async for commit in commits:
        yield commit
        if commit.changes[0].key == key:
            return
