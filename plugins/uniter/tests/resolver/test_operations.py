from __future__ import annotations

import pytest
from plugins.uniter.tests.fakemodel import NEW, OLD
from plugins.uniter.tests.fakes import action, bad_action, kind
from plugins.uniter.tests.resolver.conftest import STARTED, Bench, Make

from undercroft_hookspecs import NotValidError
from undercroft_hookspecs.unit_facades import ConfigHashes
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.operation.state import OperationKind, OperationState, Step
from undercroft_uniter.operation.step import Operation, Outcome

JOINED = HookInfo(kind=HookKind.RELATION_JOINED, relation=3, remote_unit="mysql/0", remote_application="mysql")


async def through(operation: Operation, state: OperationState) -> OperationState:
    """All steps of an operation that executes something."""
    for step in (operation.prepare, operation.execute, operation.commit):
        state = (await step(state)).state or state
    return state


async def test_a_new_local_state_has_seen_nothing(started: Bench) -> None:
    local = started.local

    assert (local.update_status_version, local.retry_hook_version, local.leader_settings_version) == (0, 0, 0)
    assert (local.completed_actions, local.conflicted, local.restart) == (set(), False, False)


@pytest.mark.parametrize("how", ["run", "skip"])
async def test_a_committed_hook_has_seen_the_ticks_of_when_it_was_made(started: Bench, how: str) -> None:
    started.fakes.remote.be(update_status_version=4, leader_settings_version=6)
    make = started.operations().run_hook if how == "run" else started.operations().skip_hook
    operation = make(kind("config-changed"))
    started.fakes.remote.be(update_status_version=5)

    await operation.commit(STARTED.to(OperationKind.RUN_HOOK, Step.DONE, hook=kind("config-changed")))

    assert started.local.update_status_version == 4
    assert started.local.leader_settings_version == 0


async def test_leader_settings_changed_has_seen_the_settings(started: Bench) -> None:
    started.fakes.remote.be(leader_settings_version=6)

    await started.operations().run(HookKind.LEADER_SETTINGS_CHANGED).commit(STARTED)

    assert started.local.leader_settings_version == 6


async def test_a_try_is_counted_before_it_is_executed(started: Bench) -> None:
    started.fakes.remote.be(retry_hook_version=2)

    await started.operations().run_hook(kind("start")).prepare(STARTED)

    assert started.local.retry_hook_version == 2


async def test_what_is_passed_over_is_no_try(started: Bench) -> None:
    started.fakes.remote.be(retry_hook_version=2)
    started.fakes.relations.endpoints.clear()

    assert (await started.operations().run_hook(JOINED).prepare(STARTED)).is_all
    assert (await started.operations().skip_hook(kind("start")).prepare(STARTED)).is_all

    assert started.local.retry_hook_version == 0


async def test_config_changed_has_seen_the_hashes_of_when_it_was_made(started: Bench) -> None:
    started.fakes.remote.be(hashes=ConfigHashes(config="1", trust="2", addresses="3"))
    operation = started.operations().run(HookKind.CONFIG_CHANGED)
    started.fakes.remote.be(hashes=ConfigHashes(config="4", trust="5", addresses="6"))

    state = await through(operation, STARTED)

    assert (state.config_hash, state.trust_hash, state.addresses_hash) == ("1", "2", "3")


@pytest.mark.parametrize("verb", ["upgrade to", "switch upgrade to", "continue upgrade to"])
async def test_an_upgrade_makes_for_a_restart(started: Bench, verb: str) -> None:
    started.local.conflicted = True
    started.fakes.remote.be(charm_modified_version=3)
    operation = started.operations().upgrade(NEW, verb=verb)
    started.fakes.remote.be(charm_modified_version=4)

    state = await through(operation, STARTED)

    assert (started.local.charm, started.local.restart, started.local.conflicted) == (NEW, True, False)
    assert state.charm_modified_version == 3


async def test_an_install_is_the_charms_first_version(make: Make) -> None:
    bench = make(OperationState(kind=OperationKind.INSTALL, step=Step.QUEUED, charm=OLD))
    bench.local.charm = None
    bench.fakes.remote.be(charm_modified_version=3)

    state = await through(bench.operations().install(OLD), bench.local.state)

    assert bench.local.charm == OLD
    assert not bench.local.restart
    assert state.charm_modified_version == 3


async def test_no_other_hook_keeps_the_charms_version(started: Bench) -> None:
    started.fakes.remote.be(charm_modified_version=3)

    state = await through(started.operations().run(HookKind.START), STARTED)

    assert state.charm_modified_version == 0


async def test_a_commit_that_fails_is_not_noted(started: Bench) -> None:
    started.fakes.remote.be(update_status_version=4)

    class Full(type(started.fakes.relations)):  # type: ignore[misc]
        async def commit(self, hook: HookInfo) -> None:
            raise OSError("no space left on device")

    started.fakes.relations = Full()

    with pytest.raises(OSError):
        await started.operations().run_hook(JOINED).commit(STARTED)

    assert started.local.update_status_version == 0


def test_what_cannot_be_made_is_an_error(started: Bench) -> None:
    with pytest.raises(NotValidError):
        started.operations().run_hook(HookInfo(kind=HookKind.RELATION_JOINED))
    with pytest.raises(NotValidError):
        started.operations().skip_hook(HookInfo(kind=HookKind.STORAGE_ATTACHED))


async def test_an_action_that_was_refused_counts_as_completed(started: Bench) -> None:
    started.fakes.executions.refusal = bad_action()
    started.fakes.remote.be(actions=(action(7),))

    await started.run()

    assert started.local.completed_actions == {7}
    assert started.fakes.actions.ended == {7: ("failed", "no such action")}


async def test_commands_are_done_once_they_are_committed(started: Bench) -> None:
    started.fakes.remote.be(commands=(4,))
    operation = started.operations().run_commands(4)
    outcome: Outcome = await operation.prepare(STARTED)
    assert started.fakes.remote.commands_done == []

    assert outcome.is_all
    await operation.commit(STARTED)

    assert started.fakes.remote.commands_done == [4]
