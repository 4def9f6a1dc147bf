"""The store on a real cluster of three, judged by the Store's contract suite."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from plugins.etcd.tests.cluster import Cluster, running

from undercroft_conformance import StoreConformance
from undercroft_conformance.stores import OpenStore
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
