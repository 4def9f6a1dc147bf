"""Killed at random instants of collecting, publishing and sending: each sample that a charm recorded is stored, once.

`UNDERCROFT_KILLS=300` tries more instants than CI does.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from plugins.metrics.tests.marks import KINDS, hit

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("UNDERCROFT_KILLS", "20"))
WITH_ALL_KINDS = 100
"""So many kills have hit each kind of instant."""
ROOT = Path(__file__).parents[4]


def run(folder: Path, first: int, *, seconds: float | None) -> list[int]:
    """Run the program, and kill it so long after its first sample; None: to its end. What it called recorded."""
    argv = [sys.executable, "-m", "plugins.metrics.tests.collect.killed", str(folder), str(first)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        if seconds is None:
            output, _ = process.communicate(timeout=60)
            assert process.returncode == 0
        else:
            output = process.stdout.readline()
            time.sleep(seconds)
            process.kill()
            output += process.communicate()[0]
    return [int(line) for line in output.splitlines(keepends=True) if line.endswith("\n")]


def test_each_recorded_sample_is_stored_once_whenever_the_agent_is_killed(tmp_path: Path) -> None:
    rng = random.Random(4)
    recorded: list[int] = []
    amid = Counter[str]()
    for kill in range(KILLS):
        recorded += run(tmp_path, kill * 100_000, seconds=rng.uniform(0.0, 0.3))
        amid += hit(tmp_path)
    print(f"{KILLS} kills, {len(recorded)} samples were recorded; amid: {dict(amid)}")
    run(tmp_path, -1, seconds=None)

    with closing(sqlite3.connect(tmp_path / "store.db")) as store:
        stored = Counter(int(value) for (value,) in store.execute("SELECT value FROM samples"))
    assert len(recorded) > KILLS
    assert KILLS < WITH_ALL_KINDS or set(amid) == set(KINDS)
    assert set(recorded) <= set(stored)
    assert set(stored.values()) == {1}
    assert not any((tmp_path / "own" / "spool" / "queue" / "store").glob("*.b"))
    assert not (tmp_path / "own" / "spool" / "quarantine").exists()
