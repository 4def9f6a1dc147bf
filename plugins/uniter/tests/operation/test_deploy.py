from __future__ import annotations

import pytest
from plugins.uniter.tests.fakemodel import NEW, OLD
from plugins.uniter.tests.fakes import FakeRooms, kind
from plugins.uniter.tests.operation.conftest import BLANK, FULL, STATES

from undercroft_hookspecs import NotFoundError, UndercroftError
from undercroft_uniter.errors import DeployConflict
from undercroft_uniter.operation.deploy import CannotInstall, Deploy
from undercroft_uniter.operation.state import CharmReference, OperationKind, Step

VERBS = ["install", "upgrade to", "switch upgrade to", "continue upgrade to"]
UPGRADES = VERBS[1:]


def deploy(fakes: FakeRooms, verb: str, charm: CharmReference = NEW) -> Deploy:
    kind = OperationKind.INSTALL if verb == "install" else OperationKind.UPGRADE
    return Deploy(kind, charm, fakes.rooms, modified_version=4, verb=verb)


@pytest.mark.parametrize("verb", VERBS)
def test_it_says_what_it_does_and_takes_no_lock(fakes: FakeRooms, verb: str) -> None:
    operation = deploy(fakes, verb)

    assert str(operation) == f"{verb} local:shop-1"
    assert operation.lock_reason == ""
    assert operation.changes_charm


@pytest.mark.parametrize("verb", VERBS)
async def test_what_is_done_is_not_done_again(fakes: FakeRooms, verb: str) -> None:
    operation = deploy(fakes, verb)
    state = BLANK.to(operation.kind, Step.DONE, charm=NEW)

    outcome = await operation.prepare(state)

    assert (outcome.is_all, outcome.state) == (True, None)
    assert fakes.deployer.staged is None
    assert fakes.journal == []


@pytest.mark.parametrize("verb", VERBS)
async def test_a_charm_that_cannot_be_had_changes_nothing(fakes: FakeRooms, verb: str) -> None:
    fakes.deployer.stage_failure = NotFoundError("b" * 64)

    with pytest.raises(NotFoundError):
        await deploy(fakes, verb).prepare(BLANK)

    assert fakes.journal == []


@pytest.mark.parametrize("verb", VERBS)
async def test_a_model_that_refuses_the_charm_changes_nothing(fakes: FakeRooms, verb: str) -> None:
    fakes.unit.remove()

    with pytest.raises(AssertionError):  # The fake's.
        await deploy(fakes, verb).prepare(BLANK)

    assert fakes.deployer.staged == NEW


@pytest.mark.parametrize("begin", STATES)
async def test_the_model_knows_before_the_state_names_the_charm(fakes: FakeRooms, begin: str) -> None:
    verb = "install" if begin == "install" else "upgrade to"
    operation = deploy(fakes, verb)

    outcome = await operation.prepare(STATES[begin])

    assert fakes.journal == ["take up local:shop-1"]
    assert outcome.state is not None
    assert (outcome.state.kind, outcome.state.step, outcome.state.charm) == (operation.kind, Step.PENDING, NEW)
    interrupted = kind("config-changed") if begin in ("hook", "upgrade-hook") else None
    assert outcome.state.hook == interrupted


@pytest.mark.parametrize("begin", STATES)
async def test_a_deployed_charm_is_done(fakes: FakeRooms, begin: str) -> None:
    operation = deploy(fakes, "install" if begin == "install" else "upgrade to")
    prepared = await operation.prepare(STATES[begin])
    assert prepared.state is not None

    outcome = await operation.execute(prepared.state)

    assert fakes.deployer.holds == NEW
    assert outcome.state == prepared.state.to(operation.kind, Step.DONE, charm=NEW, hook=prepared.state.hook)


@pytest.mark.parametrize("verb", UPGRADES)
async def test_a_conflict_is_one(fakes: FakeRooms, verb: str) -> None:
    operation = deploy(fakes, verb)
    prepared = await operation.prepare(FULL)
    assert prepared.state is not None
    fakes.deployer.conflict()

    with pytest.raises(DeployConflict):
        await operation.execute(prepared.state)


async def test_a_first_charm_cannot_be_in_conflict(fakes: FakeRooms) -> None:
    """Nobody could resolve that: it is tried again, as any other failure."""
    operation = deploy(fakes, "install")
    prepared = await operation.prepare(BLANK)
    assert prepared.state is not None
    fakes.deployer.conflict()

    with pytest.raises(CannotInstall, match="cannot install local:shop-1: cannot write"):
        await operation.execute(prepared.state)


@pytest.mark.parametrize("verb", VERBS)
async def test_other_failures_pass(fakes: FakeRooms, verb: str) -> None:
    operation = deploy(fakes, verb)
    prepared = await operation.prepare(BLANK)
    assert prepared.state is not None
    fakes.deployer.failure = UndercroftError("no space")

    with pytest.raises(UndercroftError, match="no space"):
        await operation.execute(prepared.state)


@pytest.mark.parametrize(("verb", "hook"), [("install", "install"), *((verb, "upgrade-charm") for verb in UPGRADES)])
async def test_the_charms_hook_follows(fakes: FakeRooms, verb: str, hook: str) -> None:
    operation = deploy(fakes, verb)

    outcome = await operation.commit(BLANK.to(operation.kind, Step.DONE, charm=NEW))

    assert outcome.state is not None
    assert (outcome.state.kind, outcome.state.step) == (OperationKind.RUN_HOOK, Step.QUEUED)
    assert outcome.state.hook == kind(hook)
    assert outcome.state.charm_modified_version == 4


@pytest.mark.parametrize("verb", UPGRADES)
async def test_an_interrupted_hook_has_still_failed(fakes: FakeRooms, verb: str) -> None:
    operation = deploy(fakes, verb)
    state = FULL.to(OperationKind.UPGRADE, Step.DONE, charm=NEW, hook=kind("start"))

    outcome = await operation.commit(state)

    assert outcome.state is not None
    assert (outcome.state.kind, outcome.state.step) == (OperationKind.RUN_HOOK, Step.PENDING)
    assert outcome.state.hook == kind("start")
    assert outcome.state.charm_modified_version == 4


async def test_another_charm_takes_the_place_of_a_half_deployed_one(fakes: FakeRooms) -> None:
    state = FULL.to(OperationKind.UPGRADE, Step.DONE, charm=OLD)

    outcome = await deploy(fakes, "upgrade to").prepare(state)

    assert outcome.state is not None
    assert (outcome.state.step, outcome.state.charm) == (Step.PENDING, NEW)
