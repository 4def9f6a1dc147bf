from __future__ import annotations

import random
from pathlib import Path

import pytest

from undercroft import NoOpWorker
from undercroft.clock import SystemClock
from undercroft.process import SystemProcess
from undercroft.testing import FakeAgent, MemoryStore
from undercroft_conformance import Subject, WorkerConformance
from undercroft_hookspecs import HostId, ModelId, UnitName, Worker
from undercroft_model.placement import Placement, RemovedUnits
from undercroft_uniter.plugin import Config
from undercroft_uniter.seams import MachineLock
from undercroft_uniter.unitlog import UnitLogs

HOST = HostId.parse("0b2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f")


class NoEngines:
    """Where units' engines would come from, if there were units."""

    def engine(self, model: ModelId, unit: UnitName) -> Worker:
        return NoOpWorker()


class TestUniter(WorkerConformance):
    """The workers that all units of a machine share, on a machine without any."""

    plugin = "uniter"

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        store, clock, rng = MemoryStore(), SystemClock(), random.Random(1)
        data_dir = tmp_path / "plugins" / "uniter"
        data_dir.mkdir(parents=True)
        return Subject(
            FakeAgent(config=Config(), process=SystemProcess(), data_dir=data_dir),
            resources={
                "agent": NoEngines(),
                "model": [
                    Placement(store, HOST, clock=clock, rng=rng),
                    RemovedUnits(store, HOST, clock=clock, rng=rng),
                ],
            },
            outputs={"machine-lock": (MachineLock,), "unit-logs": (UnitLogs,)},
            writable=[tmp_path / "models"],
        )
