"""Fresh virtual environments, built and filled as somebody outside this repository would."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 300.0

_OFFLINE = re.compile(
    r"dns error|failed to lookup|name resolution|error sending request|connection refused|failed to fetch|"
    r"network is unreachable|timed out|could not connect|NewConnectionError|no route to host",
    re.IGNORECASE,
)
_OURS = ("UNDERCROFT_", "COVERAGE_", "COV_CORE_", "PYTEST_", "VIRTUAL_ENV", "PYTHON", "UV_PROJECT", "UV_RUN")


def environment() -> dict[str, str]:
    """The environment without what belongs to this run of the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


def uv() -> str:
    """The program uv."""
    found = os.environ.get("UV") or shutil.which("uv")
    if found is None:
        pytest.skip("needs uv: pip install uv")
    return found


def fetching(argv: Sequence[str | Path], *, cwd: Path) -> str:
    """Run what may fetch packages; skip the test, with the reason, where no index can be reached."""
    done = subprocess.run(
        argv, cwd=cwd, env=environment(), check=False, capture_output=True, text=True, timeout=PATIENCE
    )
    if done.returncode == 0:
        return done.stdout
    if _OFFLINE.search(done.stderr):
        pytest.skip(f"no package index can be reached: {done.stderr.strip().splitlines()[-1]}")
    pytest.fail(f"{' '.join(map(str, argv))} exited with {done.returncode}:\n{done.stdout}{done.stderr}")


def pins(folder: Path) -> Path:
    """The workspace's pins as a file that uv and pip take; ours are left out, as they come from folders and wheels."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text())
    file = folder / "pins.txt"
    file.write_text("\n".join(document["tool"]["uv"]["constraint-dependencies"]) + "\n")
    return file


def build(source: Path, wheels: Path) -> None:
    """Build a wheel of a copy of the source, so that nothing around the source can help."""
    copy = wheels / "sources" / source.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "dist", ".*"))
    fetching([uv(), "build", "--wheel", "-q", "--out-dir", wheels, copy], cwd=wheels)


class Venv:
    """A virtual environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        fetching([uv(), "venv", "-q", "--python", _interpreter(), folder], cwd=folder.parent)

    def install(self, *what: str | Path, wheels: Path) -> None:
        """Install from our wheels and the index, newer wheels over older ones; a folder is installed in place."""
        words = (("-e", one) if isinstance(one, Path) else (one,) for one in what)
        flat = [word for one in words for word in one]
        self._pip("install", "--upgrade", "--find-links", wheels, "-c", pins(self.folder), *flat)

    def uninstall(self, name: str) -> None:
        """Uninstall one distribution."""
        self._pip("uninstall", name)

    def run(
        self, *argv: str | Path, check: bool = True, timeout: float = 60.0, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment, outside this repository."""
        program = self.folder / "bin" / str(argv[0])
        done = subprocess.run(
            [program, *argv[1:]],
            check=False,
            cwd=cwd or self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode != 0:
            pytest.fail(f"{' '.join(map(str, argv))} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def json(self, *argv: str | Path) -> object:
        """What `undercroft ... --format json` answers."""
        answer: object = json.loads(self.run("undercroft", *argv, "--format", "json").stdout)
        return answer

    def _pip(self, verb: str, *rest: str | Path) -> None:
        fetching([uv(), "pip", verb, "-q", "--python", self.python, *rest], cwd=self.folder)


def _interpreter() -> Path:
    """The interpreter that this run's own environment was made from."""
    return Path(os.path.realpath(sys.executable))
