"""Who has etcd forget its history, and when."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from plugins.etcd.tests.cluster import INSTALL, Cluster, running
from plugins.etcd.tests.fakes import FakeConnection, header

from undercroft.clock import SystemClock
from undercroft_etcd.address import Endpoint
from undercroft_etcd.client import Client
from undercroft_etcd.history import EVERY, History
from undercroft_etcd.store import EtcdStore
from undercroft_etcd.transport import Connection
from undercroft_etcd.wire import number
from undercroft_hookspecs import Compacted, Put, Revision, Store, StoreUnavailable


class Compactions:
    """What was asked for, and how it ends: with an error, or once it may."""

    def __init__(self, error: StoreUnavailable | None = None) -> None:
        self.asked: list[int] = []
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self._error = error

    async def compact(self, before: Revision) -> None:
        self.asked.append(before)
        self.begun.set()
        await self.may_end.wait()
        if self._error is not None:
            raise self._error


async def through(history: History, *revisions: int) -> None:
    """Make commits one after the other, and let what they lead to end."""
    for revision in revisions:
        history.committed(Revision(revision))
        for _ in range(5):
            await asyncio.sleep(0)


async def test_the_commit_of_a_round_revision_has_what_lies_behind_forgotten() -> None:
    compactions = Compactions()
    compactions.may_end.set()
    history = History(compactions.compact, kept=100, every=10)

    await through(history, *range(1, 131))

    assert compactions.asked == [10, 20, 30]


async def test_one_compaction_is_under_way_at_a_time() -> None:
    compactions = Compactions()
    history = History(compactions.compact, kept=100, every=10)

    await through(history, 110, 120)
    compactions.may_end.set()
    await through(history, 125, 130)

    assert compactions.asked == [10, 30]


async def test_closing_does_not_wait_for_a_compaction() -> None:
    compactions = Compactions()
    history = History(compactions.compact, kept=100, every=10)
    history.committed(Revision(110))
    await compactions.begun.wait()

    await history.close()

    assert compactions.asked == [10]


async def test_a_compaction_that_fails_is_told_once_and_the_next_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    compactions = Compactions(StoreUnavailable("etcd refuses: permission denied"))
    compactions.may_end.set()
    history = History(compactions.compact, kept=100, every=10)

    with caplog.at_level(logging.INFO):
        await through(history, 110, 120)

    assert compactions.asked == [10, 20]
    assert [record.getMessage() for record in caplog.records] == [
        "the history of etcd before revision 10 was not compacted: etcd refuses: permission denied"
    ]


@pytest.mark.parametrize(("kept", "calls"), [(500, ["Txn", "Range", "Compact"]), (0, ["Txn"])])
async def test_a_store_leaves_the_history_alone_if_it_is_told_to(kept: int, calls: list[str]) -> None:
    connection = FakeConnection(header(EVERY) + number(2, 1))
    store = EtcdStore(Client([connection], clock=SystemClock()), kept=kept)

    await store.transact([], [Put("a", b"1")])
    for _ in range(20):
        await asyncio.sleep(0)
    await store.close()

    assert [name for name, _ in connection.calls] == calls


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_cluster_without_compaction_of_its_own_keeps_a_bounded_history(member: Cluster) -> None:
    connection = Connection(Endpoint("127.0.0.1", member.members[0].port), None)
    store = EtcdStore(Client([connection], clock=SystemClock()), kept=EVERY)
    async with closing(store):
        await write_until(store, 2 * EVERY)

        oldest = await first_refused(store)
        async with store.watch("", oldest) as commits:
            kept = (await anext(commits)).revision

    assert (oldest, kept) == (EVERY - 1, EVERY)


@pytest.fixture
def member() -> Iterator[Cluster]:
    """One member for one test alone."""
    if shutil.which("etcd") is None:
        pytest.skip(INSTALL)
    with running(1) as cluster:
        yield cluster


@asynccontextmanager
async def closing(store: EtcdStore) -> AsyncIterator[None]:
    """Close a store in the end."""
    try:
        yield
    finally:
        await store.close()


async def write_until(store: Store, revision: int) -> None:
    """Make commits up to this one."""
    while (await store.transact([], [Put("turns", b"v")])) < revision:
        pass


async def first_refused(store: Store) -> Revision:
    """The oldest revision to watch from, as soon as something was forgotten."""
    async with asyncio.timeout(10):
        while (oldest := await oldest_refused(store)) is None:
            pass
    return oldest


async def oldest_refused(store: Store) -> Revision | None:
    """The oldest revision to watch from, or None if that is the first one."""
    try:
        async with store.watch("", Revision(1)):
            return None
    except Compacted as error:
        return error.oldest
