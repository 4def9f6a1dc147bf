"""What the contract suite does not ask of a store, but etcd makes difficult."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from plugins.etcd.tests.cluster import Cluster, running
from plugins.etcd.tests.fakes import COMPACTED, FakeConnection, header

from undercroft.clock import SystemClock
from undercroft_etcd.client import Client
from undercroft_etcd.opening import open_etcd
from undercroft_etcd.store import LIST_TRIES, PAGE, EtcdStore
from undercroft_etcd.wire import chunk, number
from undercroft_hookspecs import (
    Check,
    Commit,
    Compacted,
    Conflict,
    Delete,
    LeaseId,
    LeaseLost,
    Put,
    Revision,
    Store,
    StoreUnavailable,
)

ABSENT = Revision(0)


@pytest.fixture
async def other(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Store]:
    """A store beside the first one: `/test` is not the beginning of a folder, so that its prefix has to be exact."""
    async with open_etcd(cluster.url(prefix="/tesu"), data_dir=tmp_path, clock=SystemClock()) as opened:
        yield opened


@pytest.fixture
def single(shared_cluster: Cluster) -> Iterator[Cluster]:
    """One member that may be compacted."""
    with running(1) as cluster:
        yield cluster


async def test_stores_with_other_prefixes_see_nothing_of_one_another(store: Store, other: Store) -> None:
    began = (await other.list("")).revision
    async with other.watch("", began) as commits:
        await store.transact([Check("a", ABSENT)], [Put("a", b"1")])
        written = await other.transact([Check("a", ABSENT)], [Put("a", b"2")])
        seen = await anext(commits)

    assert seen == Commit(written, (Put("a", b"2"),))
    assert [entry.value for entry in (await store.list("")).entries] == [b"1"]
    assert [entry.value for entry in (await other.list("")).entries] == [b"2"]


async def test_a_list_of_many_pages_is_of_one_revision(store: Store) -> None:
    names = [f"k{index:05}" for index in range(2 * PAGE + 50)]
    for begin in range(0, len(names), 50):
        await store.transact([], [Put(name, b"0") for name in names[begin : begin + 50]])

    async def disturb() -> None:
        for turn in range(200):
            await store.transact([], [Put(names[-1], b"%d" % turn), Put(names[0], b"%d" % turn)])

    disturbing = asyncio.ensure_future(disturb())
    while not disturbing.done():
        found = await store.list("k")
        assert [entry.key for entry in found.entries] == names
        assert found.entries[0].value == found.entries[-1].value
        assert found.revision >= found.entries[0].revision
    await disturbing


async def test_a_list_begins_anew_when_its_revision_is_compacted() -> None:
    entry = chunk(2, chunk(1, b"k1") + number(3, 5))
    connection = FakeConnection(header(7) + entry + number(3, 1), COMPACTED, header(9) + entry)

    found = await EtcdStore(Client([connection], clock=SystemClock())).list("k")

    assert (found.revision, len(found.entries)) == (9, 1)


async def test_a_list_that_is_always_compacted_gives_up() -> None:
    connection = FakeConnection(COMPACTED)

    with pytest.raises(StoreUnavailable, match="compacts so often"):
        await EtcdStore(Client([connection], clock=SystemClock())).list("k")
    assert len(connection.calls) == LIST_TRIES


async def test_the_largest_transaction_fits_a_server_as_it_is_delivered(cluster: Cluster, tmp_path: Path) -> None:
    keys = [f"{index:02}".ljust(1024, "k") for index in range(50)]
    size = (1 << 20) - 2 * sum(map(len, keys))
    values = [b"v" * (size // 50)] * 50
    url = cluster.url(prefix="/test".ljust(256, "p"))

    async with open_etcd(url, data_dir=tmp_path, clock=SystemClock()) as store:
        writes = [Put(key, value) for key, value in zip(keys, values, strict=True)]
        written = await store.transact([Check(key, ABSENT) for key in keys], writes)
        with pytest.raises(Conflict) as conflict:
            await store.transact([Check(key, ABSENT) for key in keys], writes)

    assert (conflict.value.key, conflict.value.actual) == (keys[0], written)


async def test_a_conflict_names_the_first_check_that_does_not_hold(store: Store) -> None:
    revision = await store.transact([], [Put("a", b""), Put("b", b"")])

    with pytest.raises(Conflict) as conflict:
        await store.transact([Check("a", revision), Check("c", ABSENT), Check("b", ABSENT)], [Delete("a")])

    assert (conflict.value.key, conflict.value.expected, conflict.value.actual) == ("b", ABSENT, revision)


async def test_a_backlog_in_fragments_is_read_whole(store: Store) -> None:
    began = (await store.list("")).revision
    made = [await store.transact([], [Put(f"k{index}", b"v" * 150_000) for index in range(4)]) for _ in range(12)]

    async with store.watch("k", began) as commits:
        async with asyncio.timeout(20):
            found = [await anext(commits) for _ in made]

    assert [(commit.revision, len(commit.changes)) for commit in found] == [(revision, 4) for revision in made]


@pytest.mark.parametrize(("asked", "granted"), [(2.2, 3), (30.0, 30)])
async def test_a_lease_has_whole_seconds_and_never_fewer(
    asked: float, granted: int, store: Store, cluster: Cluster
) -> None:
    lease = await store.lease(asked)

    answer = await asyncio.to_thread(cluster.ask, "lease/timetolive", ID=str(lease))

    assert int(answer["grantedTTL"]) == granted


@pytest.mark.parametrize("no_lease", [0, -1, 1 << 63, 1 << 70])
async def test_what_cannot_be_a_lease_is_a_lease_that_has_ended(no_lease: int, store: Store) -> None:
    lease = LeaseId(no_lease)

    with pytest.raises(LeaseLost):
        await store.transact([], [Put("a", b"", lease)])
    with pytest.raises(LeaseLost):
        await store.renew(lease)
    await store.revoke(lease)
    assert await store.get("a") is None


async def test_of_several_leases_the_one_that_has_ended_is_named(store: Store) -> None:
    leases = [await store.lease(30) for _ in range(3)]
    await store.revoke(leases[1])

    with pytest.raises(LeaseLost) as lost:
        await store.transact([], [Put(f"k{lease}", b"", lease) for lease in leases])

    assert lost.value.lease == leases[1]


async def test_a_deletion_in_the_very_revision_that_was_compacted_is_not_passed_over(
    single: Cluster, tmp_path: Path
) -> None:
    """etcd 3.4 serves a watch from the revision that it has compacted, but has forgotten a deletion in it: whoever
    watched from just before would believe for ever that the key is there."""
    async with open_etcd(single.url(), data_dir=tmp_path, clock=SystemClock()) as store:
        before = await store.transact([], [Put("a", b""), Put("b", b"")])
        deleted = await store.transact([], [Delete("a")])
        await store.transact([], [Put("b", b"1")])
        await asyncio.to_thread(single.ask, "kv/compaction", revision=str(deleted))

        with pytest.raises(Compacted) as compacted:
            async with store.watch("", before):
                pass
        async with store.watch("", compacted.value.oldest) as commits:
            assert (await anext(commits)).changes == (Put("b", b"1"),)

    assert compacted.value.oldest == deleted


async def test_to_compact_what_is_yet_to_come_keeps_what_is_there(single: Cluster, tmp_path: Path) -> None:
    async with open_etcd(single.url(), data_dir=tmp_path, clock=SystemClock()) as store:
        present = await store.transact([], [Put("a", b"")])

        for before in (Revision(0), Revision(1), Revision(present + 100)):
            await store.compact(before)

        assert (await store.list("")).revision == present
        async with store.watch("", present):
            pass


async def test_closing_the_store_wakes_up_who_waits(cluster: Cluster, tmp_path: Path) -> None:
    async with open_etcd(cluster.url(prefix="/test"), data_dir=tmp_path, clock=SystemClock()) as store:
        watch = store.watch("", (await store.list("")).revision)
        commits = await watch.__aenter__()
        waiting = asyncio.ensure_future(anext(commits))
        await asyncio.sleep(0)

    with pytest.raises(StoreUnavailable, match="closed"):
        async with asyncio.timeout(5):
            await waiting
    await watch.__aexit__(None, None, None)
    for refused in (store.get("a"), store.transact([], [Put("a", b"")]), store.lease(5)):
        with pytest.raises(StoreUnavailable, match="closed"):
            await refused


async def test_a_call_that_is_cancelled_ends_at_once_and_harms_no_other(store: Store) -> None:
    async def one(index: int) -> None:
        await store.transact([], [Put(f"k{index}", b"")])

    calls = [asyncio.ensure_future(one(index)) for index in range(40)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    await asyncio.wait(calls, timeout=5)

    assert all(call.cancelled() for call in calls[::2])
    assert [call.exception() for call in calls[1::2]] == [None] * 20


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_store_can_be_opened_before_its_cluster_is_there(tmp_path: Path) -> None:
    async with open_etcd("etcd://127.0.0.1:1,[::1]:1/", data_dir=tmp_path, clock=SystemClock()) as store:
        with pytest.raises(StoreUnavailable, match="refused") as raised:
            await store.transact([], [Put("a", b"")])

    assert not raised.value.outcome_unknown
