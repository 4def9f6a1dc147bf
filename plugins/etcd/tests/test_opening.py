"""What it costs to have the store installed, and what is set when it is used."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from undercroft.clock import SystemClock
from undercroft.process import SystemProcess
from undercroft_etcd.opening import open_etcd
from undercroft_hookspecs import NotValidError

ENTRY_POINT = """
import sys
from importlib.metadata import entry_points
(point,) = entry_points(group="undercroft.stores", name="etcd")
point.load()
assert "grpc" not in sys.modules, "grpc is imported by those who do not use it"
"""

USED = """
import asyncio, os, sys
from pathlib import Path
from undercroft.clock import SystemClock
from undercroft_etcd.opening import open_etcd

async def main():
    async with open_etcd("etcd://127.0.0.1:1", data_dir=Path(), clock=SystemClock()):
        assert "grpc" in sys.modules
        assert os.environ["GRPC_ENABLE_FORK_SUPPORT"] == "0"
        assert os.environ["GRPC_VERBOSITY"] == "NONE"

asyncio.run(main())
"""


@pytest.mark.parametrize("script", [ENTRY_POINT, USED])
async def test_grpc_is_imported_only_when_the_store_is_opened(script: str, tmp_path: Path) -> None:
    done = await SystemProcess().run(
        [sys.executable, "-W", "error", "-c", script], timeout=60, check=False, cwd=tmp_path
    )

    assert (done.returncode, done.stderr) == (0, b"")


async def test_a_url_that_means_nothing_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    with pytest.raises(NotValidError, match="no option 'colour'"):
        async with open_etcd("etcd://a/?colour=red", data_dir=tmp_path, clock=SystemClock()):
            pass
