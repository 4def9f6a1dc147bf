"""Every member of the workspace is a distribution that works alone, from its wheel and with plain pip."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.repo.venvs import ROOT, Venv, build, fetching, pins

pytestmark = pytest.mark.slow

FOLDERS = [
    "hookspecs",
    "core",
    *sorted(str(folder.relative_to(ROOT)) for folder in (ROOT / "plugins").iterdir() if folder.is_dir()),
    "tests/conformance",
]


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of every member."""
    folder = tmp_path_factory.mktemp("wheels")
    for member in FOLDERS:
        build(ROOT / member, folder)
    return folder


def _project(folder: str) -> Mapping[str, object]:
    project: Mapping[str, object] = tomllib.loads((ROOT / folder / "pyproject.toml").read_text())["project"]
    return project


def test_a_wheel_holds_the_package_its_types_and_nothing_else(wheels: Path) -> None:
    import zipfile

    for folder in FOLDERS:
        name = str(_project(folder)["name"]).replace("-", "_")
        (wheel,) = wheels.glob(f"{name}-[0-9]*.whl")
        names = zipfile.ZipFile(wheel).namelist()

        assert f"{name}/py.typed" in names
        assert {entry.split("/")[0].split("-")[0] for entry in names} == {name}


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler: apt install gcc libc6-dev")
def test_the_wheel_of_the_uniter_has_a_client_for_its_platform(wheels: Path, tmp_path: Path) -> None:
    (wheel,) = wheels.glob("undercroft_uniter-[0-9]*.whl")
    venv = Venv(tmp_path / "venv")

    venv.install("undercroft-uniter", wheels=wheels)

    assert "-py3-none-linux_" in wheel.name
    program = (
        "import os; from undercroft_uniter.jujuc.toolfolder import compiled_client; "
        "os.execve(compiled_client(), ['relation-get'], {})"
    )
    done = venv.run("python", "-c", program, check=False)
    assert (done.returncode, done.stderr) == (1, "ERROR JUJU_CONTEXT_ID not set\n")


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_member_installs_alone(folder: str, wheels: Path, tmp_path: Path) -> None:
    project = _project(folder)
    name = str(project["name"])
    entry_points = project.get("entry-points", {})
    assert isinstance(entry_points, dict)
    venv = Venv(tmp_path / "venv")
    package = name.replace("-", "_")

    venv.install(f"{name}=={project['version']}", wheels=wheels)

    venv.run("python", "-W", "error", "-c", f"import {package}")
    if folder != "hookspecs":
        assert str(project["version"]).split(".")[0] in venv.run("undercroft", "version").stdout
        venv.run("undercroft", "plugins", "--strict")
    if folder.startswith("plugins/"):
        listed = venv.json("plugins", "--data", tmp_path / "data")
        assert isinstance(listed, list)
        # One that only has a store to offer adds nothing to the agent.
        offered = [Path(folder).name] if "undercroft.plugins" in entry_points else []
        assert [(plugin["name"], plugin["state"]) for plugin in listed] == [(name, "active") for name in offered]


def test_plain_pip_installs_from_the_folders(tmp_path: Path) -> None:
    import sys

    folder = tmp_path / "venv"
    fetching([sys.executable, "-m", "venv", folder], cwd=tmp_path)
    sources = [f"{ROOT}/{member}" for member in ("hookspecs", "core", "plugins/diskmanager")]

    fetching([folder / "bin" / "pip", "install", "-q", "-c", pins(tmp_path), *sources], cwd=tmp_path)

    shown = fetching([folder / "bin" / "undercroft", "plugins", "--data", tmp_path / "data"], cwd=tmp_path)
    assert "diskmanager" in shown
