"""One call of a start function, in a task of its own: how runner, engine and fortress bring a worker up.

asyncio throws away what a task returns if `cancel()` reaches it during its last step. A worker made at that moment must
not be lost, so the result is kept here, and never returned from the task.
"""

from __future__ import annotations

import asyncio
import inspect
from contextvars import Context, ContextVar, copy_context
from types import CoroutineType
from typing import TYPE_CHECKING

from undercroft.errors import StartError, WorkerCancelled
from undercroft.worker.lifecycle import is_worker
from undercroft_hookspecs.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

current_worker: ContextVar[str | None] = ContextVar("current_worker", default=None)
"""The path of the worker that the running code belongs to: "<supervisor's name>/<id>"; None outside of any."""

# Strong references to starts under way: the loop has only weak ones.
_starting: dict[asyncio.Task[None], Start] = {}


def worker_context(path: str) -> Context:
    """Copy the present context, with `current_worker` set: what each start of that worker runs in a copy of."""
    context = copy_context()
    context.run(current_worker.set, path)
    return context


class Start:
    """An attempt to start a worker. `done` is called with this object, once, when the attempt has ended.

    Then `worker` is what came up, or else `error` is what went wrong, or neither: it was cancelled and gave in. A
    worker may come up although the start was cancelled: whoever asked must kill it, wait for it, and show it to nobody.
    """

    __slots__ = ("_done", "_task", "begun", "cancelled", "error", "worker")

    def __init__(
        self,
        call: Callable[[], Worker | Awaitable[Worker]],
        done: Callable[[Start], object],
        *,
        context: Context,
        name: str,
    ) -> None:
        self._done = done
        self.begun = False
        self.cancelled = False
        self.worker: Worker | None = None
        self.error: BaseException | None = None
        own = context.copy()
        self._task = asyncio.get_running_loop().create_task(self._run(call), name=name, context=own)
        _starting[self._task] = self
        self._task.add_done_callback(_on_done, context=own)

    @property
    def ended(self) -> bool:
        """Whether the start function has ended, even if `done` has not been called yet."""
        return self.worker is not None or self.error is not None or self._task.done()

    def cancel(self) -> bool:
        """Cancel the attempt, the first time that this is called; say whether it had begun.

        One that had not begun never will, and `done` is not called for it.
        """
        if not self.cancelled:
            self.cancelled = True
            self._task.cancel()
        return self.begun

    async def _run(self, call: Callable[[], Worker | Awaitable[Worker]]) -> None:
        self.begun = True
        made: object = None
        try:
            made = call()
            # A coroutine, as good as always: asked first, because the other questions are slow.
            result: object = made
            if type(made) is CoroutineType or (not is_worker(made) and inspect.isawaitable(made)):
                result = await made
            if is_worker(result):
                self.worker = result
            else:
                self.error = StartError(f"the start function returned {result!r}, which is not a worker")
        except asyncio.CancelledError as error:
            self._on_cancelled(made, error)
        except (SystemExit, KeyboardInterrupt) as error:
            self.error = error
            raise
        except BaseException as error:
            self.error = error

    def _on_cancelled(self, made: object, error: asyncio.CancelledError) -> None:
        """Find the worker of a future that was done when the cancellation overtook it, or note the unasked-for end."""
        if isinstance(made, asyncio.Future) and made.done() and not made.cancelled():
            if made.exception() is None and is_worker(made.result()):
                self.worker = made.result()
        elif not self.cancelled:
            self.error = WorkerCancelled("the start function ended with CancelledError, and nobody had cancelled it")
            self.error.__cause__ = error

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()
        elif not self.begun and not self.cancelled:
            self.error = WorkerCancelled("the start was cancelled by somebody who is not its supervisor")
        if self.begun or not self.cancelled:
            self._done(self)


def _on_done(task: asyncio.Task[None]) -> None:
    """One function for all starts: a bound method would be one more object for each."""
    _starting.pop(task)._on_done(task)
