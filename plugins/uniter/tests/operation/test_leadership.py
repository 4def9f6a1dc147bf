from __future__ import annotations

import msgspec
import pytest
from plugins.uniter.tests.fakemodel import NEW
from plugins.uniter.tests.fakes import kind
from plugins.uniter.tests.operation.conftest import BLANK, FULL

from undercroft_hookspecs import NotValidError
from undercroft_uniter.operation.leadership import AcceptLeadership, ResignLeadership
from undercroft_uniter.operation.state import OperationKind, OperationState, Step

FOLLOWER = msgspec.structs.replace(FULL, leader=False)


def test_they_say_what_they_do_and_take_no_lock() -> None:
    assert (str(AcceptLeadership()), AcceptLeadership().lock_reason) == ("accept leadership", "")
    assert (str(ResignLeadership()), ResignLeadership().lock_reason) == ("resign leadership", "")


@pytest.mark.parametrize(
    "state",
    [
        FULL.to(OperationKind.RUN_HOOK, Step.PENDING, hook=kind("start")),
        FULL.to(OperationKind.UPGRADE, Step.PENDING, charm=NEW),
        FULL.to(OperationKind.RUN_ACTION, Step.PENDING, action=7),
    ],
    ids=lambda state: str(state.kind),
)
async def test_leadership_is_not_accepted_in_the_middle_of_something(state: OperationState) -> None:
    with pytest.raises(NotValidError, match="cannot accept leadership"):
        await AcceptLeadership().prepare(state)


@pytest.mark.parametrize("state", [FULL, FOLLOWER, BLANK])
async def test_accepting_needs_no_execution(state: OperationState) -> None:
    assert (await AcceptLeadership().prepare(state)).is_all


@pytest.mark.parametrize("state", [BLANK, FOLLOWER])
async def test_accepting_queues_leader_elected(state: OperationState) -> None:
    outcome = await AcceptLeadership().commit(state)

    expected = msgspec.structs.replace(state, leader=True)
    assert outcome.state == expected.to(OperationKind.RUN_HOOK, Step.QUEUED, hook=kind("leader-elected"))


async def test_a_leader_accepts_nothing() -> None:
    assert (await AcceptLeadership().commit(FULL)).state is None


@pytest.mark.parametrize("state", [FULL, FOLLOWER])
async def test_resigning_needs_no_execution(state: OperationState) -> None:
    assert (await ResignLeadership().prepare(state)).is_all


@pytest.mark.parametrize("state", [FULL, FULL.to(OperationKind.RUN_HOOK, Step.PENDING, hook=kind("start"))])
async def test_resigning_forgets_nothing_but_the_leadership(state: OperationState) -> None:
    assert (await ResignLeadership().commit(state)).state == msgspec.structs.replace(state, leader=False)


async def test_a_follower_resigns_nothing() -> None:
    assert (await ResignLeadership().commit(FOLLOWER)).state is None
