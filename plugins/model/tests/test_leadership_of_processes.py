"""Leadership between real processes that share a real file, and are killed."""

from __future__ import annotations

import asyncio
import itertools
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from plugins.model.tests.conftest import MYSQL, World

from undercroft.clock import SystemClock
from undercroft_model.sqlite_store import open_sqlite

LEASE_SECONDS = 2.0
PROGRAM = Path(__file__).with_name("claimant.py")

Intervals = list[tuple[float, float]]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A model with two units, in a file."""
    async with open_sqlite("sqlite:", data_dir=tmp_path, clock=SystemClock()) as store:
        world = await World(store).begin()
        await world.deploy(MYSQL, units=2)
        yield world


@contextmanager
def claiming(world: World, unit: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    journal = folder / unit.replace("/", "-")
    arguments = ["sqlite:", str(folder), str(world.model), unit, str(LEASE_SECONDS), str(journal)]
    child = subprocess.Popen([sys.executable, str(PROGRAM), *arguments])
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def led(folder: Path, unit: str) -> Intervals:
    journal = folder / unit.replace("/", "-")
    if not journal.exists():
        return []
    lines = [line.split() for line in journal.read_text().splitlines()]
    return [(float(line[0]), float(line[1])) for line in lines if len(line) == 2]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_killed_leader_is_followed_within_the_lease_and_there_are_never_two(
    world: World, tmp_path: Path
) -> None:
    first, second = "mysql/0", "mysql/1"
    with ExitStack() as children:
        leader = children.enter_context(claiming(world, first, tmp_path))
        await until(lambda: len(led(tmp_path, first)) > 2)
        children.enter_context(claiming(world, second, tmp_path))
        await asyncio.sleep(LEASE_SECONDS)
        assert led(tmp_path, second) == []

        leader.send_signal(signal.SIGKILL)
        leader.wait()
        await until(lambda: bool(led(tmp_path, second)))

    last, successor = led(tmp_path, first)[-1], led(tmp_path, second)[0]
    assert last[1] < successor[0]
    # Within the lease, from the last renewal on; a second more, for a machine that is busy.
    assert successor[0] - last[0] < LEASE_SECONDS + 1


async def test_a_leader_that_stands_still_does_not_believe_in_it_when_it_goes_on(world: World, tmp_path: Path) -> None:
    first, second = "mysql/0", "mysql/1"
    with ExitStack() as children:
        leader = children.enter_context(claiming(world, first, tmp_path))
        await until(lambda: len(led(tmp_path, first)) > 2)
        children.enter_context(claiming(world, second, tmp_path))

        leader.send_signal(signal.SIGSTOP)
        await until(lambda: bool(led(tmp_path, second)))
        leader.send_signal(signal.SIGCONT)
        await asyncio.sleep(LEASE_SECONDS)

    intervals = sorted((*each, unit) for unit in (first, second) for each in led(tmp_path, unit))
    for (_, end, one), (begin, _, other) in itertools.pairwise(intervals):
        assert one == other or end < begin
