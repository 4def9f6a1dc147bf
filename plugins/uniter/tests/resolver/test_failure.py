from __future__ import annotations

import msgspec
import pytest
from plugins.uniter.tests.fakemodel import OLD
from plugins.uniter.tests.fakes import action, kind
from plugins.uniter.tests.resolver.conftest import BLANK, STARTED, Bench, Make

from undercroft_hookspecs.state import Life
from undercroft_hookspecs.unit_facades import ConfigHashes
from undercroft_uniter.errors import HookFailed
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.operation.state import OperationKind, Step
from undercroft_uniter.seams import Ending

JOINED = HookInfo(kind=HookKind.RELATION_JOINED, relation=3, remote_unit="mysql/0", remote_application="mysql")
BROKEN = HookInfo(kind=HookKind.RELATION_BROKEN, relation=3, remote_application="mysql")
ROTATE = HookInfo(kind=HookKind.SECRET_ROTATE, secret="9m4e2mr0ui3e8a215n4g")
ATTACHED = HookInfo(kind=HookKind.STORAGE_ATTACHED, storage="data/0")


def failed(make: Make, hook: HookInfo) -> Bench:
    return make(STARTED.to(OperationKind.RUN_HOOK, Step.PENDING, hook=hook))


@pytest.fixture
def error(make: Make) -> Bench:
    """A unit whose start failed."""
    return failed(make, kind("start"))


@pytest.mark.parametrize(
    ("hook", "message", "data"),
    [
        (kind("start"), 'hook failed: "start"', {"hook": "start"}),
        (
            JOINED,
            'hook failed: "db-relation-joined"',
            {"hook": "db-relation-joined", "relation-id": 3, "remote-unit": "mysql/0"},
        ),
        (BROKEN, 'hook failed: "db-relation-broken"', {"hook": "db-relation-broken", "relation-id": 3}),
        (ATTACHED, 'hook failed: "data-storage-attached"', {"hook": "data-storage-attached"}),
        (
            ROTATE,
            'hook failed: "secret-rotate"',
            {"hook": "secret-rotate", "secret-uri": "secret:9m4e2mr0ui3e8a215n4g"},
        ),
    ],
)
async def test_people_are_told_which_hook_failed(
    hook: HookInfo, message: str, data: dict[str, object], make: Make
) -> None:
    bench = failed(make, hook)

    assert await bench.next() == ""
    assert bench.fakes.status.agent[-1] == ("error", message)
    assert bench.fakes.status.data == data


async def test_a_hook_of_a_relation_that_is_gone_says_so_and_is_passed_over_when_it_is_tried(make: Make) -> None:
    bench = failed(make, JOINED)
    bench.fakes.relations.endpoints.clear()

    assert await bench.next() == ""
    message = 'hook failed: "relation-joined: the unit is in no relation 3 (any more)"'
    assert bench.fakes.status.agent[-1] == ("error", message)
    assert bench.fakes.status.data["hook"] == "relation-joined"
    await bench.clock.advance(6)
    await bench.run()
    assert bench.local.state.kind is OperationKind.CONTINUE
    assert bench.fakes.journal == []


async def test_the_timer_is_started_once(error: Bench) -> None:
    for _ in range(3):
        await error.next()
    await error.clock.advance(0)
    assert error.clock.pending == 1

    await error.clock.advance(6)

    assert error.rings == 1


async def test_the_timer_is_never_started_where_hooks_are_not_tried_again(error: Bench) -> None:
    error.fakes.model.settings["automatically-retry-hooks"] = False

    assert await error.next() == ""
    await error.clock.advance(3600)

    assert error.rings == 0
    assert not error.retry.is_started


async def test_it_is_tried_again_in_time_and_later_each_time(error: Bench) -> None:
    error.fakes.executions.endings["start"] = Ending(failure="exit status 1")
    delays = []
    for _ in range(9):
        assert await error.next() == ""
        begun = error.clock.monotonic()
        while error.fakes.remote.now.retry_hook_version == error.local.retry_hook_version:
            await error.clock.advance(0.5)
        delays.append(error.clock.monotonic() - begun)
        with pytest.raises(HookFailed):
            await error.run()

    assert delays[0] == pytest.approx(5, abs=0.7)
    assert delays[1] == pytest.approx(10, abs=0.9)
    assert delays[4] == pytest.approx(80, abs=3.5)
    assert max(delays) <= 300.5
    assert delays[8] >= 285
    assert error.fakes.journal == ["start"] * 9


async def test_a_retry_that_fails_is_not_tried_again_before_its_time(error: Bench) -> None:
    error.fakes.executions.endings["start"] = Ending(failure="exit status 1")
    await error.next()
    await error.clock.advance(6)
    assert await error.next() == "run start hook"
    with pytest.raises(HookFailed):
        await error.run()

    assert await error.next() == ""
    assert error.retry.is_started


async def test_leaving_the_error_forgets_the_failures(error: Bench) -> None:
    await error.next()
    await error.clock.advance(6)
    await error.run()
    assert await error.next() == ""
    assert error.clock.pending == 0

    error.local.state = STARTED.to(OperationKind.RUN_HOOK, Step.PENDING, hook=kind("start"))
    await error.next()
    await error.clock.advance(5.5)

    assert error.rings == 2


async def test_another_operation_stops_the_timer(error: Bench) -> None:
    await error.next()

    error.local.state = STARTED
    await error.next()

    assert error.clock.pending == 0
    assert not error.retry.is_started


@pytest.mark.parametrize(("mode", "operation"), [("retry-hooks", "run start hook"), ("no-hooks", "skip start hook")])
async def test_an_operator_resolves_it(error: Bench, mode: str, operation: str) -> None:
    await error.next()

    assert await error.next(resolved=mode) == operation
    assert error.fakes.remote.clears == 1
    assert error.clock.pending == 0


async def test_resolved_counts_once_even_if_the_hook_fails_again(error: Bench) -> None:
    error.fakes.executions.endings["start"] = Ending(failure="exit status 1")
    error.fakes.remote.be(resolved="retry-hooks")
    with pytest.raises(HookFailed):
        await error.run()

    assert await error.next() == ""
    assert error.fakes.journal == ["start"]


async def test_four_failures_are_resolved_in_turn(make: Make) -> None:
    bench = failed(make, kind("install"))
    bench.local.state = BLANK.to(OperationKind.RUN_HOOK, Step.PENDING, hook=kind("install"))
    other = ConfigHashes(config="other", trust="", addresses="")
    bench.fakes.remote.be(is_leader=True, hashes=other)
    bench.fakes.leadership.leads = True
    for name in ("leader-elected", "config-changed", "start"):
        bench.fakes.executions.endings[name] = Ending(failure="exit status 1")

    for name in ("install", "leader-elected", "config-changed", "start"):
        assert await bench.next() == ""
        assert bench.fakes.status.agent[-1] == ("error", f'hook failed: "{name}"')
        bench.fakes.remote.be(resolved="no-hooks")
        await bench.run()
        assert bench.fakes.remote.now.resolved == ""
        if name == "install":
            await bench.run()  # Accepts the leadership.
        if name != "start":
            with pytest.raises(HookFailed):
                await bench.run()

    assert bench.local.state.started
    assert await bench.next() == ""


async def test_other_hooks_wait_for_the_error(error: Bench) -> None:
    error.fakes.relations.hooks = [JOINED]
    error.fakes.storage.hooks = [ATTACHED]
    error.fakes.leadership.leads = True
    wanted = {
        "hashes": ConfigHashes(config="other", trust="", addresses=""),
        "update_status_version": 9,
        "is_leader": True,
        "leader_settings_version": 9,
        "secrets": (ROTATE,),
        "charm": OLD,
    }

    assert await error.next(**wanted) == ""
    assert error.fakes.relations.synchronized == 0


async def test_a_dying_unit_in_error_waits_to_be_resolved(error: Bench) -> None:
    assert await error.next(life=Life.DYING) == ""
    assert await error.next(resolved="no-hooks") == "skip start hook"


async def test_actions_and_commands_are_run_in_error_and_leave_it_as_it_was(error: Bench) -> None:
    error.fakes.remote.be(actions=(action(7),), commands=(4,))
    assert await error.next() == "run action 7 (backup)"
    await error.run()
    assert await error.next() == "run commands 4"
    await error.run()

    assert await error.next() == ""
    assert error.fakes.status.agent[-1] == ("error", 'hook failed: "start"')
    assert error.local.state == STARTED.to(OperationKind.RUN_HOOK, Step.PENDING, hook=kind("start"))


async def test_a_leader_in_error_resigns(make: Make) -> None:
    bench = make(STARTED.to(OperationKind.RUN_HOOK, Step.PENDING, hook=kind("start")))
    bench.local.state = msgspec.structs.replace(bench.local.state, leader=True)
    assert await bench.next(is_leader=False) == "resign leadership"
    await bench.run()

    assert await bench.next() == ""
    assert bench.local.state.hook == kind("start")
