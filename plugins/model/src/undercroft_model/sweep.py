"""Removal of many keys: in batches, unconditionally, and as often as one likes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from undercroft_hookspecs.store import MAX_BYTES, MAX_KEY_BYTES, MAX_OPERATIONS, Delete

if TYPE_CHECKING:
    from undercroft_hookspecs.store import Store

T = TypeVar("T")

BATCH = min(MAX_OPERATIONS, MAX_BYTES // MAX_KEY_BYTES)


async def delete_all(store: Store, keys: Iterable[str]) -> None:
    """Delete keys, whatever they hold; those that are absent are let be."""
    for batch in batches(sorted(set(keys)), BATCH):
        await store.transact([], [Delete(key) for key in batch])


async def keys_under(store: Store, prefix: str) -> list[str]:
    """The keys that there are under a prefix."""
    return [entry.key for entry in (await store.list(prefix)).entries]


def batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in order, so many at once."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
