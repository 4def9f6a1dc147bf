"""When a secret expires, as charms say it: a time, or how long from now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from undercroft_hookspecs.hook_tools import ToolUsageError
from undercroft_uniter.jujuc.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.worker import Clock

_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ns|us|µs|ms|s|m|h)", re.ASCII)
_SECONDS: Mapping[str, float] = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}


def expires_at(text: str, *, clock: Clock) -> datetime:
    """The time that is meant by `2030-01-01T06:06:06Z`, the same without a zone (that is in UTC), or `24h` or `1h30m`.

    Raises:
        ToolUsageError: it is neither, or not from now on.
    """
    if text[:1].isdigit() and "-" in text:
        try:
            # Nanoseconds, which Go writes, are more than Python can read.
            moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
        except ValueError:
            raise _invalid(text) from None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.removeprefix("+"):
        raise _invalid(text)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if seconds <= 0:
        raise _invalid(text)
    try:
        return clock.now() + timedelta(seconds=seconds)
    except OverflowError:
        raise _invalid(text) from None


def _invalid(text: str) -> ToolUsageError:
    return ToolUsageError(f"expire time or duration {quoted(text)} not valid")
