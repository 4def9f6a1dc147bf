from __future__ import annotations

from pathlib import Path

import pytest
from plugins.introspection.tests.fakes import FakeInside

from undercroft.testing import FakeAgent
from undercroft_conformance import Subject, WorkerConformance
from undercroft_introspection import worker  # noqa: F401 - Its import takes longer than a turn of the loop may.
from undercroft_introspection.plugin import Config


class TestIntrospection(WorkerConformance):
    """The worker, listening at both its sockets; nobody comes."""

    plugin = "introspection"

    @pytest.fixture
    def subject(self, tmp_path: Path) -> Subject:
        folder = tmp_path / "plugins" / "introspection"
        folder.mkdir(parents=True)
        agent = FakeAgent(config=Config(listen="127.0.0.1:0"), data_dir=folder)
        return Subject(agent, resources={"agent": FakeInside()}, writable=[tmp_path / "introspection.sock"])
