"""Code stays small enough to be read: files, functions, classes, and how deep blocks lie in one another."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

FILE_LINES = 400
FUNCTION_LINES = 60
PUBLIC_METHODS = 10
NESTING = 3

EXEMPT: dict[str, str] = {
    "core/src/undercroft/worker/ticker.py:on_due": "all of a tick, ten thousand times a second",
    "plugins/uniter/tests/fakes.py:FakeRemote": "the seam RemoteWatch, and how a test steers it",
}
"""What may be larger, as `path` or `path:name`, and why: the shape of a contract, or a price that was measured."""

HASTY = {
    "plugins/uniter/src/undercroft_uniter/hostsetup/jujuexec.py",
    "plugins/uniter/src/undercroft_uniter/jujuc/client.py",
}
"""Programs that a charm starts over and over: each import that they do without is time that it does not wait."""

_BLOCKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@pytest.fixture(scope="module")
def modules(root: Path, tracked: tuple[Path, ...]) -> dict[Path, ast.Module]:
    """The syntax tree of every Python file."""
    return {path: ast.parse((root / path).read_text(), str(path)) for path in tracked if path.suffix == ".py"}


def _is_test(path: Path) -> bool:
    return path.name.startswith("test_") or path.name == "conftest.py"


def _lines(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS))


def _depth(node: ast.AST) -> int:
    """How many blocks lie in one another below node; an `elif` lies beside its `if`, a nested function counts anew."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (*_FUNCTIONS, ast.ClassDef, ast.Lambda)):
            continue
        beside = isinstance(node, ast.If) and isinstance(child, ast.If) and node.orelse == [child]
        deepest = max(deepest, _depth(child) + (isinstance(child, _BLOCKS) and not beside))
    return deepest


def _is_public_method(node: ast.stmt) -> bool:
    """Properties are read like fields, and not counted."""
    return (
        isinstance(node, _FUNCTIONS)
        and not node.name.startswith("_")
        and not any(ast.unparse(decorator) in {"property", "cached_property"} for decorator in node.decorator_list)
    )


def _offenders(found: dict[str, int], limit: int) -> list[str]:
    return [f"{what}: {size}" for what, size in found.items() if size > limit and what not in EXEMPT]


def test_no_file_is_longer_than_a_sitting(root: Path, modules: dict[Path, ast.Module]) -> None:
    found = {str(path): len((root / path).read_text().splitlines()) for path in modules if not _is_test(path)}

    assert _offenders(found, FILE_LINES) == []


def test_no_function_is_longer_than_a_screen(modules: dict[Path, ast.Module]) -> None:
    found = {f"{path}:{node.name}": _lines(node) for path, tree in modules.items() for node in _functions(tree)}

    assert _offenders(found, FUNCTION_LINES) == []


def test_no_class_has_more_public_methods_than_fit_a_head(modules: dict[Path, ast.Module]) -> None:
    found = {
        f"{path}:{node.name}": sum(map(_is_public_method, node.body))
        for path, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("Test") and not _is_test(path)
    }

    assert _offenders(found, PUBLIC_METHODS) == []


def test_no_block_lies_too_deep(modules: dict[Path, ast.Module]) -> None:
    found = {f"{path}:{node.name}": _depth(node) for path, tree in modules.items() for node in _functions(tree)}

    assert _offenders(found, NESTING) == []


def test_every_module_says_what_it_is_for(modules: dict[Path, ast.Module]) -> None:
    silent = [
        str(path)
        for path, tree in modules.items()
        if tree.body and ast.get_docstring(tree) is None and not _is_test(path)
    ]

    assert silent == []


def test_every_module_has_lazy_annotations(modules: dict[Path, ast.Module]) -> None:
    eager = [
        str(path)
        for path, tree in modules.items()
        if len(tree.body) > 1
        and str(path) not in HASTY
        and not any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    ]

    assert eager == []


def test_every_exemption_names_something(modules: dict[Path, ast.Module]) -> None:
    names = {str(path) for path in modules}
    named = (*_FUNCTIONS, ast.ClassDef)
    names |= {
        f"{path}:{node.name}" for path, tree in modules.items() for node in ast.walk(tree) if isinstance(node, named)
    }

    assert sorted(EXEMPT.keys() - names) == []
