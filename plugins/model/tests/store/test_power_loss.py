"""A power cut at any moment: whatever was not fsynced is thrown away, in whole or in part."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from plugins.model.tests.store import steady
from plugins.model.tests.store.power import CALLS, Call, Disk, acknowledged, read_trace

from undercroft_hookspecs import StoreUnavailable, StoreUnusable
from undercroft_model.database import Database, Place
from undercroft_model.soundness import judge
from undercroft_model.sqlite import Connection

BATCHES = 60
CUTS = 300


def traced(folder: Path, synchronous: str) -> Sequence[Call]:
    """What a program did that wrote to a store in a folder."""
    if shutil.which("strace") is None:
        pytest.skip("needs strace: apt install strace")
    trace = folder.with_suffix(".trace")
    program = [sys.executable, steady.__file__, str(folder / "store.db"), str(BATCHES), synchronous]
    words = ["strace", "-y", "-xx", "-s", "100000", "-e", f"trace={CALLS}", "-o", str(trace), *program]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "ptrace" in done.stderr:
        pytest.skip(f"strace may not trace here: {done.stderr}")
    assert (done.returncode, done.stdout.count("ack")) == (0, BATCHES), done.stderr
    return list(read_trace(trace.read_text()))


def lost(calls: Sequence[Call], folder: Path, at: int, scratch: Path) -> str:
    """What is wrong with the store after a power cut behind the call `at`; nothing, if it is as it has to be."""
    disk, promised = Disk(folder), 0
    for call in calls[: at + 1]:
        disk.take(call)
        promised = acknowledged(call) or promised
    scratch.mkdir()
    disk.cut(random.Random(at), scratch)
    path = scratch / "store.db"
    if not promised:
        return ""  # There may not even be a file yet.
    try:
        with closing(Connection(path)) as connection:
            problems = judge(connection, path).problems
            database = Database(Place(path=path, now=lambda: 0.0, boot="this"), connection)
            entry = database.get("counter")
    except (StoreUnusable, StoreUnavailable) as error:
        return f"{promised} was acknowledged, and {error}"
    found = 0 if entry is None else int(entry.value)
    if not promised <= found <= promised + steady.BATCH:
        return f"{promised} was acknowledged, and {found} is there"
    return "; ".join(problems)


def cut_at_random(calls: Sequence[Call], folder: Path, scratch: Path) -> dict[int, str]:
    """What is wrong after power cuts at random moments."""
    moments = random.Random(1).sample(range(len(calls)), min(CUTS, len(calls)))
    found = {at: lost(calls, folder, at, scratch / f"cut-{at}") for at in moments}
    return {at: wrong for at, wrong in found.items() if wrong}


@pytest.mark.slow
def test_a_power_cut_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()

    calls = traced(folder, "FULL")

    assert {call.path.name for call in calls if call.name == "pwrite64"} >= {"store.db", "store.db-wal"}
    assert cut_at_random(calls, folder, tmp_path) == {}


@pytest.mark.slow
@pytest.mark.parametrize("synchronous", ["NORMAL", "OFF"])
def test_without_an_fsync_for_each_commit_power_cuts_would_lose_some(tmp_path: Path, synchronous: str) -> None:
    """That the test above would notice."""
    folder = tmp_path / "data"
    folder.mkdir()

    calls = traced(folder, synchronous)

    assert any("was acknowledged" in wrong for wrong in cut_at_random(calls, folder, tmp_path).values())
