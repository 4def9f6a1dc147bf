from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from plugins.metrics.tests.spool.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A folder in which spools are opened."""
    made = Bench(tmp_path / "spool")
    yield made
    made.close()
