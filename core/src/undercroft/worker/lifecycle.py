"""How a worker's life is ended, awaited and watched, whoever wrote the worker."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from undercroft.errors import WorkerCancelled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from types import TracebackType
    from typing import Self, TypeGuard

    from undercroft.worker.tomb import Tomb
    from undercroft_hookspecs.worker import Worker

W = TypeVar("W", bound="Worker")

# Strong references to the tasks that wait for foreign workers: the loop has only weak ones.
_watching: set[asyncio.Task[None]] = set()


class TombWorker:
    """A worker whose life is a tomb's: what all workers of this library share.

    `async with` gives the worker itself, and leaving kills it and waits. The body's exception wins, with a note that
    shows the worker's error; otherwise the worker's error is raised.
    """

    __slots__ = ("__weakref__", "_tomb")

    _tomb: Tomb

    def kill(self) -> None:
        """Ask for a stop, and return at once; from any thread, any number of times."""
        self._tomb.kill()

    async def wait(self) -> None:
        """Return at a clean death, or raise the error that the worker died of."""
        await self._tomb.wait()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()
        if error is None:
            await self.wait()
        elif (own := await outcome(self)) is not None:
            error.add_note(f"{self._tomb.name} also failed: {own!r}")


def is_worker(value: object) -> TypeGuard[Worker]:
    """Whether it has what a worker has: cheaper by far than asking the runtime-checkable protocol."""
    return isinstance(value, TombWorker) or _has_both(value)


def _has_both(value: object) -> bool:
    return callable(getattr(value, "kill", None)) and callable(getattr(value, "wait", None))


def lives_by_tomb(value: object) -> TypeGuard[TombWorker]:
    """Whether a worker's death is its tomb's, so that it is known at once, without a task that waits for it."""
    return isinstance(value, TombWorker) and type(value).wait is TombWorker.wait


def is_known_dead(w: Worker) -> bool:
    """Whether a worker is dead; False also if that cannot be told."""
    return lives_by_tomb(w) and w._tomb.state == "dead"


async def stop(w: Worker) -> None:
    """Kill a worker once, then wait for it; raises what it died of."""
    w.kill()
    await w.wait()


async def outcome(w: Worker) -> BaseException | None:
    """Wait for a worker's death, with its error as a value; a CancelledError that came from it is a WorkerCancelled.

    Cancelling this never disturbs the worker, not even one whose `wait` awaits its own task.
    """
    result: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    watch(w, lambda error: None if result.done() else result.set_result(error))
    return await result


def dead(w: Worker) -> Awaitable[None]:
    """Give an awaitable that is done at the worker's death, and never raises its error.

    It is the answer of the worker's own `dead()` as it is, if there is such a method and its answer is not None; else a
    future, for which `wait` is begun at once. Abandoning or cancelling it does not disturb the worker.
    """
    own: Callable[[], Awaitable[None] | None] | None = getattr(w, "dead", None)
    if callable(own) and (answer := own()) is not None:
        return answer
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    watch(w, lambda _: None if future.done() else future.set_result(None))
    return future


@asynccontextmanager
async def closing_on_error(w: W) -> AsyncIterator[W]:
    """Stop a worker, and wait for it, if the block raises or is cancelled; its own error is dropped then."""
    try:
        yield w
    except BaseException:
        w.kill()
        await outcome(w)
        raise


def watch(w: Worker, callback: Callable[[BaseException | None], object]) -> bool:
    """Call back once, on the loop, when a worker has died, with its error or None.

    A worker of this library is watched through its tomb; a foreign one by a task that waits for it and that nobody
    cancels. The callback is never called before this returns. Answers whether the worker's death is known at once, as
    `lives_by_tomb` has it.
    """
    if isinstance(w, TombWorker) and type(w).wait is TombWorker.wait:
        w._tomb.when_dead(callback)
        return True
    task = asyncio.get_running_loop().create_task(_report_death(w, callback), name="watch")
    _watching.add(task)
    task.add_done_callback(_watching.discard)
    return False


def was_cancelled(error: BaseException | None) -> bool:
    """Whether this stands for a CancelledError that came out of a foreign worker.

    A supervisor that had itself asked that worker to stop counts it as a clean end.
    """
    return isinstance(error, WorkerCancelled) and isinstance(error.__cause__, asyncio.CancelledError)


async def _report_death(w: Worker, callback: Callable[[BaseException | None], object]) -> None:
    error: BaseException | None = None
    try:
        await w.wait()
    except asyncio.CancelledError as cancelled:
        watcher = asyncio.current_task()
        if watcher is not None and watcher.cancelling():  # The loop is being shut down, and this task with it.
            raise
        error = WorkerCancelled(f"the wait of {type(w).__name__} raised CancelledError")
        error.__cause__ = cancelled
    except BaseException as raised:  # As a value: whoever watches decides what it means.
        error = raised
    callback(error)
