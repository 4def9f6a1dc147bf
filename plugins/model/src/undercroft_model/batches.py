"""Group commit: requests that come while a batch is being written go together in the next one, and share its fsync."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from undercroft_hookspecs.store import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.store import Revision
    from undercroft_model.database import Database
    from undercroft_model.databasethread import DatabaseThread
    from undercroft_model.feed import Page

T = TypeVar("T")
Written: TypeAlias = "tuple[Sequence[object], Revision, Page]"

LARGEST = 500
"""How many requests one batch has at the most: a bound on how long its first one waits."""

BUSY_SECONDS = 0.005


class Batches:
    """Carries out requests in batches, one batch at a time, in the writer's thread."""

    def __init__(self, writer: DatabaseThread, on_written: Callable[[Revision, Page], None]) -> None:
        """`on_written` is told of each batch: where the store stood before, and what it has added."""
        self._writer, self._on_commits = writer, on_written
        self._waiting: list[tuple[Callable[[Database], object], asyncio.Future[object]]] = []
        self._under_way: asyncio.Future[Written] | None = None
        self._wrote_at = float("-inf")
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether a batch is under way, or was a moment ago."""
        loop = asyncio.get_running_loop()
        return self._under_way is not None or loop.time() - self._wrote_at < BUSY_SECONDS

    async def submit(self, request: Callable[[Database], T]) -> T:
        """Carry out a request with the next batch; gives its result, or raises what refused it.

        Cancelling stops the wait; the request may still be carried out, if its batch has begun.
        """
        if self._is_closed:
            raise StoreUnavailable("the store has been closed")
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._begin_soon()
        self._waiting.append((request, answer))
        return cast("T", await answer)

    async def close(self) -> None:
        """Take no more requests, and wait for those that have been taken.

        Cancelled, it waits for the batch under way only, and refuses the others.
        """
        self._is_closed = True
        self._begin()
        try:
            while self._under_way is not None:
                await asyncio.wait([self._under_way])  # Its own callback comes first, and begins the next.
        except asyncio.CancelledError:
            self._refuse_waiting()
            while self._under_way is not None:
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([self._under_way])
            raise

    def _begin_soon(self) -> None:
        # Behind all who have been woken already, by the batch before for instance: they go together.
        asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        if self._under_way is not None:
            return
        # Who has been cancelled meanwhile does not want it any more.
        wanted = [(request, answer) for request, answer in self._waiting if not answer.done()]
        batch, self._waiting = wanted[:LARGEST], wanted[LARGEST:]
        if batch:
            requests = [request for request, _ in batch]
            self._under_way = self._writer.begin(lambda database: (database.run(requests), *database.history.told()))
            self._under_way.add_done_callback(lambda done: self._on_written([answer for _, answer in batch], done))

    def _on_written(self, answers: list[asyncio.Future[object]], done: asyncio.Future[Written]) -> None:
        self._under_way = None
        self._wrote_at = asyncio.get_running_loop().time()
        failure = done.exception()
        if failure is None:
            results, before, page = done.result()
            self._on_commits(before, page)
        else:
            results = [failure] * len(answers)
        for answer, result in zip(answers, results, strict=True):
            if answer.done():
                continue
            if isinstance(result, BaseException):
                answer.set_exception(result)
            else:
                answer.set_result(result)
        if self._is_closed:
            self._begin()
        elif self._waiting:
            self._begin_soon()

    def _refuse_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for _, answer in waiting:
            if not answer.done():
                answer.set_exception(StoreUnavailable("the store has been closed"))
