"""A third party's view: the whole plugin of the guide, installed by its metadata alone, judged through both doors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

PLUGIN = """
from collections.abc import Mapping
from typing import Annotated
import msgspec
from undercroft_hookspecs import Agent, BlockDeviceView, Context, Manifold, Worker, hookimpl

class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    poll_seconds: Annotated[float, msgspec.Meta(gt=0)] = 3600.0
    smartctl: str = "smartctl"

@hookimpl
def undercroft_config() -> type[msgspec.Struct]:
    return Config

@hookimpl
def undercroft_manifolds(agent: Agent) -> Mapping[str, Manifold]:
    def start(context: Context) -> Worker:
        from undercroft_smart.worker import Smart  # Late: other commands should not pay for it.

        return Smart(agent, agent.config(Config), disks=context.get("model", BlockDeviceView))

    return {"smart": Manifold(start=start, inputs=("model",))}
"""

WORKER = """
from undercroft import PeriodicWorker, Stop
from undercroft_hookspecs import Agent, BlockDeviceView
from undercroft_smart.plugin import Config

class Smart:
    def __init__(self, agent: Agent, config: Config, *, disks: BlockDeviceView) -> None:
        self._agent, self._config, self._disks = agent, config, disks
        self._healthy = agent.meter.gauge("disk_healthy", "1 if the disk says it is well", ["device"])
        self._worker = PeriodicWorker(self._tick, config.poll_seconds, grace=0, name="smart", clock=agent.clock)

    def kill(self) -> None:
        self._worker.kill()

    async def wait(self) -> None:
        await self._worker.wait()

    async def _tick(self, _: Stop) -> None:
        disks = [d.device_name for d in await self._disks.block_devices() if d.kind == "disk"]
        answers = {name: await self._ask(name) for name in disks}
        self._healthy.replace({(name,): float(well) for name, well in answers.items() if well is not None})

    async def _ask(self, name: str) -> bool | None:
        done = await self._agent.process.run([self._config.smartctl, "-j", "-H", f"/dev/{name}"], timeout=30.0, check=False)
        return None if done.returncode & 0b0011 else not done.returncode & 0b1000
"""  # noqa: E501 - As it stands in the guide.

METADATA = """Metadata-Version: 2.1
Name: undercroft-smart
Version: 1.0
Requires-Dist: undercroft-hookspecs>=1.0,<2
Requires-Dist: undercroft>=1.0,<2
"""

ENTRY_POINTS = """[undercroft.plugins]
smart = undercroft_smart.plugin
"""

TESTS = """
import pytest
from undercroft.testing import FakeAgent, FakeProcess
from undercroft_conformance import Subject, WorkerConformance
from undercroft_hookspecs import BlockDevice, Completed

class FakeModel:
    async def block_devices(self):
        return [BlockDevice(device_name="sda"), BlockDevice(device_name="sda1", kind="part")]

    def watch_block_devices(self):
        raise NotImplementedError

class TestSmart(WorkerConformance):
    plugin = "smart"

    @pytest.fixture
    def subject(self, tmp_path):
        agent = FakeAgent(
            data_dir=tmp_path,
            config={"poll_seconds": 0.01},
            process=FakeProcess({"smartctl": Completed((), 0)}),
        )
        yield Subject(agent, resources={"model": FakeModel()})
        if "disk_healthy" in agent.meter.instruments:
            assert agent.meter.values("disk_healthy") in ({}, {("sda",): 1.0})
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin installed in it."""
    folder = tmp_path_factory.mktemp("site")
    package, info = folder / "undercroft_smart", folder / "undercroft_smart-1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(PLUGIN)
    (package / "worker.py").write_text(WORKER)
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


def ran(site: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python with the plugin installed."""
    environ = {**os.environ, "PYTHONPATH": str(site)}
    argv = [sys.executable, "-m", *arguments]
    return subprocess.run(
        argv, cwd=site, env=environ, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL
    )


def test_the_plugin_of_the_guide_keeps_every_rule(site: Path) -> None:
    (site / "test_smart.py").write_text(TESTS)
    (site / "pytest.ini").write_text(
        "[pytest]\nfilterwarnings = error\nasyncio_default_fixture_loop_scope = function\n"
    )

    options = ("-p", "no:cacheprovider", f"--basetemp={site}/tmp")
    done = ran(site, "pytest", "-q", "-rs", *options, "test_smart.py")

    assert done.returncode == 0, done.stdout + done.stderr
    reasons = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert all("has no report()" in reason or "has no output" in reason for reason in reasons), reasons


@pytest.fixture(scope="module")
def judged(site: Path) -> tuple[int, list[Mapping[str, str]]]:
    """How the command ends, and its rows."""
    done = ran(site, "undercroft", "conformance", "undercroft-smart", "--format", "json")
    assert done.stdout.startswith("["), done.stdout + done.stderr
    return done.returncode, json.loads(done.stdout)


def test_the_command_finds_nothing_wrong_with_it(judged: tuple[int, list[Mapping[str, str]]]) -> None:
    code, rows = judged

    assert code == 0
    assert [row for row in rows if row["verdict"] == "broken"] == []
    assert {"import-budget", "hook-answer", "config-unknown", "start-nothing"} <= {
        row["rule"] for row in rows if row["verdict"] == "kept"
    }


def test_what_needs_a_fake_is_skipped_by_the_command_and_says_why(
    judged: tuple[int, list[Mapping[str, str]]],
) -> None:
    _, rows = judged
    skipped = {row["rule"]: row["why"] for row in rows if row["verdict"] == "skipped"}

    assert skipped["kill-clean"] == "'smart' takes 'model', for which there is no fake"
