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

    def __init__(self, writer: DatabaseThread, on_written: Callable[[Revision, Page], bool]) -> None:
        """`on_written` is told of each batch: where the store stood before, and what it has added. It says whether all
        is known now that was written up to the end of that.
        """
        self._writer, self._on_commits = writer, on_written
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[Callable[[Database], object], asyncio.Future[object]]] = []
        self._under_way: asyncio.Future[Written] | None = None
        self._wrote_at = float("-inf")
        self._is_closed = False
        self.begun = 0
        """How many batches have begun."""
        self.known = 0
        """The last batch of these up to whose end all is known that was written, by whomever."""

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_busy(self) -> bool:
        """Whether a batch is under way, or was a moment ago."""
        return self._under_way is not None or self._loop.time() - self._wrote_at < BUSY_SECONDS

    def submit(self, request: Callable[[Database], T]) -> asyncio.Future[T]:
        """Carry out a request with the next batch; the future has its result, or what refused it.

        Cancelling that stops the wait; the request may still be carried out, if its batch has begun.
        """
        if self._is_closed:
            raise StoreUnavailable("the store has been closed")
        answer: asyncio.Future[T] = self._loop.create_future()
        if not self._waiting:
            self._begin_soon()
        self._waiting.append((request, cast("asyncio.Future[object]", answer)))
        return answer

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
        self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        if self._under_way is not None:
            return
        # Who has been cancelled meanwhile does not want it any more.
        wanted = [waiting for waiting in self._waiting if not waiting[1].done()]
        batch, self._waiting = wanted[:LARGEST], wanted[LARGEST:]
        if batch:
            self.begun += 1
            requests, answers = zip(*batch, strict=True)
            self._under_way = self._writer.begin(
                lambda database: (database.write(requests), *database.history.told()),
                then=lambda database: database.tell_others(),
            )
            self._under_way.add_done_callback(lambda done: self._on_written(answers, done))

    def _on_written(self, answers: Sequence[asyncio.Future[object]], done: asyncio.Future[Written]) -> None:
        self._under_way = None
        self._wrote_at = self._loop.time()
        failure = done.exception()
        if failure is None:
            results, before, page = done.result()
            if self._on_commits(before, page):
                self.known = self.begun
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
