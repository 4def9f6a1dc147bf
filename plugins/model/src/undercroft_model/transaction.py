"""Read, decide, write: one change of the model as one commit, or as none.

A transaction remembers the revision of every record that it has read, and checks them all when it commits: what it
decided on still holds then. Where something has changed meanwhile, `change` runs the whole decision again on what is
there now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from undercroft_hookspecs.errors import NotFoundError, UndercroftError
from undercroft_hookspecs.store import Check, Conflict, Delete, Put, Revision

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from undercroft_hookspecs.store import Entry, LeaseId, Store
    from undercroft_hookspecs.worker import Clock
    from undercroft_model.table import Table

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")

ATTEMPTS = 50
FIRST_PAUSE_SECONDS = 0.002
LONGEST_PAUSE_SECONDS = 0.2


class ContendedError(UndercroftError):
    """Others kept changing the same records; nothing was written."""


class Transaction:
    """What a change has read and wants to write."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, Entry | None] = {}
        self._writes: dict[str, Put | Delete] = {}

    @property
    def store(self) -> Store:
        """The store, to read what needs no check."""
        return self._store

    async def get(self, table: Table[R], *parts: str) -> R | None:
        """The record as this change would leave it, or None; checked at the commit."""
        key = table.key(*parts)
        if (write := self._writes.get(key)) is not None:
            return msgspec.json.decode(write.value, type=table.kind) if isinstance(write, Put) else None
        if key not in self._read:
            self._read[key] = await self._store.get(key)
        entry = self._read[key]
        return None if entry is None else table.decode(entry)

    async def need(self, table: Table[R], *parts: str, what: str) -> R:
        """The record; `what` it is says the error.

        Raises:
            NotFoundError: there is none.
        """
        record = await self.get(table, *parts)
        if record is None:
            name = "/".join(parts)
            raise NotFoundError(name, f'{what} "{name}" not found')
        return record

    async def list(self, table: Table[R], *parts: str) -> dict[tuple[str, ...], R]:
        """The records whose id begins with `parts`, by id, as this change would leave them.

        Each is checked at the commit, but not that no more have come: guard what must be complete with a record of its
        own.
        """
        snapshot = await self._store.list(table.under(*parts))
        for entry in snapshot.entries:
            self._read.setdefault(entry.key, entry)
        keys = {entry.key for entry in snapshot.entries}
        keys |= {key for key in self._writes if key.startswith(table.under(*parts))}
        found = {}
        for key in sorted(keys):
            record = await self.get(table, *table.parts(key))
            if record is not None:
                found[table.parts(key)] = record
        return found

    async def look(self, table: Table[R], *parts: str) -> dict[tuple[str, ...], R]:
        """As `list`, but nothing is checked at the commit: for what may be many, and is guarded by another record."""
        snapshot = await self._store.list(table.under(*parts))
        found = {table.parts(entry.key): table.decode(entry) for entry in snapshot.entries}
        for key, write in self._writes.items():
            if not key.startswith(table.under(*parts)):
                continue
            if isinstance(write, Put):
                found[table.parts(key)] = msgspec.json.decode(write.value, type=table.kind)
            else:
                found.pop(table.parts(key), None)
        return found

    def put(self, table: Table[R], *parts: str, record: R, lease: LeaseId | None = None) -> None:
        """Write the record; nothing is written if it is what was read."""
        key, value = table.key(*parts), msgspec.json.encode(record)
        entry = self._read.get(key)
        if entry is not None and entry.value == value and entry.lease == lease:
            self._writes.pop(key, None)
        else:
            self._writes[key] = Put(key, value, lease)

    def delete(self, table: Table[R], *parts: str) -> None:
        """Remove the record; nothing if it is absent."""
        key = table.key(*parts)
        self._writes[key] = Delete(key)

    def unwatched(self, table: Table[R], *parts: str) -> None:
        """Leave a record that was read out of the checks: it was of use, but nothing was decided on it."""
        self._read.pop(table.key(*parts), None)

    @property
    def size(self) -> int:
        """How many checks and writes it has."""
        return len(self._read) + len(self._writes)

    async def commit(self) -> Revision | None:
        """Write what is to be written; None if that is nothing.

        Raises:
            Conflict: something that was read has changed.
        """
        if not self._writes:
            return None
        checks = [Check(key, entry.revision if entry else Revision(0)) for key, entry in self._read.items()]
        return await self._store.transact(checks, list(self._writes.values()))


async def change(store: Store, decide: Callable[[Transaction], Awaitable[T]], *, clock: Clock, rng: random.Random) -> T:
    """Make one change of the model; gives what `decide` returned for the commit that went through.

    `decide` may be called several times, and has no effect but through its transaction.

    Raises:
        ContendedError: somebody else was faster every time.
    """
    pause = FIRST_PAUSE_SECONDS
    last: Conflict | None = None
    for _ in range(ATTEMPTS):
        transaction = Transaction(store)
        result = await decide(transaction)
        try:
            await transaction.commit()
        except Conflict as conflict:
            last = conflict
            await clock.sleep(pause * rng.uniform(0.5, 1.5))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        else:
            return result
    raise ContendedError(f"others kept changing the same records ({last}); try again") from last
