"""Group commit: requests that come while a batch is being written go together in the next one, and share its fsync."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from undercroft_hookspecs.store import StoreUnavailable

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from undercroft_model.sqlite import Database

T = TypeVar("T")

Run: TypeAlias = "Callable[[Sequence[Callable[[Database], object]]], Sequence[object]]"

LARGEST = 500
"""How many requests one batch has at the most: a bound on how long its first one waits."""


class Batches:
    """Carries out requests in batches, one batch at a time, in a thread."""

    def __init__(self, executor: Executor, run: Run) -> None:
        self._executor = executor
        self._run = run
        self._waiting: list[tuple[Callable[[Database], object], asyncio.Future[object]]] = []
        self._under_way: asyncio.Future[Sequence[object]] | None = None
        self._is_closed = False

    async def submit(self, request: Callable[[Database], T]) -> T:
        """Carry out a request with the next batch; gives its result, or raises what refused it.

        Cancelling stops the wait; the request may still be carried out.
        """
        if self._is_closed:
            raise StoreUnavailable("the store has been closed")
        answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        self._begin()
        return cast("T", await answer)

    async def close(self) -> None:
        """Take no more requests, and wait for those that have been taken."""
        self._is_closed = True
        while self._under_way is not None:
            await asyncio.wait([self._under_way])  # Its own callback comes first, and begins the next.

    def _begin(self) -> None:
        if self._under_way is not None or not self._waiting:
            return
        batch, self._waiting = self._waiting[:LARGEST], self._waiting[LARGEST:]
        loop = asyncio.get_running_loop()
        self._under_way = loop.run_in_executor(self._executor, self._run, [request for request, _ in batch])
        self._under_way.add_done_callback(lambda done: self._on_written([answer for _, answer in batch], done))

    def _on_written(self, answers: list[asyncio.Future[object]], done: asyncio.Future[Sequence[object]]) -> None:
        self._under_way = None
        failure = done.exception()
        results: Sequence[object] = [failure] * len(answers) if failure is not None else done.result()
        for answer, result in zip(answers, results, strict=True):
            if answer.done():
                continue
            if isinstance(result, BaseException):
                answer.set_exception(result)
            else:
                answer.set_result(result)
        self._begin()
