"""Follow a unit's storage: write down which of it the charm has been told of, and say what is due."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from undercroft_hookspecs import NotFoundError, NotValidError, StorageId
from undercroft_hookspecs.records import Record
from undercroft_hookspecs.state import Life
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.statefile import read_state, write_state

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

    from undercroft_hookspecs.storage_facades import UnitStorage, UnitStorageFacade
    from undercroft_uniter.remotestate.snapshot import Snapshot

logger = logging.getLogger(__name__)


class Attached(Record, frozen=True, kw_only=True):
    """The ids of the storage for which storage-attached has been run, and storage-detaching has not."""

    attached: tuple[str, ...] = ()


class Attachments:
    """The seam `StorageTracker`, for one user at a time: no two of its methods may run at once."""

    def __init__(self, path: Path, attached: frozenset[str], *, facade: UnitStorageFacade) -> None:
        self._path, self._attached, self._facade = path, attached, facade
        self._present: Mapping[str, UnitStorage] = {}
        self._prepared: set[str] = set()
        self._released: set[str] = set()
        self._is_dying = False

    @classmethod
    async def open(cls, path: Path, *, facade: UnitStorageFacade) -> Self:
        """A tracker that agrees with the model: what is no longer attached is forgotten.

        Raises:
            NotValidError: the file is damaged.
        """
        found = await read_state(path, Attached) or Attached()
        try:
            attached = frozenset(StorageId.parse(storage).text for storage in found.attached)
        except NotValidError as error:
            raise NotValidError(f"{path} is damaged: {error}", field=path.name) from error
        tracker = cls(path, attached, facade=facade)
        tracker._present = {storage.id: storage for storage in await facade.attachments()}
        await tracker._forget_absent()
        return tracker

    async def synchronize(self, snapshot: Snapshot) -> None:
        """Let go of dying storage that the charm was never told of; let a dying unit's storage die."""
        self._present = snapshot.storage
        self._prepared &= snapshot.storage.keys()
        if snapshot.life is Life.DYING and not self._is_dying:
            await self._facade.destroy_attachments()
            self._is_dying = True
        await self._forget_absent()
        for storage in snapshot.storage.values():
            if _life(storage, snapshot) is Life.ALIVE:
                self._released.discard(storage.id)
            elif storage.id not in self._attached and storage.id not in self._released:
                await self._facade.remove_attachment(storage.id)
                self._prepared.discard(storage.id)
                self._released.add(storage.id)

    def next_hook(self, snapshot: Snapshot) -> HookInfo | None:
        """The next storage hook that is due."""
        for number, storage in sorted(snapshot.storage.items()):
            life, is_attached = _life(storage, snapshot), number in self._attached
            if life is Life.ALIVE and not is_attached and storage.location:
                return HookInfo(kind=HookKind.STORAGE_ATTACHED, storage=number)
            if life is Life.DYING and is_attached:
                return HookInfo(kind=HookKind.STORAGE_DETACHING, storage=number)
        return None

    def is_awaited(self, snapshot: Snapshot) -> bool:
        """There is storage yet to be provisioned, which install has to wait for."""
        return any(
            _life(storage, snapshot) is Life.ALIVE and number not in self._attached
            for number, storage in snapshot.storage.items()
        )

    def prepare(self, hook: HookInfo) -> str:
        """The name of the hook's script; from now on hooks see the storage.

        Raises:
            NotFoundError: it is not attached to the unit any more.
            NotValidError: the hook does not follow from what the charm has been told.
        """
        number = _storage_of(hook)
        if number not in self._present or number in self._released:
            message = f"{hook.kind} cannot be run: storage {number} is not attached to the unit any more"
            raise NotFoundError(number, message)
        is_attached = number in self._attached
        if is_attached != (hook.kind is HookKind.STORAGE_DETACHING):
            reason = "it is attached already" if is_attached else "the charm was never told of it"
            raise NotValidError(f"inappropriate {hook.kind} for storage {number}: {reason}", field="hook")
        self._prepared.add(number)
        return f"{number.partition('/')[0]}-{hook.kind}"

    async def commit(self, hook: HookInfo) -> None:
        """Write down that the hook was run (or skipped); again for the same hook changes nothing."""
        number = _storage_of(hook)
        if hook.kind is HookKind.STORAGE_ATTACHED:
            if number in self._present and number not in self._released:
                await self._write(self._attached | {number})
            return
        await self._facade.remove_attachment(number)
        self._released.add(number)
        self._prepared.discard(number)
        await self._write(self._attached - {number})

    def announced(self) -> frozenset[str]:
        """The ids of the storage that hooks see."""
        return self._attached | self._prepared

    async def _forget_absent(self) -> None:
        """What is gone without the charm's having let go of it was taken away by force."""
        gone = self._attached - self._present.keys()
        if gone:
            logger.warning("storage %s has been taken away", ", ".join(sorted(gone)))
            await self._write(self._attached - gone)
        self._released &= self._present.keys()

    async def _write(self, attached: frozenset[str]) -> None:
        if attached != self._attached:
            await write_state(self._path, Attached(attached=tuple(sorted(attached))))
            self._attached = attached


def _life(storage: UnitStorage, snapshot: Snapshot) -> Life:
    """A dying unit's storage dies with it."""
    return Life.DYING if storage.life is Life.ALIVE and snapshot.life is not Life.ALIVE else storage.life


def _storage_of(hook: HookInfo) -> str:
    if not hook.kind.is_storage:
        raise NotValidError(f"{hook.kind} is not run for storage", field="hook")
    return StorageId.parse(hook.storage).text
