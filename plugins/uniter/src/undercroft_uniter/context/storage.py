"""Storage as a hook sees it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from undercroft_hookspecs import NotFoundError
from undercroft_hookspecs.hook_tools import HookStorage
from undercroft_uniter.context.firstread import FirstRead

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from undercroft_hookspecs.storage_facades import UnitStorageFacade
    from undercroft_uniter.context.changes import PendingChanges


class HookStores:
    """The part `StorageContext`."""

    def __init__(
        self,
        facade: UnitStorageFacade,
        changes: PendingChanges,
        *,
        current: str,
        announced: Collection[str],
        stores: Callable[[], Awaitable[Collection[str]]],
    ) -> None:
        """`announced` is what the charm knows of; `stores` gives the names of the charm's own."""
        self._facade, self._changes, self._stores = facade, changes, stores
        self._current, self._announced = current, frozenset(announced)
        self._attached = FirstRead(self._read)

    @property
    def current(self) -> str:
        """The id of the storage that the hook is run for; empty if for none."""
        return self._current

    async def attached(self) -> Mapping[str, HookStorage]:
        """What is attached, and has been announced to the charm, by id."""
        return await self._attached.get()

    async def add(self, counts: Mapping[str, int]) -> None:
        """Ask for more pieces of a store, on top of what this hook has asked for. Raises NotFoundError."""
        known = await self._stores()
        for name in counts:
            if name not in known:
                raise NotFoundError(name, f'charm storage "{name}" not found')
        before = self._changes.current.add_storage
        after = {**before, **{name: before.get(name, 0) + count for name, count in counts.items()}}
        self._changes.propose(dataclasses.replace(self._changes.current, add_storage=after))

    async def _read(self) -> Mapping[str, HookStorage]:
        if not self._announced:
            return {}
        attachments = await self._facade.attachments()
        return {
            each.id: HookStorage(id=each.id, kind=each.kind, location=each.location)
            for each in attachments
            if each.id in self._announced
        }
