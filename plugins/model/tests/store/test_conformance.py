"""The SQLite backend, judged by the Store's contract suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from undercroft_conformance import StoreConformance
from undercroft_conformance.stores import OpenStore
from undercroft_hookspecs import Clock
from undercroft_model.sqlite_store import open_sqlite


class TestSqliteStore(StoreConformance):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        def opening(clock: Clock) -> object:
            return open_sqlite("sqlite:", data_dir=tmp_path, clock=clock)

        return opening  # type: ignore[return-value]
