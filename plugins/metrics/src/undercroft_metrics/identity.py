"""Ids of batches: UUIDs of the time-ordered layout (version 7), which stores can index well."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    import random
    from datetime import datetime


def new_id(now: datetime, rng: random.Random) -> str:
    """A new id, made at that time."""
    milliseconds = max(int(now.timestamp() * 1000), 0) & ((1 << 48) - 1)
    number = milliseconds << 80 | 0x7 << 76 | rng.getrandbits(12) << 64 | 0b10 << 62 | rng.getrandbits(62)
    return str(UUID(int=number))


def part_id(first: str, part: int) -> str:
    """The id of a later part of a collection, which follows from the first one's: publishing again gives the same."""
    number = UUID(first).int
    low = (number + part - 1) & ((1 << 62) - 1)
    return str(UUID(int=number >> 62 << 62 | low))
