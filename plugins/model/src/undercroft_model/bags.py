"""Bags of settings: how changes are merged into one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.state import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping


def merged(before: Settings | None, changes: Mapping[str, str]) -> Settings:
    """A bag with changes made to it; an empty value deletes. What changes nothing gives the very bag."""
    values = {**(before.values if before is not None else {}), **changes}
    left = {key: value for key, value in values.items() if value}
    return before if before is not None and left == before.values else Settings(values=left)


def check_keys(bag: Mapping[str, str]) -> None:
    """Refuse keys that no charm could read back.

    Raises:
        NotValidError: an empty one, or one with `=` in it.
    """
    for key in bag:
        if not key or "=" in key:
            raise NotValidError(f'"{key}" cannot be the key of a setting', field="key")
