"""One thing at a time: the queue that stands in for a loop, a lock and recursion."""

from __future__ import annotations

from collections import deque
from contextvars import copy_context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Reactions:
    """Runs reactions one after the other, each to its end, in the context of whoever made this.

    `on_error` is told what a reaction raises; `on_idle`, once it is set, is called whenever the queue has run empty.
    """

    __slots__ = ("_on_error", "_queue", "_within", "is_running", "on_idle")

    def __init__(self, on_error: Callable[[BaseException], object]) -> None:
        self._on_error = on_error
        self.on_idle: Callable[[], object] | None = None
        self._queue: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()
        self.is_running = False
        # Workers die in contexts of their own, and none of those may leak into what is set off by it.
        self._within = copy_context().run

    def run(self, reaction: Callable[..., object], *arguments: object) -> None:
        """Run a reaction, and all that it sets off; or queue it, if one is running."""
        if self.is_running:
            self._queue.append((reaction, arguments))
            return
        self.is_running = True
        try:
            try:
                self._within(reaction, *arguments)
            except BaseException as error:
                self._within(self._on_error, error)
            if self._queue:
                self._within(self._drain)
            if self.on_idle is not None:
                self._within(self.on_idle)
        finally:
            self.is_running = False

    def _drain(self) -> None:
        while self._queue:
            reaction, arguments = self._queue.popleft()
            try:
                reaction(*arguments)
            except BaseException as error:
                self._on_error(error)
