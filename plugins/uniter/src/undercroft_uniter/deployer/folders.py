"""The folders of units, and their removal: each blocks, and is to be called in a thread."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_hookspecs import UnitName

DOOMED = ".removed-"
"""Begins the name of a unit's folder that is being removed."""
LOGS = ("debug.log", "debug.log.1")


def remove_unit(agents: Path, unit: UnitName) -> None:
    """Remove a unit's folder, in two steps: one that is half removed is not taken for a unit's any more."""
    own = agents / f"unit-{unit.application}-{unit.number}"
    doomed = agents / f"{DOOMED}{own.name}"
    shutil.rmtree(doomed, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        own.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def remove_model(folder: Path) -> None:
    """Remove the folder of a model that is no more, with its log, unless there is something left in it of a unit."""
    with contextlib.suppress(OSError):
        (folder / "agents").rmdir()
    if not (folder / "agents").exists():
        for name in LOGS:
            (folder / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()


def sweep(models: Path) -> None:
    """Finish the removals that were cut off."""
    for doomed in models.glob(f"*/agents/{DOOMED}*"):
        shutil.rmtree(doomed, ignore_errors=True)
