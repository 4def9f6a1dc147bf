from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from plugins.model.tests.commands.conftest import CommandLine


@pytest.fixture
def data(undercroft: CommandLine) -> Path:
    """A data folder with a model."""
    undercroft.ok("add-model", "first")
    return undercroft.data


def models(undercroft: CommandLine) -> list[str]:
    return sorted(model["short-name"] for model in undercroft.json("models")["models"])


def test_a_backup_brings_back_what_there_was(undercroft: CommandLine, data: Path) -> None:
    said = undercroft.ok("store", "backup", "saved").err
    undercroft.ok("add-model", "second")

    restored = undercroft.ok("store", "restore", "saved").err

    assert "saved has the" in said
    assert "what was there before is" in restored
    assert models(undercroft) == ["first"]


def test_a_backup_that_is_there_is_not_replaced_but_by_force(undercroft: CommandLine, data: Path) -> None:
    undercroft.ok("store", "backup", "saved")

    assert "--force" in undercroft.refused("store", "backup", "saved")
    undercroft.ok("store", "backup", "saved", "--force")


def test_nothing_is_restored_while_an_agent_runs(undercroft: CommandLine, data: Path) -> None:
    undercroft.ok("store", "backup", "saved")
    lock = os.open(data / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)

        assert "an agent runs on" in undercroft.refused("store", "restore", "saved")
    finally:
        os.close(lock)


def test_a_sound_store_is_said_to_be_sound(undercroft: CommandLine, data: Path) -> None:
    assert "store.db is sound" in undercroft.ok("store", "check").out
    assert undercroft.json("store", "check")["problems"] == []


def test_a_damaged_store_exits_1_and_says_what_to_do(undercroft: CommandLine, data: Path) -> None:
    (data / "store.db").write_bytes(b"no database at all" * 1000)

    said = undercroft.refused("store", "check")

    assert "file is not a database" in said
    assert "restore a backup with `undercroft store restore FILE`" in said
    ran = undercroft("store", "check", "--format", "json")
    assert (ran.code, ran.document["problems"]) == (1, ["file is not a database"])


def test_there_is_nothing_to_back_up_before_there_is_a_store(undercroft: CommandLine) -> None:
    assert "there is no store yet" in undercroft.refused("store", "backup", "saved")
    assert "(not found)" in undercroft.refused("store", "restore", "nowhere")


def test_a_state_that_is_kept_elsewhere_is_not_ours_to_back_up(undercroft: CommandLine, data: Path) -> None:
    (data / "undercroft.toml").write_text('store = "etcd://localhost:1"\n')

    assert "`etcdctl snapshot save FILE`" in undercroft.refused("store", "backup", "saved")


def test_an_agent_with_a_damaged_store_ends_with_one_message(undercroft: CommandLine, data: Path) -> None:
    (data / "store.db").write_bytes(b"no database at all" * 1000)
    program = [sys.executable, "-m", "undercroft", "agent", "--data", str(data)]

    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 1
    assert "restore a backup with `undercroft store restore FILE`" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
