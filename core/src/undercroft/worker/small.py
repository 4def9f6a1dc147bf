"""Three workers for what needs no class of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from undercroft.worker.lifecycle import TombWorker
from undercroft.worker.tomb import Stop, Tomb
from undercroft.worker.validation import require_callable, require_number

if TYPE_CHECKING:
    from undercroft_hookspecs.worker import Clock


class FinishedWorker(TombWorker):
    """A worker that is born dead and clean: what a start function returns to say "there is nothing to run here"."""

    __slots__ = ()

    def __init__(self) -> None:
        self._tomb = Tomb("finished")
        self._tomb.kill()


class NoOpWorker(TombWorker):
    """A worker that does nothing until it is killed."""

    __slots__ = ()

    def __init__(self) -> None:
        self._tomb = Tomb("no-op")
        self._tomb.hold()
        self._tomb.stop.subscribe(self._tomb.release)


class SimpleWorker(TombWorker):
    """A worker made of one async function, which is given the stop that it is expected to heed.

    What `work` raises is the worker's result, also after a kill; returning on its own is a clean death. `grace` is what
    a kill does to it besides: None nothing, 0 cancels it at once, x cancels it x seconds later.
    """

    __slots__ = ()

    def __init__(
        self,
        work: Callable[[Stop], Awaitable[None]],
        *,
        name: str | None = None,
        grace: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        require_callable("work", work)
        if grace is not None:
            require_number("grace", grace)
        self._tomb = Tomb(name or "simple", clock=clock)
        self._tomb.call_alone(work, grace=grace)
