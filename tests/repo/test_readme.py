"""What the README tells a newcomer to type exists, and CI runs the very same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = "pip install uv && uv run pytest"


@pytest.fixture(scope="module")
def blocks(root: Path) -> list[str]:
    """The commands that the README shows in blocks of their own."""
    return [block.strip() for block in re.findall(r"```bash\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)]


def test_two_commands_do_all_the_set_up(blocks: list[str]) -> None:
    assert blocks == ["pip install uv && uv run undercroft demo", SUITE]


def test_ci_runs_the_tests_as_the_readme_does(root: Path) -> None:
    script = (root / ".ci" / "run").read_text()

    assert f"README_TESTS='{SUITE}'" in script
    assert 'bash -c "$README_TESTS"' in script


def test_ci_is_executable_and_is_valid_bash(root: Path) -> None:
    script = root / ".ci" / "run"

    assert script.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", script], check=True)


def test_every_undercroft_command_in_the_readme_exists(root: Path) -> None:
    text = (root / "README.md").read_text()
    named = set(re.findall(r"`(?:uv run )?undercroft ([a-z]+)", text)) | set(
        re.findall(r"uv run undercroft ([a-z]+)", text)
    )

    shown = subprocess.run(
        [sys.executable, "-m", "undercroft", "--help"], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    existing = set(re.findall(r"^  ([a-z][a-z-]*)", shown, re.MULTILINE))

    assert named
    assert named <= existing


def test_every_member_is_in_the_readme(root: Path, tracked: tuple[Path, ...]) -> None:
    text = (root / "README.md").read_text()
    members = {path.parent for path in tracked if path.name == "pyproject.toml" and "thirdparty" not in path.parts}

    assert sorted(str(folder) for folder in members - {Path()} if f"({folder}/README.md)" not in text) == []
