"""The supervision library's errors, and the one question that is asked of any error: was it caused by an X?

UndercroftError            (undercroft_hookspecs.errors has it, NotValidError, NotFoundError, AlreadyExistsError
│                          and the AgentSignal classes)
├── DeadError              the object asked is dying or dead
├── AbortedError           an abort fired first
├── WorkerCancelled        a worker ended by cancellation that nobody had asked for
├── StartError             a start function returned no worker
├── Killed                 from a periodic call: "I ended because I was told to"
└── RestartLimitError      too many restarts within the window
"""

from __future__ import annotations

from typing import TypeVar, overload

from undercroft_hookspecs.errors import UndercroftError

E = TypeVar("E", bound=BaseException)


class DeadError(UndercroftError):
    """The object asked is dying or dead."""


class AbortedError(UndercroftError):
    """An abort fired first; what was asked for stays asked for."""


class WorkerCancelled(UndercroftError):
    """A worker's task, or a start function, ended with CancelledError without having been asked to stop."""


class StartError(UndercroftError):
    """A start function returned something that is not a worker."""


class Killed(UndercroftError):
    """Raised by a periodic call to end its worker cleanly."""


class RestartLimitError(UndercroftError):
    """A worker has failed too often within the window; its last error is the cause."""


@overload
def caused_by(exc: BaseException | None, kind: type[E]) -> E | None: ...
@overload
def caused_by(exc: BaseException | None, kind: tuple[type[BaseException], ...]) -> BaseException | None: ...
def caused_by(
    exc: BaseException | None, kind: type[BaseException] | tuple[type[BaseException], ...]
) -> BaseException | None:
    """Find the first error of `kind` in `exc` or along its `__cause__` chain; None if there is none.

    An exception group on the way that is not itself a `kind` matches only if every one of its leaves has a `kind` in
    its own chain; the match of the first leaf is returned then.
    """
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        if isinstance(exc, kind):
            return exc
        if isinstance(exc, BaseExceptionGroup):
            matches = [caused_by(leaf, kind) for leaf in exc.exceptions]
            if all(match is not None for match in matches):
                return matches[0]
        seen.add(id(exc))
        exc = exc.__cause__
    return None
