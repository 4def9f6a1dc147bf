from __future__ import annotations

import random
from pathlib import Path

import pytest

from undercroft.clock import SystemClock
from undercroft.process import SystemProcess
from undercroft.testing import FakeAgent, MemoryStore
from undercroft_conformance import Subject, WorkerConformance
from undercroft_hookspecs import HostId
from undercroft_model.devices import HostDevices
from undercroft_model.placement import Placement
from undercroft_model.storage.provisioning import HostStorage
from undercroft_storageprovisioner.plugin import Config

HOST = HostId.parse("0b2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f")


class NoModels(Placement, HostStorage, HostDevices):
    """What `model` puts out for the provisioner, over an empty store."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), HOST, clock=SystemClock(), rng=random.Random(1))


class TestStorageProvisioner(WorkerConformance):
    """The worker, with nothing to do."""

    plugin = "storageprovisioner"

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        answers: dict[str, tuple[()]] = {"undercroft_storage_providers": ()}
        agent = FakeAgent(config=Config(), process=SystemProcess(), data_dir=tmp_path, answers=answers)
        return Subject(agent, resources={"model": NoModels()})
