"""What a collector works with: a workload that lets it in, a charm, its hook, and a spool in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from undercroft.fortress import Fortress
from undercroft.testing import FakeClock
from undercroft.testing.agent import FakeUnitAgent
from undercroft_hookspecs import HookResult, MetricBatch, MetricSample
from undercroft_hookspecs.charm import Charm, MetricSpec
from undercroft_hookspecs.state import Unit
from undercroft_metrics.collect import recording
from undercroft_metrics.collect.worker import MetricCollect
from undercroft_metrics.plugin import Config
from undercroft_metrics.seams import SpoolFullError

Script = Callable[[Path], Awaitable[HookResult]]


async def nothing(_: Path) -> HookResult:
    """A hook that adds nothing."""
    return HookResult(returncode=0)


def adds(key: str, *values: str, status: int = 0, label: str = "") -> Script:
    """A hook that adds values of a metric, each with a label of its own if `label` names one."""

    async def script(file: Path) -> HookResult:
        now = recording.header_of(file).created
        for value in values:
            labels = {label: value} if label else {}
            recording.append(file, [MetricSample(key=key, value=value, time=now, labels=labels)])
        return HookResult(returncode=status)

    return script


@dataclass
class World:
    """Everything around a collector."""

    unit: FakeUnitAgent
    fortress: Fortress
    metrics: Mapping[str, MetricSpec] = field(default_factory=lambda: {"pings": MetricSpec(description="Pings")})
    script: Script = nothing
    charm: str = "abc"
    published: list[Sequence[MetricBatch]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)  # Any: the arguments of a run.
    is_full: bool = False
    failure: OSError | None = None
    charms_read: int = 0
    came: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def file(self) -> Path:
        return self.unit.data_dir / recording.FILE

    def collector(self, **config: Any) -> MetricCollect:  # Any: whatever the section has.
        given = Config(**config)
        return MetricCollect(
            self.unit, given, spool=self, guest=self.fortress, hooks=Hooks(self), charms=Charms(self), units=Units(self)
        )

    async def publish(self, batches: Sequence[MetricBatch]) -> Sequence[str]:
        if self.failure is not None:
            raise self.failure
        self.published.append(batches)
        self.came.set()
        return [each.id for each in batches]

    async def check_room(self) -> None:
        if self.is_full:
            raise SpoolFullError("the queue of sender store is full")

    def samples(self) -> list[tuple[str, str]]:
        """All that was published."""
        return [(sample.key, sample.value) for batches in self.published for b in batches for sample in b.samples]


@dataclass
class Hooks:
    """The unit's hook runner."""

    world: World

    async def run(
        self, hook: str, *, tools: Collection[str], environment: Mapping[str, str], timeout: float
    ) -> HookResult:
        self.world.runs.append({"hook": hook, "tools": tuple(tools), "timeout": timeout, **environment})
        return await self.world.script(self.world.file)


@dataclass
class Charms:
    """The unit's charm."""

    world: World

    async def charm(self, sha256: str) -> Charm:
        self.world.charms_read += 1
        return Charm(name="mysql", sha256=sha256, revision=3, metrics=self.world.metrics)


@dataclass
class Units:
    """The unit's record; the collector asks nothing else of it."""

    world: World

    async def unit(self) -> Unit:
        return Unit(name="specimen/0", machine="0", charm=self.world.charm)

    def __getattr__(self, name: str) -> Any:  # Any: the rest of UnitFacade, which nobody calls.
        raise AssertionError(f"{name} was asked for")


@asynccontextmanager
async def world(folder: Path, *, is_open: bool = True) -> AsyncIterator[World]:
    """Everything, and a workload that runs."""
    fortress = Fortress()
    if is_open:
        await fortress.unlock()
    unit = FakeUnitAgent(data_dir=folder / "own", unit_dir=folder, clock=FakeClock())
    try:
        yield World(unit, fortress)
    finally:
        fortress.kill()
        await fortress.wait()
