"""Undercroft: workers, and what keeps them running.

These names are the supervision library's common part; `undercroft.catacomb`, `.dependency`, `.fortress`, `.gate`,
`.housing` and `.testing` hold the rest. Each is imported from its module when it is first asked for: nobody pays for
what they do not use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.lazy import exports, getter

if TYPE_CHECKING:
    from undercroft.clock import SystemClock
    from undercroft.errors import (
        AbortedError,
        DeadError,
        Killed,
        RestartLimitError,
        StartError,
        WorkerCancelled,
        caused_by,
    )
    from undercroft.worker.backoff import RESTART_DELAY, Backoff
    from undercroft.worker.lifecycle import closing_on_error, dead, outcome, stop
    from undercroft.worker.periodic import PeriodicTimer, PeriodicWorker, Timer
    from undercroft.worker.reporting import Metrics
    from undercroft.worker.runner import Runner
    from undercroft.worker.small import FinishedWorker, NoOpWorker, SimpleWorker
    from undercroft.worker.start import current_worker
    from undercroft.worker.tomb import Stop, Tomb
    from undercroft_hookspecs.errors import (
        AgentSignal,
        AlreadyExistsError,
        NotFoundError,
        NotValidError,
        RebootMachine,
        RestartAgent,
        ShutdownMachine,
        TerminateAgent,
        UndercroftError,
    )
    from undercroft_hookspecs.manifold import Abort, Context, FilterFunc, Manifold, OutputFunc, StartFunc
    from undercroft_hookspecs.worker import Clock, Event, Reporter, Worker

_NAMES = exports(
    {
        "undercroft.clock": ("SystemClock",),
        "undercroft.errors": (
            "AbortedError",
            "DeadError",
            "Killed",
            "RestartLimitError",
            "StartError",
            "WorkerCancelled",
            "caused_by",
        ),
        "undercroft.worker.backoff": ("Backoff", "RESTART_DELAY"),
        "undercroft.worker.lifecycle": ("closing_on_error", "dead", "outcome", "stop"),
        "undercroft.worker.periodic": ("PeriodicTimer", "PeriodicWorker", "Timer"),
        "undercroft.worker.reporting": ("Metrics",),
        "undercroft.worker.runner": ("Runner",),
        "undercroft.worker.small": ("FinishedWorker", "NoOpWorker", "SimpleWorker"),
        "undercroft.worker.start": ("current_worker",),
        "undercroft.worker.tomb": ("Stop", "Tomb"),
        "undercroft_hookspecs.errors": (
            "AgentSignal",
            "AlreadyExistsError",
            "NotFoundError",
            "NotValidError",
            "RebootMachine",
            "RestartAgent",
            "ShutdownMachine",
            "TerminateAgent",
            "UndercroftError",
        ),
        "undercroft_hookspecs.manifold": ("Abort", "Context", "FilterFunc", "Manifold", "OutputFunc", "StartFunc"),
        "undercroft_hookspecs.worker": ("Clock", "Event", "Reporter", "Worker"),
    }
)

__all__ = [
    "RESTART_DELAY",
    "Abort",
    "AbortedError",
    "AgentSignal",
    "AlreadyExistsError",
    "Backoff",
    "Clock",
    "Context",
    "DeadError",
    "Event",
    "FilterFunc",
    "FinishedWorker",
    "Killed",
    "Manifold",
    "Metrics",
    "NoOpWorker",
    "NotFoundError",
    "NotValidError",
    "OutputFunc",
    "PeriodicTimer",
    "PeriodicWorker",
    "RebootMachine",
    "Reporter",
    "RestartAgent",
    "RestartLimitError",
    "Runner",
    "ShutdownMachine",
    "SimpleWorker",
    "StartError",
    "StartFunc",
    "Stop",
    "SystemClock",
    "TerminateAgent",
    "Timer",
    "Tomb",
    "UndercroftError",
    "Worker",
    "WorkerCancelled",
    "caused_by",
    "closing_on_error",
    "current_worker",
    "dead",
    "outcome",
    "stop",
]

if not TYPE_CHECKING:
    __getattr__ = getter(__name__, globals(), _NAMES)


def __dir__() -> list[str]:
    return __all__
