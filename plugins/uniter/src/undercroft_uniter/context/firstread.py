"""What a hook reads once: it sees the same to its end, whatever happens meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class FirstRead(Generic[T]):
    """A value that is read when it is first asked for; a read that fails is tried again the next time."""

    __slots__ = ("_found", "_read")

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._found: list[T] = []

    async def get(self) -> T:
        """The value."""
        if not self._found:
            self._found = [await self._read()]
        return self._found[0]

    def forget(self) -> None:
        """Read it again the next time."""
        self._found = []
