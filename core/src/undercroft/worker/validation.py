"""What the library's constructors refuse, each with a NotValidError that names the argument."""

from __future__ import annotations

from typing import TypeGuard

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
    field: str, value: object, *, least: float = 0.0, below: float | None = None, optional: bool = False
) -> None:
    """Refuse what is not a number of at least `least` and less than `below`; None is fine if it is optional.

    NaN is always refused: it compares with nothing. Infinity is a number like any other: "never", where it is a time.
    """
    if optional and value is None:
        return
    if _is_number(value) and value >= least and (below is None or value < below):
        return
    limit = "" if below is None else f" and less than {below:g}"
    raise NotValidError(f"{field} must be a number of at least {least:g}{limit}, not {value!r}", field=field)


def require_positive(field: str, value: object) -> None:
    """Refuse what is not a number greater than zero."""
    if not (_is_number(value) and value > 0):
        raise NotValidError(f"{field} must be a number greater than 0, not {value!r}", field=field)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
