"""One thing at a time: the queue that stands in for a loop, a lock and recursion."""

from __future__ import annotations

from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Reactions:
    """Runs reactions one after the other, each to its end, in the context of whoever made this.

    `on_error` is told what a reaction raises; `on_idle` is called whenever the queue has run empty.
    """

    __slots__ = ("_context", "_on_error", "_on_idle", "_queue", "_running")

    def __init__(self, on_error: Callable[[BaseException], object], on_idle: Callable[[], object]) -> None:
        self._on_error = on_error
        self._on_idle = on_idle
        self._queue: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self._running = False
        # Workers die in contexts of their own, and none of those may leak into what is set off by it.
        self._context = copy_context()

    def run(self, reaction: Callable[..., object], *arguments: object) -> None:
        """Run a reaction, and all that it sets off; or queue it, if one is running."""
        self._queue.append((reaction, arguments))
        if not self._running:
            self._context.run(self._drain)

    def _drain(self) -> None:
        self._running = True
        queue = self._queue
        try:
            while queue:
                reaction, arguments = queue.popleft()
                try:
                    reaction(*arguments)
                except BaseException as error:
                    self._on_error(error)
            self._on_idle()
        finally:
            self._running = False
