"""Leadership between processes that share a cluster of three, whose members are killed, too."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from plugins.etcd.tests.cluster import INSTALL, Cluster, running
from plugins.model.tests.conftest import MYSQL, World

from undercroft.clock import SystemClock
from undercroft_etcd.opening import open_etcd
from undercroft_hookspecs import ModelId

LEASE_SECONDS = 4.0
FIRST, SECOND = "mysql/0", "mysql/1"
PROGRAM = Path(__file__).with_name("claimant.py")

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Three members of the test's own."""
    if shutil.which("etcd") is None:
        pytest.skip(INSTALL)
    with running() as made:
        yield made


class Rivals:
    """Two units that claim leadership, each in a process of its own."""

    def __init__(self, url: str, model: ModelId, folder: Path) -> None:
        self._url, self._model, self._folder = url, model, folder

    @contextmanager
    def claiming(self, unit: str) -> Iterator[subprocess.Popen[bytes]]:
        """A unit's process, while the block runs."""
        arguments = [self._url, str(self._folder), str(self._model), unit, str(LEASE_SECONDS), str(self._journal(unit))]
        child = subprocess.Popen([sys.executable, str(PROGRAM), *arguments])
        try:
            yield child
        finally:
            child.kill()
            child.wait()

    def led(self, unit: str) -> list[tuple[float, float]]:
        """When a unit led for certain."""
        if not self._journal(unit).exists():
            return []
        lines = [line.split() for line in self._journal(unit).read_text().splitlines()]
        return [(float(line[0]), float(line[1])) for line in lines if len(line) == 2]

    def never_two(self) -> bool:
        """Whether no two were ever certain at once."""
        intervals = sorted((*each, unit) for unit in (FIRST, SECOND) for each in self.led(unit))
        pairs = itertools.pairwise(intervals)
        return all(one == other or end < begin for (_, end, one), (begin, _, other) in pairs)

    def _journal(self, unit: str) -> Path:
        return self._folder / unit.replace("/", "-")


@pytest.fixture
def rivals(cluster: Cluster, tmp_path: Path) -> Rivals:
    """Two units of a new model."""

    async def make() -> ModelId:
        async with open_etcd(cluster.url(), data_dir=tmp_path, clock=SystemClock()) as store:
            world = await World(store).begin()
            await world.deploy(MYSQL, units=2)
            return world.model

    return Rivals(cluster.url(), asyncio.run(make()), tmp_path)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_killed_leader_is_followed_within_the_lease(rivals: Rivals) -> None:
    with ExitStack() as children:
        leader = children.enter_context(rivals.claiming(FIRST))
        await until(lambda: len(rivals.led(FIRST)) > 2)
        children.enter_context(rivals.claiming(SECOND))
        await asyncio.sleep(LEASE_SECONDS)
        assert rivals.led(SECOND) == []

        leader.send_signal(signal.SIGKILL)
        leader.wait()
        await until(lambda: bool(rivals.led(SECOND)))

    # A second more for etcd, which ends leases twice a second, and one for a machine that is busy.
    assert rivals.led(SECOND)[0][0] - rivals.led(FIRST)[-1][0] < LEASE_SECONDS + 2
    assert rivals.never_two()


async def test_a_member_that_is_killed_makes_no_second_leader(rivals: Rivals, cluster: Cluster) -> None:
    with ExitStack() as children:
        children.enter_context(rivals.claiming(FIRST))
        await until(lambda: len(rivals.led(FIRST)) > 2)
        children.enter_context(rivals.claiming(SECOND))

        member = await asyncio.to_thread(cluster.leader)
        await asyncio.to_thread(member.kill)
        await asyncio.sleep(2 * LEASE_SECONDS)
        count = len(rivals.led(FIRST)) + len(rivals.led(SECOND))
        await until(lambda: len(rivals.led(FIRST)) + len(rivals.led(SECOND)) > count)

    assert rivals.never_two()
