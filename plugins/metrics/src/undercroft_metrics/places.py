"""Where a unit's spool is: not in the unit's folder, for what is in it outlives the unit."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SPOOLS: Final = "spools"
"""In the plugin's own folder; a folder for each model in it, and in that one for each unit."""


def spool_of(unit_dir: Path) -> Path:
    """The spool of the unit whose folder that is (`<data>/models/<model>/agents/<unit>`), there or not."""
    return unit_dir.parents[3] / "plugins" / "metrics" / SPOOLS / unit_dir.parents[1].name / unit_dir.name


def unit_name(folder: str) -> str:
    """The unit's name, of the name that its folders have."""
    application, _, number = folder.removeprefix("unit-").rpartition("-")
    return f"{application}/{number}"
