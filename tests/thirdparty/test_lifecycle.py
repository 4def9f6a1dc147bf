"""An outsider's plugin, from source to uninstalled: built, installed beside core, run, judged, upgraded, removed.

The plugin is a distribution of its own, which knows nothing of this repository: see undercroft-pressure/README.md.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.repo.venvs import ROOT, Venv, build, environment

pytestmark = pytest.mark.slow

PLUGIN = ROOT / "tests" / "thirdparty" / "undercroft-pressure"
SECOND = ROOT / "tests" / "thirdparty" / "undercroft-pressure-2"

PATIENCE = 20.0


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels that the plugin's author has: ours, and both versions of the plugin."""
    folder = tmp_path_factory.mktemp("wheels")
    for member in ("hookspecs", "core", "tests/conformance"):
        build(ROOT / member, folder)
    build(PLUGIN, folder)
    second = folder / "second"
    shutil.copytree(PLUGIN, second)
    shutil.copytree(SECOND, second, dirs_exist_ok=True)
    build(second, folder)
    return folder


@pytest.fixture
def venv(wheels: Path, tmp_path: Path) -> Venv:
    """An environment with core and the first version of the plugin."""
    made = Venv(tmp_path / "venv")
    made.install("undercroft", "undercroft-pressure==1.0.0", wheels=wheels)
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a config that has the plugin read a kernel's folder of our making."""
    kernel = tmp_path / "pressure"
    kernel.mkdir()
    (kernel / "cpu").write_text("some avg10=12.50 avg60=0.00 avg300=0.00 total=0\n")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "undercroft.toml").write_text(f'[plugins.pressure]\npoll_seconds = 0.1\nfolder = "{kernel}"\n')
    return folder


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for the condition, for a bounded time."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@contextmanager
def agent(venv: Venv, data: Path) -> Iterator[None]:
    """A running agent, which ends cleanly when it is asked to."""
    log = data / "agent.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [venv.folder / "bin" / "undercroft", "agent", "--data", data],
            cwd=data,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        ) as process,
    ):
        try:
            until(lambda: process.poll() is not None or (data / "agent.sock").exists(), "the agent's socket")
            yield
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
    assert process.returncode == 0, log.read_text()


def manifold(venv: Venv, data: Path, name: str) -> dict[str, object] | None:
    """What the running agent reports of one manifold."""
    done = venv.run("undercroft", "report", "--data", data, "--format", "json", check=False)
    if done.returncode != 0:
        return None
    found: dict[str, object] | None = json.loads(done.stdout)["manifolds"].get(name)
    return found


def stalled(venv: Venv, data: Path) -> object:
    """What the plugin's worker reports, once it has read something."""
    found = manifold(venv, data, "pressure") or {}
    report = found.get("report", {})
    assert isinstance(report, dict)
    return report if report.get("stalled") else None


def plugins(venv: Venv, data: Path) -> dict[str, dict[str, object]]:
    """What `undercroft plugins` lists, by name."""
    listed = venv.json("plugins", "--data", data)
    assert isinstance(listed, list)
    return {plugin["name"]: plugin for plugin in listed}


def test_it_is_discovered_without_an_agent(venv: Venv, data: Path) -> None:
    found = plugins(venv, data)["pressure"]

    assert found["state"] == "active"
    assert found["distribution"] == "undercroft-pressure"
    assert found["version"] == "1.0.0"
    assert found["manifolds"] == ["pressure"]


def test_its_command_works_without_an_agent(venv: Venv, data: Path) -> None:
    assert venv.json("pressure", "--data", data) == {"cpu": 12.5}


def test_its_config_is_checked(venv: Venv, data: Path) -> None:
    (data / "undercroft.toml").write_text("[plugins.pressure]\npol_seconds = 1\n")

    refused = venv.run("undercroft", "check", "--data", data, check=False)

    assert refused.returncode == 78
    assert "plugins.pressure" in refused.stderr + refused.stdout
    assert "pol_seconds" in refused.stderr + refused.stdout


def test_it_runs_is_upgraded_and_uninstalled(venv: Venv, data: Path, wheels: Path) -> None:
    with agent(venv, data):
        until(lambda: stalled(venv, data), "the worker's first report")
        assert stalled(venv, data) == {"stalled": {"cpu": 12.5}}

    venv.install("undercroft-pressure==2.0.0", wheels=wheels)
    with agent(venv, data):
        until(lambda: stalled(venv, data), "the second version's first report")
        assert stalled(venv, data) == {"stalled": {"cpu": 12.5}, "peak": {"cpu": 12.5}}
        assert plugins(venv, data)["pressure"]["version"] == "2.0.0"

    venv.uninstall("undercroft-pressure")
    (data / "undercroft.toml").unlink()
    with agent(venv, data):
        until(lambda: manifold(venv, data, "store"), "the agent's own report")
        assert manifold(venv, data, "pressure") is None
        assert "pressure" not in plugins(venv, data)
        assert "pressure" not in venv.run("undercroft", "--help").stdout


def test_its_own_tests_and_the_kit_pass_where_it_is_installed(venv: Venv, wheels: Path, tmp_path: Path) -> None:
    venv.install("undercroft-conformance", "undercroft-pressure==1.0.0", wheels=wheels)
    copy = tmp_path / "undercroft-pressure"
    shutil.copytree(PLUGIN, copy)

    venv.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", copy, timeout=180.0)
    venv.run("undercroft", "conformance", "undercroft-pressure", timeout=180.0)
