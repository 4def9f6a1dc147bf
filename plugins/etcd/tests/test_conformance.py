"""The store on a real cluster of three, judged by the Store's contract suite."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from plugins.etcd.tests.cluster import INSTALL, Cluster, bouncing, running

from undercroft_conformance import StoreConformance
from undercroft_conformance.doors import parameters
from undercroft_conformance.store_conformance import CHECKS
from undercroft_conformance.stores import OpenStore, StoreCase
from undercroft_conformance.verdict import Check
from undercroft_etcd.opening import open_etcd
from undercroft_hookspecs import Clock, Store


class TestEtcdStore(StoreConformance):
    real_time = True

    @pytest.fixture
    def uncompacted(self, request: pytest.FixtureRequest, cluster: Cluster) -> Iterator[Cluster]:
        """A cluster that was never compacted: the shared one, but for those who are about to compact it."""
        if "compact" not in request.node.name:
            yield cluster
            return
        with running(1) as another:
            yield another

    @pytest.fixture
    def open_store(self, uncompacted: Cluster, tmp_path: Path) -> OpenStore:
        url = uncompacted.url(prefix=f"/{uuid.uuid4()}/")

        def opening(clock: Clock) -> AbstractAsyncContextManager[Store]:
            return open_etcd(url, data_dir=tmp_path, clock=clock)

        return opening


@pytest.fixture(scope="module")
def bouncing_cluster() -> Iterator[Cluster]:
    """Three members, of which the first leads, and of whose others one or none is down."""
    if shutil.which("etcd") is None:
        pytest.skip(INSTALL)
    with running() as cluster:
        leader = cluster.leader()
        cluster.members = (leader, *(member for member in cluster.members if member is not leader))
        with bouncing(cluster):
            yield cluster


@pytest.mark.slow
# The members that have come back meanwhile are new processes.
@pytest.mark.allow_leaks("child", "fd")
class TestEtcdStoreWhileMembersAreKilledAndRevived(TestEtcdStore):
    @pytest.fixture
    def cluster(self, bouncing_cluster: Cluster) -> Cluster:
        """The cluster whose members bounce."""
        return bouncing_cluster

    # On the agent's loop only, since the cluster is what differs here.
    @pytest.mark.parametrize("loop", ["uvloop"])
    @pytest.mark.parametrize("check", parameters(CHECKS))
    def test_store(self, check: Check[StoreCase], loop: str, open_store: OpenStore) -> None:
        """The store keeps one rule while members are killed and revived."""
        super().test_store(check, loop, open_store)
