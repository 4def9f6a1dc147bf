from __future__ import annotations

import asyncio

import pytest
from plugins.uniter.tests.fakes import FakeRooms, kind
from plugins.uniter.tests.operation.conftest import FULL

from undercroft_hookspecs import NotValidError, StoreUnavailable, UndercroftError
from undercroft_uniter.errors import RebootNeeded
from undercroft_uniter.operation.commands import RunCommands
from undercroft_uniter.operation.state import OperationKind, OperationState, Step
from undercroft_uniter.seams import Commands, CommandsEnding, Ending

IN_ERROR = FULL.to(OperationKind.RUN_HOOK, Step.PENDING, hook=kind("start"))


@pytest.fixture
def operation(fakes: FakeRooms) -> RunCommands:
    """The operation that runs the only commands."""
    fakes.commands.waiting[4] = Commands(text="true")
    return RunCommands(4, fakes.rooms)


def test_it_says_what_it_does_and_takes_the_lock(operation: RunCommands) -> None:
    assert str(operation) == "run commands 4"
    assert operation.lock_reason == "juju-exec"


@pytest.mark.parametrize("state", [FULL, IN_ERROR])
async def test_commands_are_run_and_answered_without_a_trace(
    fakes: FakeRooms, operation: RunCommands, state: OperationState
) -> None:
    prepared = await operation.prepare(state)
    executed = await operation.execute(state)
    committed = await operation.commit(state)

    assert (prepared.state, executed.state, committed.state) == (None, None, None)
    assert not prepared.is_all
    assert fakes.commands.answers == {4: CommandsEnding(returncode=0, stdout=b"said")}
    assert fakes.status.agent[-1] == ("executing", "running commands")
    assert fakes.journal == ["$ true"]


async def test_commands_that_nobody_waits_for_are_passed_over(fakes: FakeRooms, operation: RunCommands) -> None:
    fakes.commands.waiting.clear()

    outcome = await operation.prepare(FULL)

    assert outcome.is_all


async def test_commands_that_cannot_be_run_are_answered_so(fakes: FakeRooms, operation: RunCommands) -> None:
    fakes.executions.refusal = NotValidError("the unit is in no relation 9", field="relation")

    outcome = await operation.prepare(FULL)

    assert outcome.is_all
    assert fakes.commands.answers == {4: CommandsEnding(returncode=1, failure="the unit is in no relation 9")}


async def test_an_error_is_answered_and_passes(fakes: FakeRooms, operation: RunCommands) -> None:
    fakes.executions.endings["$ true"] = UndercroftError("no socket")
    await operation.prepare(FULL)

    with pytest.raises(UndercroftError, match="no socket"):
        await operation.execute(FULL)

    assert fakes.commands.answers[4].failure == "no socket"


async def test_who_waits_hears_of_a_cancellation(fakes: FakeRooms, operation: RunCommands) -> None:
    fakes.executions.gates["$ true"] = asyncio.Event()
    await operation.prepare(FULL)
    running = asyncio.create_task(operation.execute(FULL))
    await asyncio.sleep(0)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert fakes.commands.answers[4] == CommandsEnding(returncode=1, failure="command execution aborted")


@pytest.mark.parametrize("reboot", ["after", "now"])
@pytest.mark.parametrize("state", [FULL, IN_ERROR], ids=["steady", "error"])
async def test_a_reboot_comes_after_the_answer(
    fakes: FakeRooms, operation: RunCommands, reboot: str, state: OperationState
) -> None:
    fakes.executions.endings["$ true"] = Ending(reboot=reboot)  # type: ignore[arg-type]
    await operation.prepare(state)

    outcome = await operation.execute(state)

    assert isinstance(outcome.error, RebootNeeded)
    assert fakes.commands.answers == {4: CommandsEnding(returncode=0, stdout=b"said")}
    assert outcome.state is not None
    assert (outcome.state.kind, outcome.state.step, outcome.state.hook) == (state.kind, state.step, state.hook)
    assert outcome.state.reboot_boot_id == "boot-1"


async def test_an_outage_while_they_are_looked_at_is_answered(fakes: FakeRooms, operation: RunCommands) -> None:
    fakes.executions.refusal = StoreUnavailable("away", outcome_unknown=False)

    outcome = await operation.prepare(FULL)

    assert outcome.is_all
    assert "away" in fakes.commands.answers[4].failure
