"""A database and the one thread that uses it. Both are gone when the block that opened them ends, however it ends.

The thread is a plain one: an executor would cost as much as all of a small batch's statements.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from undercroft.files import in_thread
from undercroft_hookspecs.store import StoreUnavailable

if TYPE_CHECKING:
    from undercroft_model.database import Database

T = TypeVar("T")
Job: TypeAlias = "tuple[Callable[[], object], asyncio.Future[object], Callable[[], None] | None]"


class DatabaseThread:
    """Carries out what is asked, one after the other."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._database: Database | None = None
        self._thread = Thread(target=_work, args=(self._jobs, self._loop), name=name, daemon=True)
        self._thread.start()

    @property
    def database(self) -> Database:
        """The database, for its own thread.

        Raises:
            StoreUnavailable: it has been closed.
        """
        if self._database is None:
            raise StoreUnavailable("the store has been closed")
        return self._database

    def begin(
        self, request: Callable[[Database], T], *, then: Callable[[Database], None] | None = None
    ) -> asyncio.Future[T]:
        """Have a request carried out; cancelling the future drops it if it has not begun.

        `then` is called if it has succeeded, when its result is on its way already; it is not to raise.
        """
        database = self.database
        return self._begin(lambda: request(database), None if then is None else lambda: then(database))

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

        await to_end(self._begin(open_here))

    async def close(self) -> None:
        """Close the database, after what was asked before, and end the thread; even if cancelled."""
        database, self._database = self._database, None
        try:
            if database is not None:
                await to_end(self._begin(database.close))
        finally:
            self._jobs.put(None)
            await in_thread(self._thread.join)  # Nothing is under way in it, but a busy machine may let it wait.

    def _begin(self, work: Callable[[], T], then: Callable[[], None] | None = None) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put((work, cast("asyncio.Future[object]", done), then))
        return done


@asynccontextmanager
async def in_thread_of_its_own(make: Callable[[], Database], *, name: str) -> AsyncIterator[DatabaseThread]:
    """A database that lives in a thread while the block runs."""
    thread = DatabaseThread(name)
    try:
        await thread.open(make)
        yield thread
    finally:
        await thread.close()


def _work(jobs: SimpleQueue[Job | None], loop: asyncio.AbstractEventLoop) -> None:
    while (job := jobs.get()) is not None:
        work, done, then = job
        if done.cancelled():
            continue
        try:
            outcome: tuple[object, BaseException | None] = work(), None
        except BaseException as error:  # It is handed to whoever waits.
            outcome = None, error
        with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            loop.call_soon_threadsafe(_settle, done, *outcome)
        if then is not None and outcome[1] is None:
            then()
        del job, work, done, then, outcome  # What they hold is not to live until the next one comes.


def _settle(done: asyncio.Future[object], result: object, error: BaseException | None) -> None:
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)


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
