from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from undercroft.process import SystemProcess
from undercroft.testing.agent import FakeAgent, FakeUnitAgent
from undercroft_conformance import Subject, WorkerConformance
from undercroft_hookspecs import HookResult, SenderHealths
from undercroft_hookspecs.charm import Charm
from undercroft_hookspecs.state import MeterStatus, Unit
from undercroft_metrics import manifolds  # noqa: F401 - Its import takes longer than a turn of the loop may.
from undercroft_metrics.plugin import Config, undercroft_metric_senders
from undercroft_metrics.seams import QueueStats, SpoolReader, SpoolWriter


class Model:
    """A unit that has no charm yet."""

    async def charm(self, sha256: str) -> Charm:
        raise AssertionError(sha256)

    async def set_meter_status(self, status: MeterStatus) -> None:
        raise AssertionError(status)

    async def unit(self) -> Unit:
        return Unit(name="specimen/0", machine="0")

    @asynccontextmanager
    async def watch_unit(self) -> AsyncIterator[AsyncIterator[Unit]]:
        raise AssertionError
        yield

    async def nobody_calls_it(self) -> None:
        raise AssertionError

    take_up_charm = clear_resolved = set_workload_version = destroy = nobody_calls_it
    remove_subordinates = ensure_dead = nobody_calls_it


class Closed:
    """A charm's folder that nobody may come into yet."""

    async def visit(self, fn: Callable[[], Awaitable[None]], *, abort: object = None) -> None:
        async with self.visiting():
            await fn()

    @asynccontextmanager
    async def visiting(self, *, abort: object = None) -> AsyncIterator[None]:
        await asyncio.Event().wait()
        yield


class NoHooks:
    """Runs none."""

    async def run(
        self, hook: str, *, tools: Collection[str], environment: Mapping[str, str], timeout: float
    ) -> HookResult:
        raise AssertionError(hook)


class Nothing:
    """A spool that has nothing to send, and takes nothing in."""

    async def publish(self, batches: object) -> list[str]:
        raise AssertionError(batches)

    async def check_room(self) -> None:
        pass

    @asynccontextmanager
    async def queue(self, sender: str) -> AsyncIterator[Nothing]:
        yield self

    async def claim(self, *, max_batches: int, max_bytes: int) -> list[object]:
        return []

    async def wait(self) -> None:
        await asyncio.Event().wait()

    def stats(self) -> QueueStats:
        return QueueStats(batches=0, bytes=0, oldest=None, dead=0, quarantined=0)


MODEL = "00000000-0000-0000-0000-000000000000"


class TestMetrics(WorkerConformance):
    """The workers of one unit."""

    plugin = "metrics"

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        top = FakeAgent(config=Config(), data_dir=tmp_path / "plugins" / "metrics")
        unit_dir = tmp_path / "models" / MODEL / "agents" / "unit-specimen-0"
        senders = undercroft_metric_senders(top)
        agent = FakeUnitAgent(
            config=Config(),
            process=SystemProcess(),
            data_dir=unit_dir / "metrics",
            unit_dir=unit_dir,
            answers={"undercroft_metric_senders": [("metrics", senders)]},
        )
        (unit_dir / "metrics").mkdir(parents=True)
        (tmp_path / "plugins" / "metrics").mkdir(parents=True, exist_ok=True)
        return Subject(
            agent,
            resources={"model": Model(), "charm-dir": Closed(), "hook-runner": NoHooks(), "metric-spool": Nothing()},
            outputs={"metric-spool": (SpoolWriter, SpoolReader), "metric-sender": (SenderHealths,)},
            writable=[tmp_path / "plugins" / "metrics"],
        )


class TestLeftovers(WorkerConformance):
    """The worker of the agent."""

    plugin = "metrics"

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        top = FakeAgent(config=Config(), data_dir=tmp_path / "top")
        answers = {"undercroft_metric_senders": [("metrics", undercroft_metric_senders(top))]}
        return Subject(FakeAgent(config=Config(), data_dir=tmp_path / "plugins" / "metrics", answers=answers))
