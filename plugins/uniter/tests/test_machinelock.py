"""The lock of the machine: who has it, in which order, and that nobody keeps it by mistake."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from undercroft.testing import FakeClock
from undercroft_uniter.machinelock import HookLock


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


class Hooks:
    """Hooks that take the lock; `inside` are those that have it."""

    def __init__(self, lock: HookLock) -> None:
        self._lock = lock
        self.inside: list[str] = []
        self.most = 0
        self.order: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    def begin(self, name: str) -> asyncio.Task[None]:
        """Run a hook until its gate is opened."""
        self.gates[name] = asyncio.Event()
        return asyncio.create_task(self._run(name), name=name)

    async def _run(self, name: str) -> None:
        async with self._lock.held(name, "start"):
            self.inside.append(name)
            self.order.append(name)
            self.most = max(self.most, len(self.inside))
            await self.gates[name].wait()
            self.inside.remove(name)


async def test_who_comes_between_two_turns_waits_for_its_own() -> None:
    """A lock that is handed on is taken, though whoever waited for it has not noticed yet."""
    hooks = Hooks(HookLock(patience=300, clock=FakeClock(), file=None))
    first, second = hooks.begin("a/0"), hooks.begin("b/0")
    await until(lambda: hooks.inside == ["a/0"])
    hooks.gates["a/0"].set()
    third = hooks.begin("c/0")  # Its first step is between the end of the first and the turn of the second.

    for name in ("b/0", "c/0"):
        await until(lambda name=name: hooks.inside == [name])  # type: ignore[misc]
        hooks.gates[name].set()
    await asyncio.gather(first, second, third)

    assert hooks.order == ["a/0", "b/0", "c/0"]
    assert hooks.most == 1


async def test_a_turn_that_nobody_takes_any_more_is_passed_on() -> None:
    hooks = Hooks(HookLock(patience=300, clock=FakeClock(), file=None))
    first, second, third = (hooks.begin(name) for name in ("a/0", "b/0", "c/0"))
    await until(lambda: hooks.inside == ["a/0"])

    hooks.gates["a/0"].set()
    await first
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    hooks.gates["c/0"].set()
    await third

    assert hooks.order[0] == "a/0"
    assert hooks.order[-1] == "c/0"


async def test_a_file_s_lock_that_is_won_too_late_is_given_back(tmp_path: Path) -> None:
    """The thread has it already, and the loop is told, but not the waiter, who is cancelled at that moment."""
    file = tmp_path / "hooks.lock"
    other = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        hooks = Hooks(HookLock(patience=300, clock=FakeClock(), file=file))
        waiting = hooks.begin("a/0")
        for _ in range(10):
            await asyncio.sleep(0)
        fcntl.flock(other, fcntl.LOCK_UN)
        # The loop is not let run, so that the thread has won before anybody can be told.
        await_locked(file)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(other)


def await_locked(file: Path) -> None:
    """Return when somebody else has the file's lock."""
    probe = os.open(file, os.O_RDWR)
    try:
        for _ in range(100_000):
            try:
                fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            fcntl.flock(probe, fcntl.LOCK_UN)
        raise AssertionError("nobody took the lock")
    finally:
        os.close(probe)
