"""What a worker is, and the two things every worker may be given: time, and a stream of its supervisor's events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from datetime import datetime


@runtime_checkable
class Worker(Protocol):
    """Something that runs until it is killed or has finished: one incarnation, running already when you hold it."""

    def kill(self) -> None:
        """Ask for a stop, and return at once.

        Never raises; may be called any number of times, from any thread, and does nothing once the worker is dead.
        """

    async def wait(self) -> None:
        """Return when the worker is dead, or raise the error that it died of; any number of callers may wait.

        Cancelling a waiter never touches the worker.
        """


@runtime_checkable
class Reporter(Protocol):
    """Something that can describe itself to people."""

    def report(self) -> dict[str, object]:
        """Describe the present state, quickly and without side effects; nothing may depend on its shape."""
        ...


class Clock(Protocol):
    """Time, as a worker is given it. A worker never reads time from the world itself."""

    def now(self) -> datetime:
        """The time of day: aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment, never going back."""
        ...

    async def sleep(self, delay: float) -> None:
        """Sleep for `delay` seconds; zero or less yields to the loop once."""


@dataclass(frozen=True, slots=True)
class Event:
    """A transition of one worker under a supervisor.

    `starting`: its start is about to be called. `started`: the worker is up. `stopping`: its supervisor asks the worker
    or the start to stop. `stopped`: that worker or attempt has ended, with `error`. `restarting`: after a failure
    another attempt will follow in `delay` seconds. `removed`: the id or name is gone. `fatal`: `error` is fatal to the
    supervisor. `hung`: the kill timeout has passed and it is still alive.
    """

    kind: Literal["starting", "started", "stopping", "stopped", "restarting", "removed", "fatal", "hung"]
    path: str
    at: datetime
    error: BaseException | None = None
    delay: float | None = None
