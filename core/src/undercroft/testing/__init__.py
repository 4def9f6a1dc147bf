"""A test bench for workers: checks, a clock that stands still, and fakes. Needs no pytest.

The names are imported from their modules when they are first asked for: `FakeAgent`, `FakeProcess` and `MemoryStore`
alone need more than the standard library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.lazy import exports, getter

if TYPE_CHECKING:
    from undercroft.testing.agent import FakeAgent, FakeProcess
    from undercroft.testing.checks import (
        ALIVE_DELAY,
        KILL_TIMEOUT,
        check_alive,
        check_kill,
        check_killed,
        check_none_or_kill,
        clean_kill,
        dirty_kill,
    )
    from undercroft.testing.clock import FakeClock
    from undercroft.testing.context import StubContext
    from undercroft.testing.store import MemoryStore
    from undercroft.testing.workers import DeadWorker, ErrorWorker, FakeWatcher, ForeverWorker

_NAMES = exports(
    {
        "undercroft.testing.agent": ("FakeAgent", "FakeProcess"),
        "undercroft.testing.checks": (
            "ALIVE_DELAY",
            "KILL_TIMEOUT",
            "check_alive",
            "check_kill",
            "check_killed",
            "check_none_or_kill",
            "clean_kill",
            "dirty_kill",
        ),
        "undercroft.testing.clock": ("FakeClock",),
        "undercroft.testing.context": ("StubContext",),
        "undercroft.testing.store": ("MemoryStore",),
        "undercroft.testing.workers": ("DeadWorker", "ErrorWorker", "FakeWatcher", "ForeverWorker"),
    }
)

__all__ = [
    "ALIVE_DELAY",
    "KILL_TIMEOUT",
    "DeadWorker",
    "ErrorWorker",
    "FakeAgent",
    "FakeClock",
    "FakeProcess",
    "FakeWatcher",
    "ForeverWorker",
    "MemoryStore",
    "StubContext",
    "check_alive",
    "check_kill",
    "check_killed",
    "check_none_or_kill",
    "clean_kill",
    "dirty_kill",
]

if not TYPE_CHECKING:
    __getattr__ = getter(__name__, globals(), _NAMES)


def __dir__() -> list[str]:
    return __all__
