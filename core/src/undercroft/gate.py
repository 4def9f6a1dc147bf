"""A gate that opens once, for good: others wait for it, or are started again when it has opened.

A `Lock` is the gate itself. A `GateFlag` is a worker that says, for its whole life, whether the gate was open when it
was made; when that changes it dies, so that the engine starts it, and what depends on it, anew.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from undercroft.dependency.errors import Bounce, OutputError
from undercroft.errors import caused_by
from undercroft.worker.lifecycle import TombWorker
from undercroft.worker.tomb import Stop, Tomb
from undercroft.worker.validation import require_callable, require_name
from undercroft_hookspecs.errors import NotValidError, UndercroftError
from undercroft_hookspecs.manifold import Context, Manifold

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from undercroft_hookspecs.worker import Worker


@runtime_checkable
class Waiter(Protocol):
    """Sees whether a gate is open, and can wait for it."""

    def is_unlocked(self) -> bool:
        """Whether it is open."""
        ...

    async def unlocked(self) -> None:
        """Return when it is open."""


@runtime_checkable
class Unlocker(Protocol):
    """Opens a gate."""

    def unlock(self) -> None:
        """Open it for good; may be repeated."""


class Lock:
    """A gate: a Waiter and an Unlocker. Made, and unlocked, with or without a loop, and from any thread."""

    def __init__(self) -> None:
        self._open = False
        self._waiters: dict[asyncio.Future[None], None] = {}

    def is_unlocked(self) -> bool:
        """Whether it is open."""
        return self._open

    def unlock(self) -> None:
        """Open it for good; may be repeated."""
        # No lock is needed between threads: who waits puts itself down first, and looks at the gate after that.
        self._open = True
        while self._waiters:
            with suppress(KeyError, RuntimeError):  # Another thread was quicker; or the waiter's loop is closed.
                waiter, _ = self._waiters.popitem()
                waiter.get_loop().call_soon_threadsafe(_release, waiter)

    async def unlocked(self) -> None:
        """Return when it is open."""
        if self._open:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            if not self._open:
                await waiter
        finally:
            self._waiters.pop(waiter, None)


class AlreadyUnlocked:
    """A Waiter for a gate that was never shut."""

    __slots__ = ()

    def is_unlocked(self) -> bool:
        """Yes."""
        return True

    async def unlocked(self) -> None:
        """Return at once."""


def manifold(lock: Lock | None = None, *, relock_on_restart: bool = False) -> Manifold:
    """Declare a gate, exposed as Waiter, Unlocker and Lock.

    All starts of one manifold share one lock, the given one if there is one, so a gate stays open over restarts. With
    `relock_on_restart` each start has a new one.
    """
    if relock_on_restart and lock is not None:
        raise NotValidError(
            "relock_on_restart makes a new lock per start, so none can be given", field="relock_on_restart"
        )
    shared = Lock() if lock is None else lock

    def start(_: Context) -> Worker:
        return _Gate(Lock() if relock_on_restart else shared)

    return Manifold(start=start, output=_gate_output)


@runtime_checkable
class Flag(Protocol):
    """A worker that stands for a fact, and dies when that changes."""

    def check(self) -> bool:
        """Whether it is so; constant for the life of the worker."""
        ...


class GateUnlocked(UndercroftError):
    """The gate has opened, which a flag had said was shut."""


class GateFlag(TombWorker):
    """A Flag that says whether the gate was open when it was made.

    If it was, it runs until it is killed; otherwise it dies with GateUnlocked when the gate opens.
    """

    __slots__ = ("_unlocked",)

    def __init__(self, waiter: Waiter) -> None:
        self._unlocked = bool(waiter.is_unlocked())
        self._tomb = Tomb("gate-flag")
        if self._unlocked:
            self._tomb.hold()
            self._tomb.stop.subscribe(self._tomb.release)
            return

        async def watch(stop: Stop) -> None:
            await waiter.unlocked()
            if not stop:
                raise GateUnlocked("the gate has opened")

        self._tomb.call(watch, grace=0)

    def check(self) -> bool:
        """Whether the gate was open when this was made."""
        return self._unlocked


def flag_output(worker: Worker, kind: type) -> object:
    """Expose any worker that has `check()` as a Flag: an output function."""
    if not callable(getattr(worker, "check", None)):
        raise OutputError(f"a flag needs check(), and {worker!r} has none")
    if kind is not Flag:
        raise OutputError(f"a flag is exposed as Flag, not as {kind!r}")
    return worker


def flag_manifold(gate_name: str, new_worker: Callable[[Waiter], Worker | Awaitable[Worker]] = GateFlag) -> Manifold:
    """Declare a flag for the gate under `gate_name`, exposed as Flag.

    When the gate opens the flag's end is a Bounce: it comes back true, and what depends on it is started again.
    """
    require_name("gate_name", gate_name)
    require_callable("new_worker", new_worker)

    def start(context: Context) -> Worker | Awaitable[Worker]:
        return new_worker(context.get(gate_name, Waiter))

    return Manifold(start=start, inputs=(gate_name,), output=flag_output, filter=_bounce_if_unlocked)


class _Gate(TombWorker):
    """Holds a lock until it is killed."""

    __slots__ = ("lock",)

    def __init__(self, lock: Lock) -> None:
        self.lock = lock
        self._tomb = Tomb("gate")
        self._tomb.hold()
        self._tomb.stop.subscribe(self._tomb.release)


def _gate_output(worker: Worker, kind: type) -> object:
    if not isinstance(worker, _Gate):
        raise OutputError(f"a gate's output was asked about {worker!r}, which is none")
    if kind is not Waiter and kind is not Unlocker and kind is not Lock:
        raise OutputError(f"a gate is exposed as Waiter, Unlocker or Lock, not as {kind!r}")
    return worker.lock


def _bounce_if_unlocked(error: Exception) -> Exception:
    if caused_by(error, GateUnlocked) is None:
        return error
    bounce = Bounce("the gate has opened")
    bounce.__cause__ = error
    return bounce


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
