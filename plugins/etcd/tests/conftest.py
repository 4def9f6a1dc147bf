"""Real clusters for the tests."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from importlib import import_module
from pathlib import Path

import pytest
from plugins.etcd.tests.cluster import INSTALL, Cluster, running

from undercroft.clock import SystemClock
from undercroft_etcd.opening import open_etcd
from undercroft_hookspecs import Store


@pytest.fixture(scope="session", autouse=True)
def _grpc() -> None:
    """Have gRPC imported, whose threads and descriptors of the first time are no test's leak."""
    import_module("undercroft_etcd.transport")


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[Cluster]:
    """Three members for all tests that harm none of them and compact nothing."""
    if shutil.which("etcd") is None:
        pytest.skip(INSTALL)
    with running() as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The shared cluster without a key."""
    yield shared_cluster
    # Leases that end later than their test would else show in the next one.
    shared_cluster.clear("/")


@pytest.fixture
def fresh_cluster() -> Iterator[Cluster]:
    """Three members for one test alone."""
    if shutil.which("etcd") is None:
        pytest.skip(INSTALL)
    with running() as cluster:
        yield cluster


@pytest.fixture
async def store(cluster: Cluster, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store on the shared cluster."""
    async with open_etcd(cluster.url(prefix="/test"), data_dir=tmp_path, clock=SystemClock()) as opened:
        yield opened
