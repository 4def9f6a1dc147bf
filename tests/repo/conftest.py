"""What the tests of the repository look at: the tracked files, and the workspace's members."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def tracked(root: Path) -> tuple[Path, ...]:
    """Every tracked file, relative to the root; new files that nobody ignores count as well."""
    if not (root / ".git").exists():
        pytest.skip("not a git clone: clone the repository to include the tests of its tracked files")
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
    )
    names = sorted(set(listing.stdout.decode().split("\0")) - {""})
    return tuple(Path(name) for name in names if (root / name).is_file())


@pytest.fixture(scope="session")
def workspace(root: Path) -> dict[str, Any]:  # Any: a TOML document is as deep as it likes.
    """The root's pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text())


@pytest.fixture(scope="session")
def members(root: Path) -> dict[Path, dict[str, Any]]:  # Any: as above.
    """The pyproject.toml of every member of the workspace, by the member's folder, relative to the root."""
    folders = [Path("core"), Path("hookspecs"), Path("tests/conformance")]
    folders += [folder.relative_to(root) for folder in sorted((root / "plugins").iterdir()) if folder.is_dir()]
    return {folder: tomllib.loads((root / folder / "pyproject.toml").read_text()) for folder in folders}
