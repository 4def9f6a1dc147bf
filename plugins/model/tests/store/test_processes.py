"""Several processes on one store, some of them killed at any moment."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from plugins.model.tests.store import killed_late, workload
from plugins.model.tests.store.workload import ACCOUNTS, MONEY, value

from undercroft_hookspecs import Commit, Delete, Put, Revision, Store
from undercroft_model.soundness import judge
from undercroft_model.sqlite import Connection

NEW = Revision(0)
WRITERS = 4
KILLS = 50


class Writers:
    """Writers in processes of their own, and what they have told."""

    def __init__(self, path: Path, told: Path) -> None:
        self._told = told
        with told.open("wb") as out:
            self._nursery = subprocess.Popen(
                [sys.executable, workload.__file__, str(path)], stdin=subprocess.PIPE, stdout=out
            )
        self._alive: list[str] = []
        self._count = 0

    def start(self) -> None:
        """Start one more."""
        self._count += 1
        self._alive.append(f"w{self._count}")
        assert self._nursery.stdin is not None
        self._nursery.stdin.write(f"w{self._count}\n".encode())
        self._nursery.stdin.flush()

    def kill(self, name: str) -> None:
        """Kill one."""
        found = re.search(rf"^pid {name} (\d+)$", self._told.read_text(), re.MULTILINE)
        assert found is not None
        self._alive.remove(name)
        os.kill(int(found[1]), signal.SIGKILL)

    def acknowledged(self) -> dict[str, int]:
        """The last step of each writer that was acknowledged."""
        return {
            name: int(step) for name, step in re.findall(r"^ack (\w+) (\d+)$", self._told.read_text(), re.MULTILINE)
        }

    def working(self) -> list[str]:
        """Those that are alive, and have made a step."""
        return [name for name in self._alive if name in self.acknowledged()]

    def close(self) -> None:
        """Kill them all."""
        assert self._nursery.stdin is not None
        self._nursery.stdin.close()
        self._nursery.wait(30)


@pytest.fixture
def writers(path: Path, tmp_path: Path, store: Store) -> Iterator[Writers]:
    """Nobody yet, on a store that is there."""
    with closing(Writers(path, tmp_path / "told")) as started:
        yield started


class Mirror:
    """What a watcher makes of the commits that it is given."""

    def __init__(self, commits: AsyncIterator[Commit]) -> None:
        self._commits = commits
        self.revisions: list[int] = []
        self.state: dict[str, bytes] = {}

    async def follow(self, up_to: Revision | None = None) -> None:
        """Take commits, up to a revision or for ever."""
        while up_to is None or not self.revisions or self.revisions[-1] < up_to:
            commit = await anext(self._commits)
            self.revisions.append(commit.revision)
            for change in commit.changes:
                if isinstance(change, Delete):
                    self.state.pop(change.key, None)
                else:
                    self.state[change.key] = change.value


async def until_working(writers: Writers, count: int) -> None:
    async with asyncio.timeout(30):
        while len(writers.working()) < count:
            await asyncio.sleep(0.02)


@pytest.mark.slow
@pytest.mark.slow_callbacks
@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_writers_killed_at_any_moment_lose_nothing_and_double_nothing(
    store: Store, path: Path, writers: Writers
) -> None:
    rng = random.Random(1)
    async with store.watch("", NEW) as commits:
        mirror = Mirror(commits)
        following = asyncio.ensure_future(mirror.follow())
        for _ in range(WRITERS):
            writers.start()
        await until_working(writers, WRITERS)
        for _ in range(KILLS):
            await asyncio.sleep(rng.uniform(0.0, 0.05))
            writers.kill(rng.choice(writers.working()))
            writers.start()
            await until_working(writers, WRITERS // 2)
        await asyncio.to_thread(writers.close)
        snapshot = await store.list("")
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        async with asyncio.timeout(10):
            await mirror.follow(snapshot.revision)

    entries = {entry.key: entry for entry in snapshot.entries}
    steps = {key.removeprefix("step/"): value(entry) for key, entry in entries.items() if key.startswith("step/")}
    acknowledged = writers.acknowledged()
    assert len(acknowledged) >= KILLS // 2
    assert {name: (step, steps[name]) for name, step in acknowledged.items() if steps[name] - step not in (0, 1)} == {}
    assert value(entries["counter"]) == sum(steps.values()) == snapshot.revision
    assert sum(value(entries.get(account), MONEY) for account in ACCOUNTS) == MONEY * len(ACCOUNTS)
    assert mirror.revisions == list(range(1, snapshot.revision + 1))
    assert mirror.state == {key: entry.value for key, entry in entries.items()}
    with closing(Connection(path)) as connection:
        assert judge(connection, path).problems == []


async def test_a_commit_whose_writer_was_killed_before_its_signal_is_found(store: Store, path: Path) -> None:
    async with store.watch("late", NEW) as commits:
        done = await asyncio.to_thread(subprocess.run, [sys.executable, killed_late.__file__, str(path)], check=False)

        async with asyncio.timeout(5):
            commit = await anext(commits)

    assert (done.returncode, commit.changes) == (-signal.SIGKILL, (Put("late", b"1"),))
