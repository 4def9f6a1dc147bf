from __future__ import annotations

import msgspec
import pytest
from plugins.uniter.tests.fakes import action, kind
from plugins.uniter.tests.resolver.conftest import BLANK, INSTALLED, STARTED, Make

from undercroft_hookspecs.state import Life
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.operation.state import OperationKind, OperationState, Step
from undercroft_uniter.resolver.actions import next_action
from undercroft_uniter.resolver.availability import is_available
from undercroft_uniter.resolver.leadership import next_leadership
from undercroft_uniter.resolver.secrets import next_secret

ROTATE = HookInfo(kind=HookKind.SECRET_ROTATE, secret="9m4e2mr0ui3e8a215n4g")
LEADER = msgspec.structs.replace(STARTED, leader=True)
IN_ERROR = STARTED.to(OperationKind.RUN_HOOK, Step.PENDING, hook=kind("start"))
QUEUED = STARTED.to(OperationKind.RUN_HOOK, Step.QUEUED, hook=kind("start"))
STUCK = STARTED.to(OperationKind.RUN_ACTION, Step.PENDING, action=7)
EXECUTED = STARTED.to(OperationKind.RUN_ACTION, Step.DONE, action=7)


class TestActions:
    """`next_action`."""

    @pytest.mark.parametrize(
        ("state", "actions", "expected"),
        [
            (STARTED, (), ""),
            (STARTED, (action(7), action(8)), "run action 7 (backup)"),
            (BLANK, (action(7),), "run action 7 (backup)"),
            (IN_ERROR, (action(7),), "run action 7 (backup)"),
            (QUEUED, (action(7),), ""),
            (STARTED, (action(7, status="running"),), "run action 7 (backup)"),
            (STARTED, (action(7, status="aborting"),), "end action 7 as aborted"),
            (STUCK, (action(7, status="running"), action(8)), "end action 7 as failed"),
            (STUCK, (action(7, status="aborting"),), "end action 7 as aborted"),
            (STUCK, (action(8),), "end action 7 as failed"),
            (STUCK, (), "end action 7 as failed"),
            (EXECUTED, (action(8),), "leave action 7"),
            (EXECUTED, (), "leave action 7"),
        ],
    )
    async def test_what_is_next(
        self, make: Make, state: OperationState, actions: tuple[object, ...], expected: str
    ) -> None:
        bench = make(state)
        bench.fakes.remote.be(actions=actions)

        found = next_action(bench.local, bench.fakes.remote.now, bench.operations())

        assert str(found or "") == expected

    async def test_what_is_completed_is_not_run_again(self, make: Make) -> None:
        bench = make(STARTED)
        bench.local.completed_actions = {7}
        bench.fakes.remote.be(actions=(action(7), action(8)))

        found = next_action(bench.local, bench.fakes.remote.now, bench.operations())

        assert str(found) == "run action 8 (backup)"

    async def test_three_are_run_in_their_order(self, make: Make) -> None:
        bench = make(STARTED)
        bench.fakes.remote.be(actions=(action(7, "first"), action(8, "second"), action(9, "third")))

        for _ in range(3):
            await bench.run()

        assert bench.fakes.journal == ["first", "second", "third"]
        assert await bench.next() == ""
        assert bench.local.completed_actions == {7, 8, 9}

    async def test_completed_actions_that_are_gone_are_forgotten(self, make: Make) -> None:
        bench = make(STARTED)
        bench.fakes.remote.be(actions=(action(7),))
        await bench.run()
        bench.fakes.remote.be(actions=(action(8),))

        await bench.run()

        assert bench.local.completed_actions == {8}

    async def test_a_crash_in_error_goes_back_to_it(self, make: Make) -> None:
        bench = make(STARTED.to(OperationKind.RUN_ACTION, Step.PENDING, action=7, hook=kind("start")))

        await bench.run()

        assert bench.fakes.actions.ended == {7: ("failed", "action terminated")}
        assert bench.local.state == IN_ERROR


class TestLeadership:
    """`next_leadership`."""

    @pytest.mark.parametrize(
        ("state", "wanted", "expected"),
        [
            (BLANK, {"is_leader": True}, ""),
            (BLANK, {"leader_settings_version": 1}, ""),
            (INSTALLED, {"is_leader": True}, "accept leadership"),
            (STARTED, {"is_leader": True, "leader_settings_version": 1}, "accept leadership"),
            (STARTED, {"is_leader": True, "life": Life.DYING}, ""),
            (IN_ERROR, {"is_leader": True}, ""),
            (LEADER, {"is_leader": True, "leader_settings_version": 5}, ""),
            (LEADER, {"is_leader": False}, "resign leadership"),
            (LEADER, {"is_leader": True, "life": Life.DYING}, "resign leadership"),
            (msgspec.structs.replace(IN_ERROR, leader=True), {}, "resign leadership"),
            (STARTED, {"leader_settings_version": 1}, "run leader-settings-changed hook"),
            (STARTED, {"leader_settings_version": 1, "life": Life.DYING}, "run leader-settings-changed hook"),
            (msgspec.structs.replace(STARTED, stopped=True), {"leader_settings_version": 1, "life": Life.DYING}, ""),
            (IN_ERROR, {"leader_settings_version": 1}, ""),
            (STARTED, {}, ""),
        ],
    )
    async def test_what_is_next(
        self, make: Make, state: OperationState, wanted: dict[str, object], expected: str
    ) -> None:
        bench = make(state)
        bench.fakes.remote.be(**wanted)

        found = next_leadership(bench.local, bench.fakes.remote.now, bench.operations())

        assert str(found or "") == expected

    async def test_who_is_elected_runs_leader_elected(self, make: Make) -> None:
        bench = make(STARTED)
        bench.fakes.leadership.leads = True
        bench.fakes.remote.be(is_leader=True, leader_settings_version=1)

        await bench.run()
        await bench.run()

        assert bench.fakes.journal == ["leader-elected"]
        assert await bench.next() == ""

    async def test_who_loses_the_leadership_hears_of_settings(self, make: Make) -> None:
        bench = make(LEADER)
        bench.fakes.remote.be(is_leader=False, leader_settings_version=1)

        await bench.run()
        await bench.run()

        assert bench.fakes.journal == ["leader-settings-changed"]
        assert await bench.next() == ""
        assert await bench.next(leader_settings_version=2) == "run leader-settings-changed hook"


class TestSecrets:
    """`next_secret`."""

    @pytest.mark.parametrize(
        ("state", "wanted", "expected"),
        [
            (BLANK, {"secrets": (ROTATE,)}, ""),
            (STARTED, {"secrets": (ROTATE,), "life": Life.DYING}, ""),
            (IN_ERROR, {"secrets": (ROTATE,)}, ""),
            (STARTED, {}, ""),
            (STARTED, {"secrets": (ROTATE,)}, "run secret-rotate (9m4e2mr0ui3e8a215n4g) hook"),
        ],
    )
    async def test_what_is_next(
        self, make: Make, state: OperationState, wanted: dict[str, object], expected: str
    ) -> None:
        bench = make(state)
        bench.fakes.remote.be(**wanted)

        found = next_secret(bench.local, bench.fakes.remote.now, bench.operations())

        assert str(found or "") == expected

    async def test_a_hook_that_was_run_is_told(self, make: Make) -> None:
        bench = make(STARTED)
        bench.fakes.remote.be(secrets=(ROTATE,))

        await bench.run()

        assert bench.fakes.remote.secrets_done == [ROTATE]
        assert await bench.next() == ""


@pytest.mark.parametrize(
    ("state", "available"),
    [
        (BLANK, False),
        (INSTALLED, False),
        (msgspec.structs.replace(STARTED, stopped=True), False),
        (STARTED.to(OperationKind.INSTALL, Step.PENDING), False),
        (STARTED.to(OperationKind.UPGRADE, Step.PENDING), False),
        (STARTED.to(OperationKind.RUN_HOOK, Step.PENDING, hook=kind("upgrade-charm")), False),
        (STARTED, True),
        (STARTED.to(OperationKind.RUN_ACTION, Step.PENDING, action=7), True),
        (STARTED.to(OperationKind.RUN_HOOK, Step.PENDING, hook=kind("config-changed")), True),
    ],
)
def test_the_charm_is_there_for_others_while_it_is_started_and_not_replaced(
    state: OperationState, available: bool
) -> None:
    assert is_available(state) is available
