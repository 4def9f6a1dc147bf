"""No plugin of this repository goes without the conformance kit."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

CLASS = "WorkerConformance"
STORES = "StoreConformance"


def _bases(tree: ast.Module) -> set[str]:
    """The names of all bases of the test classes in a module."""
    bases = (base for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases)
    return {ast.unparse(base).rpartition(".")[2] for base in bases}


def _judged(folder: Path) -> set[str]:
    tests = sorted((folder / "tests").rglob("test_*.py"))
    return set().union(*(_bases(ast.parse(path.read_text(), str(path))) for path in tests))


def _entry_points(folder: Path) -> set[str]:
    document = tomllib.loads((folder / "pyproject.toml").read_text())
    return set(document["project"].get("entry-points", {}))


def _plugins(root: Path) -> list[Path]:
    return sorted(path.parent for path in (root / "plugins").glob("*/pyproject.toml"))


def test_every_plugin_has_a_class_that_judges_its_workers(root: Path) -> None:
    plugins = [folder for folder in _plugins(root) if "undercroft.plugins" in _entry_points(folder)]
    unjudged = [folder.name for folder in plugins if CLASS not in _judged(folder)]

    assert plugins
    assert unjudged == [], f"each has a tests/test_conformance.py with a subclass of {CLASS}"


def test_every_store_has_a_class_that_judges_it(root: Path) -> None:
    stores = [folder for folder in _plugins(root) if "undercroft.stores" in _entry_points(folder)]
    unjudged = [folder.name for folder in stores if STORES not in _judged(folder)]

    assert unjudged == [], f"each has a tests/test_conformance.py with a subclass of {STORES}"


def test_every_folder_of_plugins_is_one(root: Path) -> None:
    folders = [path for path in (root / "plugins").iterdir() if path.is_dir() and not path.name.startswith((".", "_"))]

    assert {path.name for path in folders} == {path.name for path in _plugins(root)}
