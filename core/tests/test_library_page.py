"""docs/reference/library.md names what there is, and nothing else."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import undercroft

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "library.md"
SUBMODULES = ("catacomb", "dependency", "fortress", "gate", "housing", "testing")


def named() -> set[str]:
    """What the first columns of the page's tables name."""
    rows = re.findall(r"^\| (.+?) \|", PAGE.read_text(), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([\w.]+)`", row)} - {"undercroft", "undercroft_hookspecs"}


def test_every_name_can_be_imported() -> None:
    for name in sorted(named()):
        path = name if name.startswith("undercroft.") else f"undercroft.{name}"
        module, _, attribute = path.rpartition(".")
        if attribute in SUBMODULES:
            importlib.import_module(path)
        else:
            assert hasattr(importlib.import_module(module), attribute), name


def test_every_name_of_the_common_part_is_there() -> None:
    assert set(undercroft.__all__) - named() == {"UndercroftError", "caused_by"}
    assert {"`UndercroftError`", "`caused_by(error, kind)`"} <= set(re.findall(r"`[^`\n]+`", PAGE.read_text()))
