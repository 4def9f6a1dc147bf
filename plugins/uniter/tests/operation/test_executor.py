from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

import pytest
from plugins.uniter.tests.fakemodel import OLD
from plugins.uniter.tests.fakes import FakeLock, kind
from plugins.uniter.tests.operation.conftest import BLANK, FULL

from undercroft import SimpleWorker, Stop
from undercroft.testing import clean_kill
from undercroft_hookspecs import NotValidError, UndercroftError
from undercroft_uniter.errors import Stopping
from undercroft_uniter.operation.executor import Executor
from undercroft_uniter.operation.state import OperationKind, OperationState, Step
from undercroft_uniter.operation.statefile import StateFile
from undercroft_uniter.operation.step import Operation, Outcome

QUEUED = FULL.to(OperationKind.RUN_HOOK, Step.QUEUED, hook=kind("start"))
PENDING = FULL.to(OperationKind.RUN_HOOK, Step.PENDING, hook=kind("start"))
DONE = FULL.to(OperationKind.RUN_HOOK, Step.DONE, hook=kind("start"))
INVALID = OperationState(kind=OperationKind.RUN_HOOK, step=Step.DONE)
STEPS = ("prepare", "execute", "commit")


class Scripted(Operation):
    """An operation whose steps come to what it is told; it keeps which state each began with."""

    def __init__(
        self,
        outcomes: Mapping[str, Outcome | Exception] | None = None,
        *,
        locks: bool = False,
        **named: Outcome | Exception,
    ) -> None:
        self.outcomes = named | dict(outcomes or {})
        self.locks = locks
        self.seen: list[tuple[str, OperationState]] = []
        self.gates: dict[str, asyncio.Event] = {}

    def __str__(self) -> str:
        return "do something"

    @property
    def lock_reason(self) -> str:
        return "something" if self.locks else ""

    async def prepare(self, state: OperationState) -> Outcome:
        return await self._step("prepare", state)

    async def execute(self, state: OperationState) -> Outcome:
        return await self._step("execute", state)

    async def commit(self, state: OperationState) -> Outcome:
        return await self._step("commit", state)

    @property
    def steps(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.seen)

    async def _step(self, name: str, state: OperationState) -> Outcome:
        self.seen.append((name, state))
        if name in self.gates:
            await self.gates[name].wait()
        outcome = self.outcomes.get(name, Outcome())
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Bench:
    """An executor over a file, and a worker whose stop it heeds."""

    def __init__(self, executor: Executor, lock: FakeLock, file: StateFile, worker: SimpleWorker) -> None:
        self.executor, self.lock, self.file, self.worker = executor, lock, file, worker

    async def written(self) -> OperationState | None:
        """What the file says."""
        return await StateFile(self.file.path).read()


async def bench(folder: Path, initial: OperationState = FULL) -> Bench:
    """Executors are made like this."""
    stops: list[Stop] = []

    async def work(stop: Stop) -> None:
        stops.append(stop)
        await stop.wait()

    worker = SimpleWorker(work)
    while not stops:
        await asyncio.sleep(0)
    lock, file = FakeLock(), StateFile(folder / "operation.json")
    executor = await Executor.open(file, initial=initial, unit="shop/0", lock=lock, stop=stops[0])
    return Bench(executor, lock, file, worker)


async def test_without_a_file_it_begins_and_writes_nothing(tmp_path: Path) -> None:
    initial = OperationState(kind=OperationKind.INSTALL, step=Step.QUEUED, charm=OLD)

    begun = await bench(tmp_path, initial)

    assert begun.executor.state == initial
    assert list(tmp_path.iterdir()) == []
    await clean_kill(begun.worker)


async def test_with_a_file_it_goes_on(tmp_path: Path) -> None:
    await StateFile(tmp_path / "operation.json").write(DONE)

    begun = await bench(tmp_path)

    assert begun.executor.state == DONE
    await clean_kill(begun.worker)


async def test_steps_that_give_no_state_leave_it_as_it_is(tmp_path: Path) -> None:
    begun, operation = await bench(tmp_path), Scripted()

    await begun.executor.run(operation)

    assert operation.seen == [(name, FULL) for name in STEPS]
    assert await begun.written() is None
    await clean_kill(begun.worker)


async def test_each_state_is_written_before_the_next_step(tmp_path: Path) -> None:
    begun = await bench(tmp_path)
    outcomes = {"prepare": PENDING, "execute": DONE, "commit": BLANK}
    operation = Scripted({name: Outcome(state=state) for name, state in outcomes.items()})

    await begun.executor.run(operation)

    assert operation.seen == [("prepare", FULL), ("execute", PENDING), ("commit", DONE)]
    assert begun.executor.state == await begun.written() == BLANK
    await clean_kill(begun.worker)


async def test_what_needs_no_execution_is_committed_at_once(tmp_path: Path) -> None:
    begun = await bench(tmp_path)
    operation = Scripted(prepare=Outcome(state=QUEUED, is_all=True), commit=Outcome(state=BLANK))

    await begun.executor.run(operation)

    assert operation.seen == [("prepare", FULL), ("commit", QUEUED)]
    assert await begun.written() == BLANK
    await clean_kill(begun.worker)


@pytest.mark.parametrize("step", STEPS)
async def test_a_step_that_raises_ends_it_and_says_where(tmp_path: Path, step: str) -> None:
    begun, operation = await bench(tmp_path), Scripted({step: UndercroftError("no")})

    with pytest.raises(UndercroftError, match="no") as caught:
        await begun.executor.run(operation)

    assert operation.steps == STEPS[: STEPS.index(step) + 1]
    verb = {"prepare": "preparing", "execute": "executing", "commit": "committing"}[step]
    assert caught.value.__notes__ == [f"while {verb} do something"]
    assert await begun.written() is None
    await clean_kill(begun.worker)


@pytest.mark.parametrize("step", STEPS)
async def test_a_state_that_comes_with_an_error_is_written(tmp_path: Path, step: str) -> None:
    begun = await bench(tmp_path)
    operation = Scripted({step: Outcome(state=DONE, error=UndercroftError("no"))})

    with pytest.raises(UndercroftError, match="no"):
        await begun.executor.run(operation)

    assert operation.steps == STEPS[: STEPS.index(step) + 1]
    assert begun.executor.state == await begun.written() == DONE
    await clean_kill(begun.worker)


@pytest.mark.parametrize("step", STEPS)
async def test_a_state_that_cannot_be_ends_it(tmp_path: Path, step: str) -> None:
    begun, operation = await bench(tmp_path), Scripted({step: Outcome(state=INVALID)})

    with pytest.raises(NotValidError):
        await begun.executor.run(operation)

    assert operation.steps == STEPS[: STEPS.index(step) + 1]
    assert begun.executor.state == FULL
    assert await begun.written() is None
    await clean_kill(begun.worker)


async def test_the_steps_error_counts_more_than_the_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    begun, operation = await bench(tmp_path), Scripted(execute=Outcome(state=INVALID, error=UndercroftError("no")))

    with caplog.at_level(logging.ERROR), pytest.raises(UndercroftError, match="no"):
        await begun.executor.run(operation)

    assert "what the unit is at could not be written" in caplog.text
    assert begun.executor.state == FULL
    await clean_kill(begun.worker)


async def test_a_full_disk_leaves_the_state_as_it_is(tmp_path: Path) -> None:
    begun, operation = await bench(tmp_path), Scripted(prepare=Outcome(state=PENDING))
    (tmp_path / "operation.json").mkdir()

    with pytest.raises(OSError):
        await begun.executor.run(operation)

    assert operation.steps == ("prepare",)
    assert begun.executor.state == FULL
    await clean_kill(begun.worker)


async def test_the_lock_is_held_from_before_preparing_until_after_committing(tmp_path: Path) -> None:
    begun, operation = await bench(tmp_path), Scripted(locks=True)
    operation.gates = {name: asyncio.Event() for name in STEPS}

    running = asyncio.create_task(begun.executor.run(operation))
    for name in STEPS:
        while name not in operation.steps:
            await asyncio.sleep(0)
        assert begun.lock.lock.locked()
        operation.gates[name].set()
    await running

    assert begun.lock.reasons == ["something"]
    assert not begun.lock.lock.locked()
    await clean_kill(begun.worker)


async def test_who_needs_no_lock_takes_none(tmp_path: Path) -> None:
    begun = await bench(tmp_path)

    await begun.executor.run(Scripted())

    assert begun.lock.reasons == []
    await clean_kill(begun.worker)


async def test_without_the_lock_nothing_is_done(tmp_path: Path) -> None:
    begun, operation = await bench(tmp_path), Scripted(locks=True)
    begun.lock.failure = OSError("no locks available")

    with pytest.raises(OSError, match="no locks"):
        await begun.executor.run(operation)

    assert operation.steps == ()
    await clean_kill(begun.worker)


@pytest.mark.parametrize("step", STEPS)
async def test_the_lock_is_given_back_after_an_error(tmp_path: Path, step: str) -> None:
    begun, operation = await bench(tmp_path), Scripted({step: UndercroftError("no")}, locks=True)

    with pytest.raises(UndercroftError):
        await begun.executor.run(operation)

    assert not begun.lock.lock.locked()
    await clean_kill(begun.worker)


async def test_a_stop_leaves_off_waiting_for_the_lock(tmp_path: Path) -> None:
    begun, operation = await bench(tmp_path), Scripted(locks=True)
    async with begun.lock.lock:
        running = asyncio.create_task(begun.executor.run(operation))
        await asyncio.sleep(0)

        await clean_kill(begun.worker)

        with pytest.raises(Stopping):
            await running
    assert operation.steps == ()


async def test_a_stop_leaves_off_preparing_and_gives_the_lock_back(tmp_path: Path) -> None:
    begun, operation = await bench(tmp_path), Scripted(locks=True, prepare=Outcome(state=PENDING))
    operation.gates = {"prepare": asyncio.Event()}
    running = asyncio.create_task(begun.executor.run(operation))
    while not operation.steps:
        await asyncio.sleep(0)

    await clean_kill(begun.worker)

    with pytest.raises(Stopping):
        await running
    assert not begun.lock.lock.locked()
    assert await begun.written() is None


async def test_a_stop_lets_what_runs_end_and_be_committed(tmp_path: Path) -> None:
    begun = await bench(tmp_path)
    outcomes = {"prepare": PENDING, "execute": DONE, "commit": BLANK}
    operation = Scripted({name: Outcome(state=state) for name, state in outcomes.items()})
    operation.gates = {"execute": asyncio.Event()}
    running = asyncio.create_task(begun.executor.run(operation))
    while "execute" not in operation.steps:
        await asyncio.sleep(0)

    await clean_kill(begun.worker)
    operation.gates["execute"].set()
    await running

    assert await begun.written() == BLANK


async def test_after_a_stop_nothing_is_begun(tmp_path: Path) -> None:
    begun, operation = await bench(tmp_path), Scripted()
    await clean_kill(begun.worker)

    with pytest.raises(Stopping):
        await begun.executor.run(operation)

    assert operation.steps == ()


async def test_a_cancelled_execution_looks_like_a_crash(tmp_path: Path) -> None:
    begun, operation = await bench(tmp_path), Scripted(locks=True, prepare=Outcome(state=PENDING))
    operation.gates = {"execute": asyncio.Event()}
    running = asyncio.create_task(begun.executor.run(operation))
    while "execute" not in operation.steps:
        await asyncio.sleep(0)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert await begun.written() == PENDING
    assert not begun.lock.lock.locked()
    await clean_kill(begun.worker)


async def test_a_cancellation_does_not_lose_what_a_step_has_done(tmp_path: Path) -> None:
    """It comes while the state is written: the hook has ended, and must not be run again."""
    begun = await bench(tmp_path, PENDING)
    operation = Scripted(prepare=Outcome(is_all=True), commit=Outcome(state=DONE))
    operation.gates = {"commit": asyncio.Event()}
    running = asyncio.create_task(begun.executor.run(operation))
    while "commit" not in operation.steps:
        await asyncio.sleep(0)
    operation.gates["commit"].set()
    await asyncio.sleep(0)  # The step has ended, and the write begun.

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert await begun.written() == DONE
    await clean_kill(begun.worker)


async def test_what_finds_nothing_to_execute_leaves_the_lock_off(tmp_path: Path) -> None:
    class Idle(Scripted):
        async def look(self) -> None:
            self.locks = False

    operation = Idle(locks=True, prepare=Outcome(is_all=True), commit=Outcome(state=FULL))
    begun = await bench(tmp_path)

    await begun.executor.run(operation)

    assert (operation.steps, begun.lock.reasons) == (("prepare", "commit"), [])
    await clean_kill(begun.worker)
