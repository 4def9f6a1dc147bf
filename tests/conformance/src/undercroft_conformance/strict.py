"""A pytest plugin that holds a project's own tests to the rules that its workers are held to.

Load it with `-p undercroft_conformance.strict`. Every async test then runs on asyncio and on uvloop. A test fails at
its teardown, once its fixtures are done, if

* it left behind a task, thread, file descriptor, child process, mount or loop device: `allow_leaks("thread", ...)`
  opts out of the kinds named (without arguments: of all);
* a callback held the loop for more than 100 ms (`undercroft_conformance.stalls` says how that is measured, and needs
  `asyncio_debug = true`): `slow_callbacks` opts out;
* an exception ended in a loop's exception handler, like "Task exception was never retrieved": `loop_errors` opts out.

Tasks are judged after the loop has turned a few times; threads, descriptors and processes have a second to go. The
threads of the loop's default executor are let be: they end with the loop. Mounts and loop devices count where they lie
under pytest's temporary folder: everything else belongs to other processes. A test that has failed is not judged: its
traceback keeps things alive. Tests marked `root` are skipped for other users.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import time
import traceback
from collections.abc import Callable, Generator, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from undercroft_conformance.leaks import KINDS, Leak, Snapshot, difference, lines, snapshot
from undercroft_conformance.stalls import LoopWatch, loop_factories, watching

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

TURNS = 10
"""How often the loop turns before tasks are judged."""

PATIENCE = 1.0
"""How many seconds what ends by itself, like a thread, has to do so."""

DEPTH = 6
"""How many frames of where it was made a task, future or callback of a loop in debug mode remembers."""

_FAILED = pytest.StashKey[bool]()
_EXECUTOR_THREADS = "'asyncio_"


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks."""
    for line in (
        f"allow_leaks(*kinds): what this test may leave behind; of {', '.join(KINDS)}, or all",
        "slow_callbacks: callbacks of this test may hold the loop for longer than 100 ms",
        "loop_errors: exceptions may reach the loop's exception handler in this test",
        "root: needs root; skipped with its reason for other users",
    ):
        config.addinivalue_line("markers", line)

    config.add_cleanup(_shorten_stacks())
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        # It was for this run, which has read it (as have pytest-xdist's workers), not for those that tests begin.
        os.environ.pop("PYTEST_ADDOPTS", None)


def _shorten_stacks() -> Callable[[], None]:
    """Have stacks (not tracebacks) end after the innermost frames, and return what undoes it.

    In debug mode every future asks for one. Whole ones, through pytest, are over half of the time that tests take.
    """
    whole = traceback.walk_stack

    def innermost(f: FrameType | None) -> Iterator[tuple[FrameType, int]]:
        return islice(whole(f), DEPTH)

    def undo() -> None:
        traceback.walk_stack = whole

    traceback.walk_stack = innermost
    return undo


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs root for everybody else."""
    if os.geteuid() == 0:
        return
    reason = "needs root (loop devices, mounts): run the tests as root to include it"
    for item in items:
        if item.get_closest_marker("root") is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_collection_finish() -> None:
    """Let uvloop open what it keeps for the whole process, and take what is there out of the collector's sight.

    Each test is judged after a full collection, which would else take longer than most tests.
    """
    for make in loop_factories().values():
        with asyncio.Runner(loop_factory=make) as runner:
            runner.run(_turns(1))
    gc.collect()
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Both loops; a test chooses one with `@pytest.mark.asyncio(loop_factories=["asyncio"])`."""
    return loop_factories()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember whether the test has failed or was skipped."""
    report = yield
    if call.when != "teardown" and call.excinfo is not None:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(autouse=True, scope="module")
def _collected() -> None:
    """Take what the modules before have left for good, imports and reports, out of the collector's sight, too."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _strict(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Judge one test. Set up before the test's own fixtures, so that it is torn down after them."""
    runner = _runner(request)
    loop = None if runner is None else runner.get_loop()
    if runner is not None:
        runner.run(_warm_up())
    judge = Judge(request.node, runner, tmp_path_factory.getbasetemp())
    with watching(loop) as watch:
        yield
        if not request.node.stash.get(_FAILED, False):
            judge.verdict(watch)


class Judge:
    """What a test held when it began, and the verdict on it when it has ended."""

    def __init__(self, item: pytest.Item, runner: asyncio.Runner | None, folder: Path) -> None:
        self._item, self._runner, self._folder = item, runner, folder
        self._before = self._look()

    def verdict(self, watch: LoopWatch) -> None:
        """Fail the test for what it left behind, or did to the loop."""
        complaints = []
        if found := self._leaks():
            complaints.append("left behind:\n" + lines(found))
        if watch.stalls and self._item.get_closest_marker("slow_callbacks") is None:
            complaints.append("held up the loop:\n" + "\n".join(f"  {stall}" for stall in watch.stalls))
        if watch.errors and self._item.get_closest_marker("loop_errors") is None:
            complaints.append("errors that nobody took:\n" + "\n".join(f"  {error}" for error in watch.errors))
        if complaints:
            pytest.fail(f"{self._item.name} " + "\n".join(complaints), pytrace=False)

    def _look(self) -> Snapshot:
        return snapshot(None if self._runner is None else self._runner.get_loop(), below=(self._folder,))

    def _settle(self) -> None:
        if self._runner is not None and not self._runner.get_loop().is_closed():
            self._runner.run(_turns(TURNS))

    def _leaks(self) -> tuple[Leak, ...]:
        allowed = self._allowed()
        deadline = time.perf_counter() + PATIENCE
        pause = 0.001
        while True:
            self._settle()
            gc.collect()
            found = tuple(leak for leak in difference(self._before, self._look()) if not self._is_let_be(leak, allowed))
            hopeless = any(leak.kind in {"task", "mount", "loop"} for leak in found)
            if not found or hopeless or time.perf_counter() > deadline:
                return found
            time.sleep(pause)
            pause = min(pause * 2, 0.05)

    def _allowed(self) -> frozenset[str]:
        kinds: set[str] = set()
        for mark in self._item.iter_markers("allow_leaks"):
            if unknown := set(mark.args) - set(KINDS):
                pytest.fail(f"allow_leaks does not know {sorted(unknown)}, only {list(KINDS)}", pytrace=False)
            kinds.update(mark.args or KINDS)
        return frozenset(kinds)

    def _is_let_be(self, leak: Leak, allowed: frozenset[str]) -> bool:
        executor = leak.kind == "thread" and leak.what.startswith(_EXECUTOR_THREADS)
        return leak.kind in allowed or (executor and self._runner is not None)


def _runner(request: pytest.FixtureRequest) -> asyncio.Runner | None:
    """The runner of an async test, made now if need be; None for other tests."""
    scope = getattr(request.node, "_loop_scope", None)
    if scope is None:
        return None
    runner = request.getfixturevalue(f"_{scope}_scoped_runner")
    assert isinstance(runner, asyncio.Runner)
    return runner


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def _warm_up() -> None:
    """Have uvloop open what each of its loops keeps: for signals when it first runs, in reserve at its first stream."""
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        transport, _ = await asyncio.get_running_loop().create_unix_connection(asyncio.Protocol, sock=ours)
        transport.abort()
        await _turns(TURNS)
