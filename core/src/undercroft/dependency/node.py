"""The engine's record of one manifold: a plain record, which the state machine alone writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextvars import Context
    from datetime import datetime

    from undercroft.clock import Alarm
    from undercroft.dependency.context import StartContext
    from undercroft.worker.latch import Latch
    from undercroft.worker.start import Start
    from undercroft_hookspecs.manifold import Manifold
    from undercroft_hookspecs.worker import Worker


class Node:
    """One installed manifold."""

    __slots__ = (
        "asked", "context", "delay", "doomed", "due", "error", "failures", "gone", "holds", "hung", "inputs",
        "last_error", "manifold", "name", "obstacles", "path", "start", "start_count", "started", "state", "timed_out",
        "timer", "up_since", "view", "watchdog", "worker",
    )  # fmt: skip

    def __init__(self, name: str, path: str, manifold: Manifold, inputs: Collection[str], context: Context) -> None:
        self.name = name
        self.path = path
        self.manifold = manifold
        self.inputs = inputs
        self.context = context
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

    @property
    def is_active(self) -> bool:
        """Whether it has a worker, or a start that is running: what a dying engine waits for."""
        return self.worker is not None or self.doomed is not None or self.start is not None

    @property
    def is_begun(self) -> bool:
        """As `is_active`, but without a start whose function has not been called yet."""
        return self.worker is not None or self.doomed is not None or (self.start is not None and self.start.begun)
