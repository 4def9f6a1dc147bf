"""A hook to run tools in."""

from __future__ import annotations

from pathlib import Path

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Runs tools in `hook`."""
    return Bench(tmp_path)


@pytest.fixture
def hook(bench: Bench) -> FakeHook:
    """The hook that `bench` runs tools in."""
    return bench.hook
