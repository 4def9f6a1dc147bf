"""The lock of the machine: who has it, in which order, and that nobody keeps it by mistake."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

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


async def test_a_hook_that_outstays_patience_is_named_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    hooks = Hooks(HookLock(patience=300, clock=clock, file=None))
    first, second = hooks.begin("a/0"), hooks.begin("b/0")
    await until(lambda: hooks.inside == ["a/0"])

    await clock.until(1)
    await clock.advance(300)
    await until(lambda: hooks.inside == ["a/0", "b/0"])
    third = hooks.begin("c/0")
    hooks.gates["a/0"].set()
    await first
    between = hooks.inside.copy()
    for name in ("b/0", "c/0"):
        hooks.gates[name].set()
    await asyncio.gather(second, third)

    assert "start of unit a/0 has kept the hooks of this machine waiting for 300 s" in caplog.text
    assert between == ["b/0"]  # That the first one ends at last does not let in a third.


async def test_patience_gives_up_the_file_s_lock_too(tmp_path: Path) -> None:
    clock, file = FakeClock(), tmp_path / "hooks.lock"
    hooks = Hooks(HookLock(patience=300, clock=clock, file=file))
    first = hooks.begin("a/0")
    await until(lambda: hooks.inside == ["a/0"])

    await clock.until(1)
    await clock.advance(300)
    await until(lambda: not is_locked(file))

    hooks.gates["a/0"].set()
    await first


async def test_another_process_that_keeps_the_file_locked_is_waited_for_with_patience(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, file = FakeClock(), tmp_path / "hooks.lock"
    other = os.open(file, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        hooks = Hooks(HookLock(patience=300, clock=clock, file=file))
        waiting = hooks.begin("a/0")
        await clock.until(1)
        between = hooks.inside.copy()
        await clock.advance(300)
        await until(lambda: hooks.inside == ["a/0"])
        hooks.gates["a/0"].set()
        await waiting
    finally:
        os.close(other)
    await until(lambda: not is_locked(file))

    assert between == []
    assert "another process has kept" in caplog.text
    assert "start of unit a/0 goes on" in caplog.text


async def test_two_agents_of_a_machine_take_turns(tmp_path: Path) -> None:
    file = tmp_path / "hooks.lock"
    one, other = (Hooks(HookLock(patience=300, clock=FakeClock(), file=file)) for _ in range(2))
    first = one.begin("a/0")
    await until(lambda: one.inside == ["a/0"])
    second = other.begin("b/0")

    one.gates["a/0"].set()
    await first
    await until(lambda: other.inside == ["b/0"])
    other.gates["b/0"].set()
    await second

    assert not is_locked(file)


@pytest.mark.parametrize("what", ["link", "folder link", "socket", "fifo"])
async def test_what_others_put_in_the_place_of_the_file_is_put_away(tmp_path: Path, what: str) -> None:
    file, elsewhere = tmp_path / "hooks.lock", tmp_path / "elsewhere"
    if what == "socket":
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(file))
        left.close()
    elif what == "fifo":
        os.mkfifo(file)
    else:
        file.symlink_to(elsewhere)
        if what == "folder link":
            elsewhere.mkdir()
    hooks = Hooks(HookLock(patience=300, clock=FakeClock(), file=file))

    task = hooks.begin("a/0")
    await until(lambda: hooks.inside == ["a/0"])
    hooks.gates["a/0"].set()
    await task

    assert file.is_file()
    assert not file.is_symlink()
    assert not elsewhere.is_file()


@pytest.mark.root
async def test_a_file_of_another_user_is_put_away(tmp_path: Path) -> None:
    file = tmp_path / "hooks.lock"
    file.touch()
    os.chown(file, 12345, 12345)
    tmp_path.chmod(0o1777)
    hooks = Hooks(HookLock(patience=300, clock=FakeClock(), file=file))

    task = hooks.begin("a/0")
    await until(lambda: hooks.inside == ["a/0"])
    hooks.gates["a/0"].set()
    await task

    assert file.stat().st_uid == os.geteuid()


def is_locked(file: Path) -> bool:
    """Somebody has the file's lock."""
    probe = os.open(file, os.O_RDWR)
    try:
        fcntl.flock(probe, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(probe)
    return False


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


async def test_metrics_of_a_unit_are_collected_beside_others_hooks_but_not_beside_its_own() -> None:
    machine = HookLock(patience=300, clock=FakeClock(), file=None)
    collected: list[str] = []

    async def collect(unit: str) -> None:
        async with machine.of("model", unit).alone():
            collected.append(unit)

    async with machine.of("model", "a/0").held("a/0", "start"):
        own, other = asyncio.create_task(collect("a/0")), asyncio.create_task(collect("b/0"))
        namesake = asyncio.create_task(_collect(machine.of("another", "a/0").alone(), collected))
        await asyncio.gather(other, namesake)
        assert (sorted(collected), own.done()) == (["another a/0", "b/0"], False)
    await own

    assert collected[-1] == "a/0"


async def test_a_unit_whose_hook_outstays_patience_still_has_one_hook_at_a_time() -> None:
    clock = FakeClock()
    machine = HookLock(patience=300, clock=clock, file=None)
    async with machine.of("model", "a/0").held("a/0", "start"):
        await clock.wait_advance(300)
        second = asyncio.create_task(_collect(machine.of("model", "a/0").held("a/0", "meter-status-changed"), []))
        async with machine.of("model", "b/0").held("b/0", "start"):
            assert not second.done()
    await second


async def _collect(lock: AbstractAsyncContextManager[None], collected: list[str]) -> None:
    async with lock:
        collected.append("another a/0")
