from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from plugins.uniter.tests.fakemodel import NEW, OLD, FakeGuard
from plugins.uniter.tests.fakes import FakeLock, FakeRemote
from plugins.uniter.tests.resolver.conftest import INSTALLED, STARTED

from undercroft import AbortedError, SimpleWorker, Stop
from undercroft_hookspecs import UndercroftError
from undercroft_uniter.errors import HookFailed, Stopping, UnitGone, Waiting
from undercroft_uniter.operation.executor import Executor
from undercroft_uniter.operation.state import OperationKind, OperationState, Step
from undercroft_uniter.operation.statefile import StateFile
from undercroft_uniter.operation.step import Operation, Outcome
from undercroft_uniter.remotestate.snapshot import Snapshot
from undercroft_uniter.resolver.availability import set_available
from undercroft_uniter.resolver.local import LocalState
from undercroft_uniter.resolver.loop import Loop


class Moving(Operation):
    """An operation that takes the unit to a state."""

    def __init__(self, state: OperationState, *, changes: bool = False) -> None:
        self.state, self.changes = state, changes
        self.heard: list[Snapshot] = []
        self.gate: asyncio.Event | None = None
        self.begun = asyncio.Event()
        self.error: UndercroftError | None = None

    @property
    def changes_charm(self) -> bool:
        return self.changes

    async def prepare(self, state: OperationState) -> Outcome:
        return Outcome()

    async def execute(self, state: OperationState) -> Outcome:
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        return Outcome(state=self.state, error=self.error)

    def remote_changed(self, snapshot: Snapshot) -> None:
        self.heard.append(snapshot)

    def end(self) -> None:
        self.error = HookFailed("start", "aborted")
        if self.gate is not None:
            self.gate.set()


class Table:
    """A loop, and a resolver that answers with what it was given, one after the other, and then with nothing."""

    def __init__(self, executor: Executor, worker: SimpleWorker, stop: Stop) -> None:
        self.answers: list[Operation | Exception | None] = []
        self.asked: list[tuple[OperationState, Snapshot]] = []
        self.executor, self.worker, self.stop = executor, worker, stop
        self.remote, self.guard = FakeRemote(), FakeGuard()
        self.local = LocalState(state=executor.state, charm=OLD)
        self.idle = 0
        self.idle_failure: Exception | None = None
        self.quiet = asyncio.Event()

    async def next(self, local: LocalState, snapshot: Snapshot) -> Operation | None:
        self.asked.append((local.state, snapshot))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            self.quiet.set()
            raise answer
        return answer

    async def on_idle(self) -> None:
        self.idle += 1
        self.quiet.set()
        if self.idle_failure is not None:
            raise self.idle_failure

    def start(self) -> asyncio.Task[None]:
        """The loop, running."""
        loop = Loop(
            self,
            executor=self.executor,
            remote=self.remote,
            local=self.local,
            guard=self.guard,
            stop=self.stop,
            on_idle=self.on_idle,
        )

        async def run() -> None:
            await loop.run()

        return asyncio.create_task(run())

    async def settle(self) -> None:
        """Until the loop waits again."""
        async with asyncio.timeout(5):
            await self.quiet.wait()
        self.quiet.clear()

    async def end(self, running: asyncio.Task[None]) -> None:
        """Stop it."""
        self.worker.kill()
        with pytest.raises(Stopping):
            await running


@pytest.fixture
async def table(tmp_path: Path) -> AsyncIterator[Table]:
    """A loop of a started unit."""
    stops: list[Stop] = []

    async def work(stop: Stop) -> None:
        stops.append(stop)
        await stop.wait()

    async with SimpleWorker(work) as worker:
        while not stops:
            await asyncio.sleep(0)
        file = StateFile(tmp_path / "operation.json")
        executor = await Executor.open(file, initial=STARTED, unit="shop/0", lock=FakeLock(), stop=stops[0])
        yield Table(executor, worker, stops[0])


async def test_a_stop_ends_it(table: Table) -> None:
    running = table.start()
    await table.settle()

    await table.end(running)


async def test_it_is_idle_once_for_each_wait(table: Table) -> None:
    running = table.start()
    await table.settle()
    assert table.idle == 1

    table.remote.be(charm=NEW)
    await table.settle()

    assert table.idle == 2
    assert table.asked[-1][1].charm == NEW
    await table.end(running)


async def test_an_error_of_being_idle_ends_it(table: Table) -> None:
    table.idle_failure = UndercroftError("no")

    with pytest.raises(UndercroftError, match="no"):
        await table.start()


async def test_waiting_is_not_being_idle(table: Table) -> None:
    table.answers = [Waiting("for storage"), Waiting("for storage")]
    running = table.start()
    await table.settle()

    table.remote.be(charm=NEW)
    await table.settle()

    assert table.idle == 0
    assert len(table.asked) == 2
    await table.end(running)


async def test_after_an_operation_it_resolves_anew_with_what_is_then(table: Table) -> None:
    operation = Moving(INSTALLED)
    operation.gate = asyncio.Event()
    table.answers = [operation]
    running = table.start()
    await operation.begun.wait()
    table.remote.be(charm=NEW)

    operation.gate.set()
    await table.settle()

    assert [state for state, _ in table.asked] == [STARTED, INSTALLED]
    assert table.asked[-1][1].charm == NEW
    assert table.local.state == INSTALLED
    await table.end(running)


async def test_the_resolvers_error_ends_it(table: Table) -> None:
    table.answers = [UndercroftError("no")]

    with pytest.raises(UndercroftError, match="no"):
        await table.start()


async def test_an_operations_error_ends_it_and_the_local_state_is_as_it_was_written(table: Table) -> None:
    operation = Moving(INSTALLED)
    operation.error = UndercroftError("no")
    table.answers = [operation]

    with pytest.raises(UndercroftError, match="no"):
        await table.start()

    assert table.local.state == INSTALLED


async def test_an_operation_hears_of_changes_while_it_runs(table: Table) -> None:
    operation = Moving(STARTED)
    operation.gate = asyncio.Event()
    table.answers = [operation]
    running = table.start()
    await operation.begun.wait()

    table.remote.be(charm=NEW)
    while not operation.heard:
        await asyncio.sleep(0)
    operation.gate.set()
    await table.settle()

    assert operation.heard[-1].charm == NEW
    assert len(table.asked) == 2
    await table.end(running)


async def test_a_watch_that_fails_does_not_end_what_runs(table: Table) -> None:
    operation = Moving(INSTALLED)
    operation.gate = asyncio.Event()
    table.answers = [operation]
    running = table.start()
    await operation.begun.wait()

    table.remote.fail(UndercroftError("lost sight"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not running.done()
    operation.gate.set()

    with pytest.raises(UndercroftError, match="lost sight"):
        await running
    assert table.local.state == INSTALLED


async def test_what_runs_is_ended_when_the_unit_has_been_removed_whatever_becomes_of_it(table: Table) -> None:
    operation = Moving(STARTED)
    operation.gate = asyncio.Event()
    table.answers = [operation]
    running = table.start()
    await operation.begun.wait()

    table.remote.fail(UnitGone("it has been removed"))

    with pytest.raises(UnitGone):
        await running


async def test_a_watch_that_fails_ends_a_wait(table: Table) -> None:
    running = table.start()
    await table.settle()

    table.remote.fail(UndercroftError("lost sight"))

    with pytest.raises(UndercroftError, match="lost sight"):
        await running


async def test_the_charm_is_opened_at_first_and_after_each_operation(table: Table) -> None:
    table.answers = [Moving(STARTED.to(OperationKind.UPGRADE, Step.DONE, charm=NEW)), Moving(STARTED)]

    running = table.start()
    await table.settle()

    assert table.guard.calls == ["unlock", "lockdown", "unlock"]
    await table.end(running)


async def test_the_charm_is_closed_before_it_is_changed(table: Table) -> None:
    operation = Moving(STARTED, changes=True)
    operation.gate = asyncio.Event()
    table.answers = [operation]
    running = table.start()
    await operation.begun.wait()

    assert table.guard.calls == ["unlock", "lockdown"]
    operation.gate.set()
    await table.settle()
    assert table.guard.calls == ["unlock", "lockdown", "unlock"]
    await table.end(running)


async def test_a_lockdown_heeds_the_stop(table: Table) -> None:
    await set_available(table.guard, False, table.stop)

    assert table.guard.aborts == [table.stop]


async def test_a_lockdown_that_the_stop_has_ended_is_the_end(table: Table) -> None:
    class Crowded(FakeGuard):
        async def lockdown(self, *, abort: object = None) -> None:
            raise AbortedError("somebody is still inside")

    with pytest.raises(Stopping):
        await set_available(Crowded(), False, table.stop)
