"""Stores on SQLite, in folders of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from undercroft.clock import SystemClock
from undercroft.testing import FakeClock
from undercroft_hookspecs import Store
from undercroft_model.sqlite_store import open_sqlite


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Return when a condition holds; fails if it does not come to that in time."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def descriptors(folder: Path) -> dict[int, str]:
    """The files below a folder that this process has open."""
    found = {}
    for link in Path("/proc/self/fd").iterdir():
        try:
            target = link.readlink()
        except OSError:
            continue
        if target.is_relative_to(folder):
            found[int(link.name)] = str(target)
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of the store."""
    return tmp_path / "store.db"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store."""
    async with open_sqlite("sqlite:", data_dir=tmp_path, clock=SystemClock()) as opened:
        yield opened


@pytest.fixture
async def other(tmp_path: Path, store: Store) -> AsyncIterator[Store]:
    """The same store once more, as another process has it."""
    async with open_sqlite("sqlite:", data_dir=tmp_path, clock=SystemClock()) as opened:
        yield opened


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still."""
    return FakeClock()
