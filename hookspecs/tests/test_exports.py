"""What the package re-exports, and what that costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import undercroft_hookspecs


@pytest.mark.parametrize("name", undercroft_hookspecs.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(undercroft_hookspecs, name) is not None
    assert name in dir(undercroft_hookspecs)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Wroker'"):
        undercroft_hookspecs.Wroker  # type: ignore[attr-defined]  # noqa: B018


def test_what_is_exported_is_the_same_object() -> None:
    from undercroft_hookspecs.worker import Worker

    assert undercroft_hookspecs.Worker is Worker


@pytest.mark.parametrize("module", ["worker", "manifold", "errors"])
def test_the_library_s_part_needs_the_standard_library_alone(module: str) -> None:
    check = f"import sys, undercroft_hookspecs.{module}; sys.exit(bool({{'msgspec', 'pluggy'}} & set(sys.modules)))"

    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
