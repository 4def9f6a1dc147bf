"""What a unit's workers see of the storage that is attached to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol, runtime_checkable

from undercroft_hookspecs.records import Record
from undercroft_hookspecs.state import Life


class UnitStorage(Record, frozen=True, kw_only=True):
    """A piece of storage of a unit. `location` (a mount point, or a device) is empty until it is there."""

    id: str
    kind: Literal["block", "filesystem"]
    life: Life = Life.ALIVE
    location: str = ""


@runtime_checkable
class UnitStorageFacade(Protocol):
    """The storage attachments of one unit."""

    async def attachments(self) -> Sequence[UnitStorage]:
        """What is, or is to be, attached to the unit, by id."""
        ...

    def watch_attachments(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[UnitStorage]]]:
        """The attachments, and again whenever there are others or one has changed."""
        ...

    async def destroy_attachments(self) -> None:
        """Let all of the unit's attachments die, because the unit does; nothing for those that do already."""

    async def remove_attachment(self, storage: str) -> None:
        """The charm has let go of a dying attachment, or never had it; nothing if it is gone."""
