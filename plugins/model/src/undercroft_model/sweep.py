"""Removal of many keys: in batches, and as often as one likes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from undercroft_hookspecs.store import MAX_BYTES, MAX_KEY_BYTES, MAX_OPERATIONS, Delete

if TYPE_CHECKING:
    from undercroft_hookspecs.store import Check, Store

T = TypeVar("T")

BATCH = min(MAX_OPERATIONS, MAX_BYTES // MAX_KEY_BYTES) - 1


async def delete_all(store: Store, keys: Iterable[str], *, guard: Check | None = None) -> None:
    """Delete keys, whatever they hold, as long as `guard` holds; those that are absent are let be.

    Raises:
        Conflict: the guard no longer holds.
    """
    checks = [] if guard is None else [guard]
    for batch in batches(sorted(set(keys)), BATCH):
        await store.transact(checks, [Delete(key) for key in batch])


async def keys_under(store: Store, prefix: str) -> list[str]:
    """The keys that there are under a prefix."""
    return [entry.key for entry in (await store.list(prefix)).entries]


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in order, so many at once."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
