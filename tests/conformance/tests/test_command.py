"""`undercroft conformance`, as people run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BAD_PLUGIN = """
from undercroft import FinishedWorker, NoOpWorker
from undercroft_hookspecs import Manifold, hookimpl


class Bad(NoOpWorker):
    def kill(self):
        super().kill()
        raise RuntimeError("not now")


@hookimpl
def undercroft_manifolds(agent):
    return {"bad": Manifold(start=lambda context: Bad())}


@hookimpl
def undercroft_unit_manifolds(unit):
    return {"fine": Manifold(start=lambda context: FinishedWorker())}
"""


def install(site: Path, name: str, text: str, entry_points: str) -> None:
    info = site / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{name}.py").write_text(text)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


def ran(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "undercroft", "conformance", *arguments],
        cwd=site,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        stdin=subprocess.DEVNULL,
    )


@pytest.mark.slow
def test_a_broken_rule_is_named_in_the_table_and_in_the_exit_code(tmp_path: Path) -> None:
    install(tmp_path, "undercroft_bad", BAD_PLUGIN, "[undercroft.plugins]\nbad = undercroft_bad\n")

    done = ran(tmp_path, "undercroft-bad", "--format", "table")

    assert done.returncode == 1, done.stderr
    broken = [line.split() for line in done.stdout.splitlines() if " broken " in line]
    assert ["bad", "agent", "kill-silent", "broken"] in [words[:4] for words in broken]
    assert "raised RuntimeError: not now" in done.stdout
    assert {words[1] for words in broken if words[2].startswith("kill")} == {"agent"}
    assert any(line.split()[1:4] == ["unit", "kill-silent", "kept"] for line in done.stdout.splitlines() if line)
    assert "Traceback" not in done.stdout + done.stderr


def test_a_plugin_that_cannot_be_imported_is_one_message(tmp_path: Path) -> None:
    install(tmp_path, "undercroft_bad", "1 // 0", "[undercroft.plugins]\nbad = undercroft_bad\n")

    done = ran(tmp_path, "undercroft-bad")

    assert done.returncode == 1
    assert "'bad' could not be judged: ZeroDivisionError" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_distribution_that_is_not_there_exits_4(tmp_path: Path) -> None:
    done = ran(tmp_path, "undercroft-nowhere")

    assert done.returncode == 4
    assert "undercroft-nowhere" in done.stderr


def test_a_distribution_without_a_plugin_exits_4(tmp_path: Path) -> None:
    install(tmp_path, "plain", "", "")

    done = ran(tmp_path, "plain")

    assert done.returncode == 4
    assert "undercroft.plugins" in done.stderr


def test_a_store_is_skipped_with_the_reason(tmp_path: Path) -> None:
    install(tmp_path, "undercroft_db", "", "[undercroft.stores]\ndb = undercroft_db:open\n")

    done = ran(tmp_path, "undercroft-db", "--format", "json")

    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["plugin"], row["verdict"]) == ("db", "skipped")
    assert "StoreConformance" in row["why"]


def test_no_distribution_is_a_misuse(tmp_path: Path) -> None:
    assert ran(tmp_path).returncode == 2


def test_the_module_of_the_command_is_light() -> None:
    heavy = "msgspec,pluggy,pytest,asyncio,undercroft_conformance.black_box"
    script = f"import undercroft_conformance.command, sys; print([m for m in '{heavy}'.split(',') if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"
