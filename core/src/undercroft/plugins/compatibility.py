"""Decide from a distribution's metadata whether it fits the hookspecs that run, before any of its code is imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Sequence

HOOKSPECS = "undercroft-hookspecs"


def hookspecs_requirement(requires: Sequence[str]) -> str:
    """The line that requires hookspecs in this environment, or "" if there is none."""
    for line in requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and canonicalize_name(requirement.name) == HOOKSPECS:
            return line
    return ""


def incompatibility(distribution: str, requirement: str, running: str | None) -> str:
    """Why a plugin with this requirement does not fit, or "" if it does."""
    if running is None:
        return f"{HOOKSPECS} has no metadata in this environment; install it with pip"
    if not requirement:
        return (
            f"{distribution} does not require {HOOKSPECS}, so nothing says which hooks it was written for; "
            f"its author adds '{HOOKSPECS}>=X.Y,<X+1' to its dependencies"
        )
    if Requirement(requirement).specifier.contains(running, prereleases=True):
        return ""
    return f"{distribution} requires {requirement}, and {running} is installed; upgrade one of them with pip"
