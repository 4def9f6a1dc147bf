"""Every hook is described, tested, and stays what it was promised to be."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

import pytest

from undercroft_hookspecs import Hooks

STALE = "is stale: run `uv run python tests/repo/render_hooks.py` and look at what it changes"


@pytest.fixture(scope="module")
def render(root: Path) -> ModuleType:
    """The script that writes the page and the snapshot."""
    spec = importlib.util.spec_from_file_location("render_hooks", root / "tests" / "repo" / "render_hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _hooks() -> list[str]:
    return [name for name in vars(Hooks) if name.startswith("undercroft_")]


def test_there_are_hooks() -> None:
    assert "undercroft_manifolds" in _hooks()


def test_the_page_of_the_hooks_is_made_from_their_docstrings(render: ModuleType) -> None:
    assert render.PAGE.read_text() == render.render_page(), f"docs/reference/hooks.md {STALE}"


def test_the_contracts_are_as_promised(render: ModuleType) -> None:
    """A changed signature is a new version of hookspecs: a new optional field is a minor one, all else a major one."""
    assert render.SNAPSHOT.read_text() == render.render_snapshot(), f"the snapshot of the contracts {STALE}"


@pytest.mark.parametrize("name", _hooks())
def test_a_hook_says_who_calls_it_and_what_an_error_does(name: str) -> None:
    text = inspect.getdoc(getattr(Hooks, name)) or ""

    assert "Called by" in text
    assert "error" in text.lower()


@pytest.mark.parametrize("name", _hooks())
def test_a_hook_is_tested(name: str, root: Path, tracked: tuple[Path, ...]) -> None:
    tests = [path for path in tracked if "tests" in path.parts and path.parts[:2] != ("tests", "repo")]

    assert [str(path) for path in tests if path.suffix == ".py" and name in (root / path).read_text()], (
        f"no test names the hook {name}"
    )
