"""The engine's record of one manifold, which the state machine alone writes."""

from __future__ import annotations

from contextvars import copy_context
from typing import TYPE_CHECKING, Literal, Protocol

from undercroft.worker.start import current_worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

    from undercroft.clock import Alarm
    from undercroft.dependency.context import StartContext
    from undercroft.worker.latch import Latch
    from undercroft.worker.start import Start
    from undercroft_hookspecs.manifold import Manifold
    from undercroft_hookspecs.worker import Worker


class Owner(Protocol):
    """The state machine, as a node knows it."""

    @property
    def react(self) -> Callable[..., None]:
        """Run a reaction now, or queue it."""
        ...

    def on_start_done(self, node: Node, start: Start) -> None:
        """A start has ended."""

    def on_worker_ended(self, node: Node, error: BaseException | None) -> None:
        """A worker is dead."""


class Node:
    """One installed manifold.

    Its methods are callbacks: a bound method costs the garbage collector a third of what a partial does, and there is
    one for each worker that is up.
    """

    __slots__ = (
        "asked", "context", "delay", "doomed", "due", "error", "failures", "gone", "holds", "hung", "inputs",
        "last_error", "manifold", "name", "obstacles", "owner", "path", "start", "start_count", "started", "state",
        "timed_out", "timer", "up_since", "view", "watchdog", "worker",
    )  # fmt: skip

    def __init__(self, owner: Owner, name: str, path: str, manifold: Manifold, inputs: Mapping[str, None]) -> None:
        self.owner = owner
        self.name = name
        self.path = path
        self.manifold = manifold
        self.inputs = inputs
        self.context = copy_context()
        """What the start function runs in a copy of."""

        self.state: Literal["stopped", "starting", "started", "stopping"] = "stopped"
        self.asked = False
        """The engine has asked the present worker or start to stop."""
        self.gone: Latch | None = None
        """Set by `uninstall`; fires when the manifold is forgotten."""

        self.delay: float | None = None
        self.due = 0.0
        self.timer: Alarm | None = None
        """Rings when the delay before the next attempt is over."""
        self.start: Start | None = None
        self.view: StartContext | None = None
        self.worker: Worker | None = None
        """The worker that is up: what others see."""
        self.doomed: Worker | None = None
        """A worker that came up too late, and has been killed without having been shown to anybody."""
        self.watchdog: Alarm | None = None
        """Rings when the start, or after a kill the worker, has taken too long."""
        self.timed_out = False
        self.hung = False

        self.failures = 0
        """Consecutive ones: what the delay after the next grows with."""
        self.error: BaseException | None = None
        """Of the last attempt; None from the moment that the next is asked for."""
        self.last_error: BaseException | None = None
        """The same, kept until a worker is up or the engine itself ends an attempt."""
        self.start_count = 0
        self.started: datetime | None = None
        self.up_since = 0.0

        self.obstacles = 0
        """How many others must end before this may start (strict bounce) or be asked to stop (reverse shutdown)."""
        self.holds: list[Node] | None = None
        """Those that this is an obstacle to, under strict bounce."""

    def call(self, view: StartContext) -> Worker | Awaitable[Worker]:
        """Call the start function; in the task of the start, which runs in a context of its own."""
        current_worker.set(self.path)
        return self.manifold.start(view)

    def start_done(self, start: Start) -> None:
        """React to the end of a start."""
        self.owner.react(self.owner.on_start_done, self, start)

    def worker_ended(self, error: BaseException | None) -> None:
        """React to the death of a worker."""
        self.owner.react(self.owner.on_worker_ended, self, error)

    @property
    def is_begun(self) -> bool:
        """Whether it has a worker, or a start whose function has been called: what takes time to end."""
        return self.worker is not None or self.doomed is not None or (self.start is not None and self.start.begun)
