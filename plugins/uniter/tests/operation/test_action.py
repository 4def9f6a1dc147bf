from __future__ import annotations

from dataclasses import replace

import pytest
from plugins.uniter.tests.fakes import FakeRooms, action, bad_action, kind
from plugins.uniter.tests.operation.conftest import BLANK, FULL

from undercroft_hookspecs import NotFoundError, NotValidError, StoreUnavailable, UndercroftError
from undercroft_uniter.operation.action import EndAction, LeaveAction, RunAction
from undercroft_uniter.operation.state import OperationKind, OperationState, Step
from undercroft_uniter.seams import Ending

IN_ERROR = FULL.to(OperationKind.RUN_HOOK, Step.PENDING, hook=kind("start"))
AWAY = StoreUnavailable("away", outcome_unknown=False)
BEGINS = pytest.mark.parametrize("begin", [BLANK, FULL, IN_ERROR], ids=["blank", "full", "error"])


def at(state: OperationState, step: Step) -> OperationState:
    return state.to(OperationKind.RUN_ACTION, step, action=7, hook=state.hook)


def back(state: OperationState) -> OperationState:
    return state.to(OperationKind.RUN_HOOK if state.hook else OperationKind.CONTINUE, Step.PENDING, hook=state.hook)


def test_it_says_what_it_does(fakes: FakeRooms) -> None:
    assert str(RunAction(action(7), fakes.rooms)) == "run action 7 (backup)"
    assert str(EndAction(7, fakes.rooms, status="failed")) == "end action 7 as failed"
    assert str(LeaveAction(7)) == "leave action 7"


@pytest.mark.parametrize(
    ("parallel", "group", "locks"), [(False, "", True), (True, "", False), (True, "g", True), (False, "g", True)]
)
def test_only_actions_that_run_beside_all_others_go_without_the_lock(
    fakes: FakeRooms, parallel: bool, group: str, locks: bool
) -> None:
    operation = RunAction(action(7, parallel=parallel, execution_group=group), fakes.rooms)

    assert bool(operation.lock_reason) is locks


def test_ending_one_takes_the_lock(fakes: FakeRooms) -> None:
    assert EndAction(7, fakes.rooms, status="failed").lock_reason


@BEGINS
async def test_a_prepared_action_is_pending_and_its_task_runs(fakes: FakeRooms, begin: OperationState) -> None:
    outcome = await RunAction(action(7), fakes.rooms).prepare(begin)

    assert outcome.state == at(begin, Step.PENDING)
    assert fakes.actions.begun == [7]
    assert fakes.status.agent[-1] == ("executing", "running action backup")


async def test_an_action_that_the_charm_does_not_have_fails(fakes: FakeRooms) -> None:
    fakes.executions.refusal = bad_action()

    outcome = await RunAction(action(7), fakes.rooms).prepare(FULL)

    assert (outcome.is_all, outcome.state) == (True, None)
    assert fakes.actions.ended == {7: ("failed", "no such action")}
    assert fakes.actions.begun == []


async def test_a_failure_that_cannot_be_reported_is_an_error(fakes: FakeRooms) -> None:
    fakes.executions.refusal = bad_action()

    class Away(type(fakes.actions)):  # type: ignore[misc]
        async def finish(self, *_: object, **__: object) -> None:
            raise AWAY

    fakes.actions = Away(fakes.journal)

    with pytest.raises(StoreUnavailable):
        await RunAction(action(7), fakes.rooms).prepare(FULL)


@pytest.mark.parametrize("refusal", [NotFoundError("7"), NotValidError("it is cancelled", field="action")])
async def test_an_action_that_was_called_off_is_passed_over(fakes: FakeRooms, refusal: Exception) -> None:
    fakes.actions.refusal = refusal

    outcome = await RunAction(action(7), fakes.rooms).prepare(FULL)

    assert outcome.is_all
    assert fakes.actions.ended == {}


@pytest.mark.parametrize("where", ["execution", "task"])
async def test_other_errors_pass(fakes: FakeRooms, where: str) -> None:
    if where == "task":
        fakes.actions.refusal = AWAY
    else:
        fakes.executions.refusal = AWAY

    with pytest.raises(StoreUnavailable):
        await RunAction(action(7), fakes.rooms).prepare(FULL)


async def test_a_task_that_was_marked_before_a_crash_is_run(fakes: FakeRooms) -> None:
    """The state does not say that it was begun, so it was not: only the mark had been set."""
    fakes.actions.begun.append(7)

    outcome = await RunAction(action(7, status="running"), fakes.rooms).prepare(FULL)

    assert outcome.state == at(FULL, Step.PENDING)


@BEGINS
@pytest.mark.parametrize("ending", [Ending(), Ending(failure="exit status 1"), Ending(is_missing=True)])
async def test_an_executed_action_is_done_however_it_ended(
    fakes: FakeRooms, begin: OperationState, ending: Ending
) -> None:
    fakes.executions.endings["backup"] = ending
    operation = RunAction(action(7), fakes.rooms)
    prepared = await operation.prepare(begin)
    assert prepared.state is not None

    outcome = await operation.execute(prepared.state)

    assert outcome.state == at(begin, Step.DONE)
    assert outcome.error is None


async def test_what_keeps_it_from_running_is_an_error(fakes: FakeRooms) -> None:
    fakes.executions.endings["backup"] = UndercroftError("no socket")
    operation = RunAction(action(7), fakes.rooms)
    prepared = await operation.prepare(FULL)
    assert prepared.state is not None

    with pytest.raises(UndercroftError, match="no socket"):
        await operation.execute(prepared.state)


@BEGINS
@pytest.mark.parametrize("make", ["run", "end", "leave"])
async def test_the_unit_goes_back_to_what_it_was_at(fakes: FakeRooms, begin: OperationState, make: str) -> None:
    operation = {
        "run": RunAction(action(7), fakes.rooms),
        "end": EndAction(7, fakes.rooms, status="failed"),
        "leave": LeaveAction(7),
    }[make]

    outcome = await operation.commit(at(begin, Step.DONE))

    assert outcome.state == back(begin)


@BEGINS
async def test_an_action_that_was_passed_over_leaves_the_unit_as_it_was(
    fakes: FakeRooms, begin: OperationState
) -> None:
    outcome = await RunAction(action(7), fakes.rooms).commit(begin)

    assert outcome.state == back(begin)


@BEGINS
@pytest.mark.parametrize("status", ["failed", "aborted"])
async def test_an_action_that_cannot_be_run_is_ended(fakes: FakeRooms, begin: OperationState, status: str) -> None:
    operation = EndAction(7, fakes.rooms, status=status)  # type: ignore[arg-type]
    prepared = await operation.prepare(begin)
    assert prepared.state == at(begin, Step.PENDING)

    outcome = await operation.execute(prepared.state)

    assert outcome.state == at(begin, Step.DONE)
    assert fakes.actions.ended == {7: (status, "action terminated")}


async def test_an_action_that_nobody_knows_any_more_is_ended(fakes: FakeRooms) -> None:
    class Gone(type(fakes.actions)):  # type: ignore[misc]
        async def finish(self, *_: object, **__: object) -> None:
            raise NotFoundError("7")

    fakes.actions = Gone(fakes.journal)

    outcome = await EndAction(7, fakes.rooms, status="failed").execute(at(FULL, Step.PENDING))

    assert outcome.state == at(FULL, Step.DONE)


async def test_a_change_of_mind_kills_it_once(fakes: FakeRooms) -> None:
    operation = RunAction(action(7), fakes.rooms)
    await operation.prepare(FULL)
    execution = fakes.executions.last
    assert execution is not None

    operation.remote_changed(replace(fakes.remote.now, actions=(action(7, status="running"),)))
    assert not execution.is_aborted
    operation.remote_changed(replace(fakes.remote.now, actions=(action(8, status="aborting"),)))
    assert not execution.is_aborted
    operation.remote_changed(replace(fakes.remote.now, actions=(action(7, status="aborting"),)))

    assert execution.is_aborted
