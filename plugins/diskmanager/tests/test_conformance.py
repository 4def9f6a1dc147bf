from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from undercroft.process import SystemProcess
from undercroft.testing import FakeAgent
from undercroft_conformance import Subject, WorkerConformance
from undercroft_hookspecs import BlockDevice


class Devices:
    """The facade of the disk manager, which keeps the last list."""

    def __init__(self) -> None:
        self.last: Sequence[BlockDevice] = ()

    async def set_block_devices(self, devices: Sequence[BlockDevice]) -> None:
        self.last = devices


class TestDiskManager(WorkerConformance):
    """The worker on this machine's real devices."""

    plugin = "diskmanager"

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        return Subject(FakeAgent(process=SystemProcess(), data_dir=tmp_path), resources={"model": Devices()})
