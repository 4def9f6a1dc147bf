from __future__ import annotations

import logging

import msgspec
import pytest
from plugins.uniter.tests.fakes import FakeRooms, kind
from plugins.uniter.tests.operation.conftest import BLANK, FULL, running, skipping

from undercroft_hookspecs import NotValidError, StoreUnavailable
from undercroft_uniter.errors import HookFailed, RebootNeeded
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.operation.hook import MOST_PASSED, RunHook
from undercroft_uniter.operation.state import OperationKind, OperationState, Step
from undercroft_uniter.seams import Ending

JOINED = HookInfo(kind=HookKind.RELATION_JOINED, relation=3, remote_unit="mysql/0", remote_application="mysql")
CHANGED = HookInfo(kind=HookKind.RELATION_CHANGED, relation=3, remote_unit="mysql/0", remote_application="mysql")
APP_CHANGED = HookInfo(kind=HookKind.RELATION_CHANGED, relation=3, remote_application="mysql")
DEPARTED = HookInfo(kind=HookKind.RELATION_DEPARTED, relation=3, remote_unit="mysql/0", remote_application="mysql")
BROKEN = HookInfo(kind=HookKind.RELATION_BROKEN, relation=3, remote_application="mysql")
ATTACHED = HookInfo(kind=HookKind.STORAGE_ATTACHED, storage="data/0")
ROTATE = HookInfo(kind=HookKind.SECRET_ROTATE, secret="9m4e2mr0ui3e8a215n4g")
RELATED = [JOINED, CHANGED, APP_CHANGED, DEPARTED, BROKEN]


def at(state: OperationState, step: Step, hook: HookInfo) -> OperationState:
    return state.to(OperationKind.RUN_HOOK, step, hook=hook)


async def run(operation: RunHook, state: OperationState) -> OperationState:
    """Prepare and execute it."""
    prepared = await operation.prepare(state)
    assert prepared.state is not None
    executed = await operation.execute(prepared.state)
    assert executed.state is not None
    assert executed.error is None
    return executed.state


@pytest.mark.parametrize("hook", [HookInfo(kind=HookKind.RELATION_JOINED), HookInfo(kind=HookKind.STORAGE_ATTACHED)])
def test_a_hook_that_is_not_valid_is_refused(fakes: FakeRooms, hook: HookInfo) -> None:
    with pytest.raises(NotValidError):
        running(hook, fakes)
    with pytest.raises(NotValidError):
        skipping(hook, fakes)


@pytest.mark.parametrize(
    ("hook", "text"),
    [
        (kind("install"), "install"),
        (JOINED, "relation-joined (3; mysql/0)"),
        (APP_CHANGED, "relation-changed (3; mysql)"),
        (ATTACHED, "storage-attached (data/0)"),
        (ROTATE, "secret-rotate (9m4e2mr0ui3e8a215n4g)"),
    ],
)
def test_they_say_what_they_do(fakes: FakeRooms, hook: HookInfo, text: str) -> None:
    assert str(running(hook, fakes)) == f"run {text} hook"
    assert str(skipping(hook, fakes)) == f"skip {text} hook"


def test_running_takes_the_lock_and_skipping_does_not(fakes: FakeRooms) -> None:
    assert running(kind("start"), fakes).lock_reason == "start"
    assert skipping(kind("start"), fakes).lock_reason == ""


@pytest.mark.parametrize("begin", [BLANK, FULL])
@pytest.mark.parametrize("hook", [kind("install"), kind("update-status"), ATTACHED, ROTATE, *RELATED])
async def test_a_prepared_hook_is_pending(fakes: FakeRooms, hook: HookInfo, begin: OperationState) -> None:
    outcome = await running(hook, fakes).prepare(begin)

    assert outcome.state == at(begin, Step.PENDING, hook)
    assert not outcome.is_all
    assert fakes.journal == []


async def test_a_relation_that_is_gone_passes_the_hook_over(fakes: FakeRooms) -> None:
    fakes.relations.endpoints.clear()

    outcome = await running(JOINED, fakes).prepare(FULL)

    assert (outcome.is_all, outcome.state) == (True, None)


async def test_a_hook_that_does_not_follow_is_an_error(fakes: FakeRooms) -> None:
    fakes.relations.refusal = NotValidError("mysql/0 has joined already", field="remote_unit")

    with pytest.raises(NotValidError):
        await running(JOINED, fakes).prepare(FULL)


async def test_skipping_asks_nobody(fakes: FakeRooms) -> None:
    fakes.relations.refusal = NotValidError("mysql/0 has joined already", field="remote_unit")

    outcome = await skipping(JOINED, fakes).prepare(FULL)

    assert outcome.is_all


async def test_an_execution_that_cannot_be_made_is_an_error(fakes: FakeRooms) -> None:
    fakes.executions.refusal = StoreUnavailable("away", outcome_unknown=False)

    with pytest.raises(StoreUnavailable):
        await running(kind("start"), fakes).prepare(FULL)


async def test_leader_elected_is_not_run_by_who_leads_no_longer(fakes: FakeRooms) -> None:
    fakes.leadership.leads = False

    outcome = await running(kind("leader-elected"), fakes).prepare(FULL)

    assert outcome.is_all


async def test_leader_elected_is_run_by_the_leader(fakes: FakeRooms) -> None:
    fakes.leadership.leads = True

    outcome = await running(kind("leader-elected"), fakes).prepare(FULL)

    assert outcome.state == at(FULL, Step.PENDING, kind("leader-elected"))


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (kind("install"), "running install hook"),
        (JOINED, "running db-relation-joined hook for mysql/0"),
        (APP_CHANGED, "running db-relation-changed hook"),
        (ATTACHED, "running data-storage-attached hook"),
        (ROTATE, "running secret-rotate hook for secret:9m4e2mr0ui3e8a215n4g"),
    ],
)
async def test_the_agent_says_what_it_runs(fakes: FakeRooms, hook: HookInfo, message: str) -> None:
    await running(hook, fakes).prepare(FULL)

    assert fakes.status.agent[-1] == ("executing", message)


async def test_update_status_is_run_quietly(fakes: FakeRooms) -> None:
    await running(kind("update-status"), fakes).prepare(FULL)

    assert fakes.status.agent == [("allocating", "")]


async def test_an_outage_before_the_hook_is_none_of_its_failures(fakes: FakeRooms) -> None:
    """If it came between `pending` and the script, the unit would be in error for a hook that never ran."""
    fakes.status.failure = StoreUnavailable("away", outcome_unknown=False)

    with pytest.raises(StoreUnavailable):
        await running(kind("install"), fakes).prepare(BLANK)


@pytest.mark.parametrize(
    ("hook", "begin", "said"),
    [
        ("install", BLANK, ("maintenance", "installing charm software")),
        ("stop", FULL, ("maintenance", "stopping charm software")),
        ("remove", FULL, ("maintenance", "cleaning up prior to charm deletion")),
    ],
)
async def test_the_agent_speaks_for_the_charm_before(
    fakes: FakeRooms, hook: str, begin: OperationState, said: tuple[str, str]
) -> None:
    await running(kind(hook), fakes).prepare(begin)

    assert fakes.status.workload[-1] == said


@pytest.mark.parametrize(
    "hook", ["start", "config-changed", "upgrade-charm", "update-status", "leader-settings-changed"]
)
async def test_the_agent_keeps_still_before_other_hooks(fakes: FakeRooms, hook: str) -> None:
    await running(kind(hook), fakes).prepare(FULL)

    assert len(fakes.status.workload) == 1


async def test_install_does_not_talk_over_a_charm_that_has_spoken(fakes: FakeRooms) -> None:
    await running(kind("install"), fakes).prepare(msgspec.structs.replace(BLANK, status_set=True))

    assert len(fakes.status.workload) == 1


@pytest.mark.parametrize("begin", [BLANK, FULL])
@pytest.mark.parametrize("hook", [kind("install"), kind("stop"), kind("update-status"), ATTACHED, ROTATE, *RELATED])
async def test_a_hook_that_ended_well_is_done(fakes: FakeRooms, hook: HookInfo, begin: OperationState) -> None:
    state = await run(running(hook, fakes), begin)

    assert state == at(begin, Step.DONE, hook)
    assert len(fakes.journal) == 1


async def test_a_script_that_is_missing_is_no_failure(fakes: FakeRooms, caplog: pytest.LogCaptureFixture) -> None:
    fakes.executions.endings["stop"] = Ending(is_missing=True)
    caplog.set_level(logging.INFO)

    state = await run(running(kind("stop"), fakes), FULL)

    assert state.step is Step.DONE
    assert "ran stop" not in caplog.text


async def test_what_the_charm_says_of_its_workload_is_remembered(fakes: FakeRooms) -> None:
    fakes.executions.endings["install"] = Ending(is_status_set=True)

    state = await run(running(kind("install"), fakes), BLANK)

    assert state.status_set


async def test_a_failure_gives_no_state(fakes: FakeRooms, caplog: pytest.LogCaptureFixture) -> None:
    fakes.executions.endings["start"] = Ending(failure="exit status 3", is_status_set=True)
    operation = running(kind("start"), fakes)
    await operation.prepare(BLANK)

    outcome = await operation.execute(at(BLANK, Step.PENDING, kind("start")))

    assert outcome.state is None
    assert isinstance(outcome.error, HookFailed)
    assert (outcome.error.script, outcome.error.reason) == ("start", "exit status 3")
    assert "shop/0: hook start failed: exit status 3" in caplog.text


async def test_a_failed_hook_that_asked_for_a_reboot_gets_none(fakes: FakeRooms) -> None:
    fakes.executions.endings["start"] = Ending(failure="exit status 3", reboot="after")
    operation = running(kind("start"), fakes)
    await operation.prepare(BLANK)

    outcome = await operation.execute(at(BLANK, Step.PENDING, kind("start")))

    assert isinstance(outcome.error, HookFailed)


async def test_a_reboot_after_the_hook_finds_it_done(fakes: FakeRooms) -> None:
    fakes.executions.endings["install"] = Ending(reboot="after")
    operation = running(kind("install"), fakes)
    await operation.prepare(BLANK)

    outcome = await operation.execute(at(BLANK, Step.PENDING, kind("install")))

    assert isinstance(outcome.error, RebootNeeded)
    assert outcome.state is not None
    assert (outcome.state.step, outcome.state.reboot_boot_id) == (Step.DONE, "boot-1")
    assert fakes.status.agent[-1] == ("rebooting", "")


async def test_a_reboot_now_runs_the_hook_again(fakes: FakeRooms) -> None:
    fakes.executions.endings["install"] = Ending(reboot="now", failure="killed by signal 9")
    operation = running(kind("install"), fakes)
    await operation.prepare(BLANK)

    outcome = await operation.execute(at(BLANK, Step.PENDING, kind("install")))

    assert isinstance(outcome.error, RebootNeeded)
    assert outcome.state is not None
    assert (outcome.state.step, outcome.state.hook) == (Step.QUEUED, kind("install"))


async def test_a_reboot_is_not_forgotten_when_it_cannot_be_said(fakes: FakeRooms) -> None:
    fakes.executions.endings["start"] = Ending(reboot="after")
    operation = running(kind("start"), fakes)
    await operation.prepare(FULL)
    fakes.status.failure = StoreUnavailable("away", outcome_unknown=False)

    outcome = await operation.execute(at(FULL, Step.PENDING, kind("start")))

    assert isinstance(outcome.error, RebootNeeded)
    assert outcome.state is not None
    assert outcome.state.step is Step.DONE


@pytest.mark.parametrize(
    ("hook", "begin", "said"),
    [
        ("start", BLANK, ("unknown", "")),
        ("start", msgspec.structs.replace(BLANK, status_set=True), None),
        ("stop", FULL, ("maintenance", "")),
        ("remove", FULL, ("terminated", "")),
        ("install", BLANK, None),
        ("config-changed", BLANK, None),
    ],
)
async def test_the_agent_speaks_for_the_charm_after(
    fakes: FakeRooms, hook: str, begin: OperationState, said: tuple[str, str] | None
) -> None:
    before = fakes.status.workload[-1]

    await running(kind(hook), fakes).commit(at(begin, Step.DONE, kind(hook)))

    assert fakes.status.workload[-1] == (said or before)


async def test_a_skipped_start_says_nothing_of_the_workload(fakes: FakeRooms) -> None:
    await skipping(kind("start"), fakes).commit(at(BLANK, Step.PENDING, kind("start")))

    assert len(fakes.status.workload) == 1


@pytest.mark.parametrize("make", [running, skipping])
@pytest.mark.parametrize(
    ("hook", "begin", "follows"),
    [
        ("config-changed", BLANK, "start"),
        ("config-changed", FULL, None),
        ("upgrade-charm", BLANK, "config-changed"),
        ("upgrade-charm", FULL, "config-changed"),
        ("install", BLANK, None),
        ("start", BLANK, None),
        ("stop", FULL, None),
        ("leader-elected", FULL, None),
    ],
)
async def test_what_follows(
    fakes: FakeRooms, make: type[RunHook], hook: str, begin: OperationState, follows: str | None
) -> None:
    outcome = await make(kind(hook), fakes).commit(at(begin, Step.DONE, kind(hook)))  # type: ignore[call-arg, arg-type]

    assert outcome.state is not None
    if follows is None:
        assert (outcome.state.kind, outcome.state.step) == (OperationKind.CONTINUE, Step.PENDING)
    else:
        assert (outcome.state.kind, outcome.state.step) == (OperationKind.RUN_HOOK, Step.QUEUED)
        assert outcome.state.hook == kind(follows)


@pytest.mark.parametrize(
    ("hook", "flags"),
    [
        ("install", {"installed": True, "removed": False}),
        ("start", {"started": True, "stopped": False}),
        ("stop", {"stopped": True}),
        ("remove", {"removed": True}),
    ],
)
@pytest.mark.parametrize("begin", [BLANK, FULL, msgspec.structs.replace(FULL, stopped=True, removed=True)])
@pytest.mark.parametrize("step", [Step.DONE, Step.PENDING])
async def test_what_the_unit_has_been_through(
    fakes: FakeRooms, hook: str, flags: dict[str, bool], begin: OperationState, step: Step
) -> None:
    outcome = await skipping(kind(hook), fakes).commit(at(begin, step, kind(hook)))

    assert outcome.state is not None
    expected = msgspec.structs.replace(begin, **flags)
    for name in ("installed", "started", "stopped", "removed", "leader", "status_set"):
        assert getattr(outcome.state, name) == getattr(expected, name)


@pytest.mark.parametrize("make", [running, skipping])
async def test_rooms_hear_of_their_hooks(fakes: FakeRooms, make: type[RunHook]) -> None:
    for hook in (JOINED, ATTACHED, ROTATE):
        await make(hook, fakes).commit(at(FULL, Step.DONE, hook))  # type: ignore[call-arg, arg-type]

    assert fakes.relations.committed == [JOINED]
    assert fakes.storage.committed == [ATTACHED]
    assert fakes.remote.secrets_done == [ROTATE]


async def test_config_changed_is_kept_with_what_it_has_seen(fakes: FakeRooms) -> None:
    """Were it kept by the commit, one after a crash would keep what was changed in between, and never run for it."""
    state = await run(running(kind("config-changed"), fakes), FULL)

    assert (state.config_hash, state.trust_hash, state.addresses_hash) == ("c", "t", "a")


async def test_a_commit_after_a_crash_does_not_keep_what_config_changed_has_not_seen(fakes: FakeRooms) -> None:
    seen = msgspec.structs.replace(FULL, config_hash="seen")

    outcome = await skipping(kind("config-changed"), fakes).commit(at(seen, Step.DONE, kind("config-changed")))

    assert outcome.state is not None
    assert outcome.state.config_hash == "seen"


async def test_a_skipped_config_changed_counts_as_seen(fakes: FakeRooms) -> None:
    outcome = await skipping(kind("config-changed"), fakes).commit(at(FULL, Step.PENDING, kind("config-changed")))

    assert outcome.state is not None
    assert outcome.state.config_hash == "c"


async def test_start_keeps_the_boot_that_it_ran_in(fakes: FakeRooms) -> None:
    state = await run(running(kind("start"), fakes), FULL)
    fakes.boot_id = "boot-2"

    outcome = await skipping(kind("start"), fakes).commit(state)

    assert outcome.state is not None
    assert outcome.state.boot_id == "boot-1"


async def test_a_failing_room_leaves_the_hook_done(fakes: FakeRooms) -> None:
    class Full(type(fakes.relations)):  # type: ignore[misc]
        async def commit(self, hook: HookInfo) -> None:
            raise OSError("no space left on device")

    fakes.relations = Full()

    with pytest.raises(OSError, match="no space"):
        await running(JOINED, fakes).commit(at(FULL, Step.DONE, JOINED))


DEPARTED_1 = msgspec.structs.replace(DEPARTED, remote_unit="mysql/1")
JOINED_1 = msgspec.structs.replace(JOINED, remote_unit="mysql/1")


async def test_what_the_charm_has_not_takes_no_lock_and_is_neither_announced_nor_executed(fakes: FakeRooms) -> None:
    fakes.executions.absent = {"update-status"}
    operation = running(kind("update-status"), fakes)

    await operation.look()
    outcome = await operation.prepare(FULL)
    committed = await operation.commit(FULL)

    assert (operation.lock_reason, outcome.is_all, outcome.state) == ("", True, None)
    assert committed.state == FULL
    assert (fakes.executions.hooks, fakes.status.agent[-1]) == ([], ("allocating", ""))


async def test_what_the_charm_has_is_run_as_ever(fakes: FakeRooms) -> None:
    fakes.executions.absent = {"stop"}
    operation = running(kind("start"), fakes)

    await operation.look()

    assert operation.lock_reason == "start"
    assert not (await operation.prepare(FULL)).is_all


async def test_a_start_that_the_charm_has_not_counts_as_run(fakes: FakeRooms) -> None:
    fakes.executions.absent = {"start"}
    operation = running(kind("start"), fakes)

    await operation.look()
    await operation.prepare(at(BLANK, Step.QUEUED, kind("start")))
    outcome = await operation.commit(at(BLANK, Step.QUEUED, kind("start")))

    assert outcome.state is not None
    assert (outcome.state.started, outcome.state.boot_id) == (True, fakes.boot_id)
    assert fakes.status.workload[-1] == ("unknown", "")


async def test_a_config_changed_that_the_charm_has_not_counts_as_seen(fakes: FakeRooms) -> None:
    fakes.executions.absent = {"config-changed"}
    operation = running(kind("config-changed"), fakes)

    await operation.look()
    outcome = await operation.commit(FULL)

    assert outcome.state is not None
    assert outcome.state.config_hash == "c"


async def test_a_leader_elected_that_the_charm_has_not_counts_as_run(fakes: FakeRooms) -> None:
    fakes.executions.absent, fakes.leadership.leads = {"leader-elected"}, True
    operation = running(kind("leader-elected"), fakes)

    await operation.look()
    assert (await operation.prepare(FULL)).is_all
    outcome = await operation.commit(at(FULL, Step.QUEUED, kind("leader-elected")))

    assert outcome.state == FULL


async def test_all_that_is_due_in_a_relation_is_passed_over_at_once(fakes: FakeRooms) -> None:
    fakes.executions.absent = {"db-relation-joined", "db-relation-changed"}
    due = (CHANGED, JOINED_1, DEPARTED_1, APP_CHANGED)
    operation = running(JOINED, fakes, *due)

    await operation.look()
    await operation.prepare(FULL)
    await operation.commit(FULL)

    assert fakes.relations.committed == fakes.executions.passed == [JOINED, CHANGED, JOINED_1]
    said = [message for _, _, message in fakes.log.own]
    assert "skipped db-relation-joined hook (2 times): the charm has none" in said


async def test_only_so_many_are_passed_over_at_once(fakes: FakeRooms) -> None:
    fakes.executions.absent = {"db-relation-changed"}
    operation = running(CHANGED, fakes, *[CHANGED] * MOST_PASSED)

    await operation.look()
    await operation.commit(FULL)

    assert len(fakes.relations.committed) == MOST_PASSED


async def test_a_relation_that_is_gone_since_it_was_looked_at_passes_nothing_over(fakes: FakeRooms) -> None:
    fakes.executions.absent = {"db-relation-joined"}
    operation = running(JOINED, fakes, JOINED_1)
    await operation.look()
    fakes.relations.endpoints.clear()

    assert (await operation.prepare(FULL)).is_all
    await operation.commit(FULL)

    assert (fakes.relations.committed, fakes.executions.passed) == ([JOINED], [])


async def test_a_hook_that_does_not_follow_is_left_to_its_preparation(fakes: FakeRooms) -> None:
    fakes.relations.refusal = NotValidError("mysql/0 has joined already", field="remote_unit")
    fakes.executions.absent = {"db-relation-joined"}
    operation = running(JOINED, fakes)

    await operation.look()

    assert operation.lock_reason
    with pytest.raises(NotValidError):
        await operation.prepare(FULL)
