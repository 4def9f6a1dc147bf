"""What the library's constructors refuse, each with a NotValidError that names the argument."""

from __future__ import annotations

import math

from undercroft_hookspecs.errors import NotValidError


def require_callable(field: str, value: object, *, optional: bool = False) -> None:
    """Refuse what cannot be called; None is fine if it is optional."""
    if not callable(value) and not (optional and value is None):
        raise NotValidError(f"{field} must be callable, not {value!r}", field=field)


def require_name(field: str, value: object) -> None:
    """Refuse what is not a non-empty string."""
    if not isinstance(value, str) or not value:
        raise NotValidError(f"{field} must be a non-empty string, not {value!r}", field=field)


def require_number(
    field: str, value: object, *, least: float = 0.0, below: float = math.inf, optional: bool = False
) -> None:
    """Refuse what is not a number in [least, below), NaN included; None is fine if it is optional."""
    if optional and value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < below:
        limit = "" if below == math.inf else f" and less than {below:g}"
        raise NotValidError(f"{field} must be a number of at least {least:g}{limit}, not {value!r}", field=field)
