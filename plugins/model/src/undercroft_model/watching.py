"""Follow records: the state of some of them now, and the newest one whenever they have changed.

What is followed is kept in memory, as each commit leaves it; so whoever looks late finds the newest state and no
backlog. An outage of the store is waited for. What was compacted away meanwhile, or happened during an outage, is read
anew; nobody learns of it but by the change of the state.

A state may show what one commit did to one folder a moment before what it did to another.

    unit = record(UNITS.of(model), "mysql", "0")
    async with newest([unit], unit.need, store=store, clock=clock, rng=rng) as states:
        async for state in states: ...
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from undercroft_hookspecs.errors import NotFoundError
from undercroft_hookspecs.store import Compacted, Entry, Put, StoreUnavailable
from undercroft_model.patience import Patience

if TYPE_CHECKING:
    import random

    from undercroft_hookspecs.store import Commit, Snapshot, Store
    from undercroft_hookspecs.worker import Clock
    from undercroft_model.table import Table

R = TypeVar("R", bound=msgspec.Struct)
T = TypeVar("T")

logger = logging.getLogger(__name__)


class Sight(Generic[R]):
    """Records that are followed; `folder` and `record` make one. It is filled while `newest` runs."""

    def __init__(self, table: Table[R], prefix: str, *, is_one: bool) -> None:
        self._table, self._is_one = table, is_one
        self.prefix = prefix
        """Where they are; for one record, its key."""
        self._entries: dict[str, tuple[R, int]] = {}

    def items(self) -> Iterator[tuple[tuple[str, ...], R]]:
        """The records by id, in the order of their keys."""
        for key in sorted(self._entries):
            yield self._table.parts(key), self._entries[key][0]

    def records(self) -> Iterator[R]:
        """The records, in no order: for what may be very many."""
        return (record for record, _ in self._entries.values())

    def versions(self) -> dict[tuple[str, ...], int]:
        """By id, a number that is another one after each change of the record; never 0."""
        return {self._table.parts(key): version for key, (_, version) in self._entries.items()}

    def one(self) -> R | None:
        """The record that is followed, or None if it is absent."""
        found = self._entries.get(self.prefix)
        return found[0] if found is not None else None

    def version(self) -> int:
        """The version of the record that is followed; 0 if it is absent."""
        found = self._entries.get(self.prefix)
        return found[1] if found is not None else 0

    def need(self) -> R:
        """The record that is followed.

        Raises:
            NotFoundError: it is absent.
        """
        record = self.one()
        if record is None:
            name = "/".join(self._table.parts(self.prefix))
            raise NotFoundError(name, f'"{name}" is gone')
        return record

    def load(self, snapshot: Snapshot) -> None:
        """Take what there is now."""
        self._entries = {entry.key: self._read(entry) for entry in snapshot.entries if self._is_meant(entry.key)}

    def apply(self, commit: Commit) -> bool:
        """Take what a commit has changed; says whether it changed anything here."""
        is_changed = False
        for change in commit.changes:
            if not self._is_meant(change.key):
                continue
            is_changed = True
            if isinstance(change, Put):
                self._entries[change.key] = self._read(Entry(change.key, change.value, commit.revision))
            else:
                self._entries.pop(change.key, None)
        return is_changed

    def _read(self, entry: Entry) -> tuple[R, int]:
        return self._table.decode(entry), entry.revision

    def _is_meant(self, key: str) -> bool:
        return key == self.prefix if self._is_one else key.startswith(self.prefix)


def folder(table: Table[R], *parts: str) -> Sight[R]:
    """The records whose id begins with these parts."""
    return Sight(table, table.under(*parts), is_one=False)


def record(table: Table[R], *parts: str) -> Sight[R]:
    """The one record of this id."""
    return Sight(table, table.key(*parts), is_one=True)


# Any: sights of all kinds are followed together.
@asynccontextmanager
async def newest(
    sights: Sequence[Sight[Any]], build: Callable[[], T], *, store: Store, clock: Clock, rng: random.Random
) -> AsyncIterator[AsyncIterator[T]]:
    """What `build` makes of the records now, and again whenever that is something else.

    An error of `build`, and any of the store but an outage, ends the iteration.
    """
    following = _Following(sights, store=store, clock=clock, rng=rng)
    try:
        async with aclosing(following.states(build)) as states:
            yield states
    finally:
        await following.close()


class _Following:
    """A task for each sight, which keeps it as the store is."""

    def __init__(self, sights: Sequence[Sight[Any]], *, store: Store, clock: Clock, rng: random.Random) -> None:
        self._store, self._clock, self._rng = store, clock, rng
        self._changed = asyncio.Event()
        self._unread = set(sights)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._follow(sight), name=f"follow {sight.prefix}") for sight in sights]
        for task in self._tasks:
            task.add_done_callback(self._on_done)

    async def states(self, build: Callable[[], T]) -> AsyncGenerator[T, None]:
        is_first = True
        shown: T | None = None
        while True:
            await self._changed.wait()
            self._changed.clear()
            self._raise_failure()
            if self._unread:
                continue
            state = build()
            if is_first or state != shown:
                is_first, shown = False, state
                yield state

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _on_done(self, _: asyncio.Task[None]) -> None:
        self._changed.set()

    def _raise_failure(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def _follow(self, sight: Sight[Any]) -> None:
        patience = Patience(clock=self._clock, rng=self._rng)
        while True:
            try:
                await self._keep(sight, patience)
            except Compacted:
                logger.debug("%s was compacted: it is read anew", sight.prefix)
            except StoreUnavailable as error:
                if not patience.failures:
                    logger.warning("%s is not followed until the store is back: %s", sight.prefix, error)
            await patience.pause()

    async def _keep(self, sight: Sight[Any], patience: Patience) -> None:
        """Read a sight and keep it as the store is, for as long as the store tells."""
        snapshot = await self._store.list(sight.prefix)
        sight.load(snapshot)
        self._unread.discard(sight)
        self._changed.set()
        patience.reset()
        async with self._store.watch(sight.prefix, snapshot.revision) as commits:
            async for commit in commits:
                if sight.apply(commit):
                    self._changed.set()
