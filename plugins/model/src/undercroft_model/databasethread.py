"""A database and the one thread that uses it. Both are gone when the block that opened them ends, however it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from undercroft_hookspecs.store import StoreUnavailable

if TYPE_CHECKING:
    from undercroft_model.database import Database

T = TypeVar("T")


class DatabaseThread:
    """Carries out what is asked, one after the other."""

    def __init__(self, executor: ThreadPoolExecutor) -> None:
        self._executor = executor
        self._database: Database | None = None

    @property
    def database(self) -> Database:
        """The database, for its own thread.

        Raises:
            StoreUnavailable: it has been closed.
        """
        if self._database is None:
            raise StoreUnavailable("the store has been closed")
        return self._database

    def begin(self, request: Callable[[Database], T]) -> asyncio.Future[T]:
        """Have a request carried out; cancelling the future drops it if it has not begun."""
        return asyncio.get_running_loop().run_in_executor(self._executor, request, self.database)

    async def run(self, request: Callable[[Database], T]) -> T:
        """Carry out a request.

        Raises:
            StoreUnavailable: the database has been closed.
        """
        return await self.begin(request)

    async def open(self, make: Callable[[], Database]) -> None:
        """Make the database in its thread; cancelled, it waits for that and leaves it to `close`."""

        def open_here() -> None:
            self._database = make()

        await to_end(asyncio.get_running_loop().run_in_executor(self._executor, open_here))

    async def close(self) -> None:
        """Close the database, after what was asked before, and end the thread; even if cancelled."""
        database, self._database = self._database, None
        try:
            if database is not None:
                await to_end(asyncio.get_running_loop().run_in_executor(self._executor, database.close))
        finally:
            self._executor.shutdown()  # Nothing is under way in it: it ends within microseconds.


@asynccontextmanager
async def in_thread_of_its_own(make: Callable[[], Database], *, name: str) -> AsyncIterator[DatabaseThread]:
    """A database that lives in a thread while the block runs."""
    thread = DatabaseThread(ThreadPoolExecutor(1, thread_name_prefix=name))
    try:
        await thread.open(make)
        yield thread
    finally:
        await thread.close()


async def to_end(future: asyncio.Future[T]) -> T:
    """Wait for what cannot be interrupted; a cancellation is passed on once it has ended."""
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait((future,))
        if not future.cancelled():
            future.exception()  # Marks it as seen: nobody else will ask for it.
        raise
