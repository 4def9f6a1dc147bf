"""A unit's view of its storage; what it lacks is made when its agent looks."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from undercroft_hookspecs.state import Life
from undercroft_hookspecs.storage_facades import UnitStorage
from undercroft_model.storage.adding import make_next
from undercroft_model.storage.ending import let_go, let_unit_go, storage_of
from undercroft_model.tables import (
    APPLICATIONS,
    FILESYSTEM_ATTACHMENTS,
    STORAGE,
    STORAGE_REQUESTS,
    VOLUME_ATTACHMENTS,
    parts_of,
)
from undercroft_model.watching import folder, record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from undercroft_hookspecs.storage import AttachInfo
    from undercroft_hookspecs.storage_state import StorageInstance
    from undercroft_model.storage.pools import Providers
    from undercroft_model.unitside.standpoint import Standpoint


class OwnStorage:
    """The facade `UnitStorageFacade`."""

    def __init__(self, here: Standpoint, providers: Callable[[], Providers]) -> None:
        self._here, self._providers = here, providers

    async def attachments(self) -> Sequence[UnitStorage]:
        """What is, or is to be, attached to the unit, by id."""
        await self._make_what_lacks()
        tx, model = self._here.look(), self._here.model
        found = []
        for instance in await storage_of(tx, model, self._here.unit):
            if instance.filesystem:
                held = await tx.get(FILESYSTEM_ATTACHMENTS.of(model), *parts_of(instance.filesystem))
                found.append(_seen(instance, held.info if held is not None else None))
            else:
                kept = await tx.get(VOLUME_ATTACHMENTS.of(model), *parts_of(instance.volume))
                found.append(_seen(instance, kept.info if kept is not None else None))
        return sorted(found, key=lambda storage: storage.id)

    def watch_attachments(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[UnitStorage]]]:
        """The attachments, and again whenever there are others or one has changed."""
        return self._watch()

    @asynccontextmanager
    async def _watch(self) -> AsyncIterator[AsyncIterator[Sequence[UnitStorage]]]:
        here = self._here
        instances = folder(STORAGE.of(here.model))
        mounted, held = folder(FILESYSTEM_ATTACHMENTS.of(here.model)), folder(VOLUME_ATTACHMENTS.of(here.model))
        requests = record(STORAGE_REQUESTS.of(here.model), *here.parts)
        application = record(APPLICATIONS.of(here.model), here.application)

        def build() -> tuple[tuple[int, int], Sequence[UnitStorage]]:
            paths = {each.filesystem: each.info for each in mounted.records()}
            devices = {each.volume: each.info for each in held.records()}
            mine = [instance for instance in instances.records() if instance.unit == here.unit]
            seen = [
                _seen(each, paths.get(each.filesystem) if each.filesystem else devices.get(each.volume))
                for each in mine
            ]
            # What a unit is to have hangs on these two: a change of either is looked into.
            return (requests.version(), application.version()), sorted(seen, key=lambda storage: storage.id)

        async def states(
            found: AsyncIterator[tuple[object, Sequence[UnitStorage]]],
        ) -> AsyncIterator[Sequence[UnitStorage]]:
            shown: Sequence[UnitStorage] | None = None
            looked_into: object = None
            async for versions, seen in found:
                if versions != looked_into:
                    looked_into = versions
                    if await self._make_what_lacks():
                        continue
                if seen != shown:
                    shown = seen
                    yield seen

        async with here.watch([instances, mounted, held, requests, application], build) as found:
            yield states(found)

    async def destroy_attachments(self) -> None:
        """Let all of the unit's attachments die."""
        await self._here.run(let_unit_go, self._here.unit)

    async def remove_attachment(self, storage: str) -> None:
        """The charm has let go of a dying attachment, or never had it; nothing if it is gone."""
        await self._here.run(let_go, storage, self._here.unit)

    async def _make_what_lacks(self) -> bool:
        """Make what the unit lacks, piece by piece; says whether that was anything."""
        is_made = False
        while await self._here.run(make_next, self._here.unit, providers=self._providers(), now=self._here.clock.now()):
            is_made = True
        return is_made


def _seen(instance: StorageInstance, info: AttachInfo | None) -> UnitStorage:
    location = "" if info is None else info.path or info.device_link or _device(info.device_name)
    return UnitStorage(id=instance.id, kind=instance.kind, life=_life(instance), location=location)


def _life(instance: StorageInstance) -> Life:
    return Life.DYING if instance.life is not Life.ALIVE else instance.attachment


def _device(name: str) -> str:
    return f"/dev/{name}" if name else ""
