from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from undercroft.testing import FakeAgent, MemoryStore
from undercroft_conformance import Subject, WorkerConformance
from undercroft_hookspecs import (
    BlobFacade,
    BlockDeviceFacade,
    BlockDeviceView,
    CharmArchiveFacade,
    PlacementFacade,
    RemovedUnitsFacade,
)
from undercroft_model.operator import Operator

KINDS = (
    BlobFacade,
    BlockDeviceFacade,
    BlockDeviceView,
    CharmArchiveFacade,
    Operator,
    PlacementFacade,
    RemovedUnitsFacade,
)


@dataclass(frozen=True)
class ProcessRole:
    role: Literal["agent", "client"]


class TestModelInAnAgent(WorkerConformance):
    plugin = "model"

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        resources = {"agent": ProcessRole("agent"), "store": MemoryStore()}
        return Subject(FakeAgent(data_dir=tmp_path), resources=resources, outputs={"model": KINDS})


class TestModelInACommand(WorkerConformance):
    plugin = "model"

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        resources = {"agent": ProcessRole("client"), "store": MemoryStore()}
        return Subject(FakeAgent(data_dir=tmp_path), resources=resources, outputs={"model": KINDS})
