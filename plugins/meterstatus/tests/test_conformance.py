from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from plugins.meterstatus.tests.metering import Charm, Metering

from undercroft.process import SystemProcess
from undercroft.testing.agent import FakeUnitAgent
from undercroft_conformance import Subject, WorkerConformance
from undercroft_hookspecs import MeterSources, SenderHealth
from undercroft_meterstatus.plugin import Config


class Healthy:
    """The senders of a unit that has none."""

    def senders(self) -> list[SenderHealth]:
        return []

    @asynccontextmanager
    async def watch_senders(self) -> AsyncIterator[AsyncIterator[list[SenderHealth]]]:
        async def none() -> AsyncIterator[list[SenderHealth]]:
            yield []

        yield none()


class Closed:
    """A charm's folder that nobody may come into yet."""

    async def visit(self, fn: Callable[[], Awaitable[None]], *, abort: object = None) -> None:
        async with self.visiting():
            await fn()

    @asynccontextmanager
    async def visiting(self, *, abort: object = None) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield


class TestMeterStatus(WorkerConformance):
    """Both workers of a unit, whose charm has not started yet."""

    plugin = "meterstatus"

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        return Subject(
            FakeUnitAgent(config=Config(), process=SystemProcess(), data_dir=tmp_path),
            resources={
                "model": Metering(),
                "hook-runner": Charm(),
                "charm-dir": Closed(),
                "metric-sender": Healthy(),
            },
            outputs={"meter-status": (MeterSources,)},
        )
