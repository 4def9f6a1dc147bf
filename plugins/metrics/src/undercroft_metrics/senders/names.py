"""The names of the files that senders write, one for each unit."""

from __future__ import annotations

import re

_UNSAFE = re.compile(r"[^a-zA-Z0-9-]")


def file_name(model: str, unit: str, suffix: str) -> str:
    """The file of a unit: no two units have the same, and nothing in it leads elsewhere."""
    return f"undercroft-{_UNSAFE.sub('-', unit)}-{_UNSAFE.sub('-', model)}{suffix}"
