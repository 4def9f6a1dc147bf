from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from msgspec.structs import replace as replace_fields
from plugins.uniter.tests.fakemodel import NEW, OLD
from plugins.uniter.tests.fakes import FakeRooms, action, kind

from undercroft import outcome
from undercroft.testing import FakeClock, check_alive, check_killed, clean_kill
from undercroft.testing.agent import FakeUnitAgent
from undercroft_hookspecs import NotFoundError, NotPermittedError, NotValidError, RebootMachine, UndercroftError
from undercroft_hookspecs.state import Life
from undercroft_hookspecs.unit_facades import ConfigHashes
from undercroft_uniter.agentstatus import DeduplicatedStatus
from undercroft_uniter.errors import SourceFailed, UnitGone
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.operation.state import CharmReference, OperationKind, OperationState, Step
from undercroft_uniter.operation.statefile import StateFile
from undercroft_uniter.paths import UnitPaths
from undercroft_uniter.seams import Commands, CommandsEnding, Ending
from undercroft_uniter.worker import Uniter

JOINED = HookInfo(kind=HookKind.RELATION_JOINED, relation=3, remote_unit="mysql/0", remote_application="mysql")
BROKEN = HookInfo(kind=HookKind.RELATION_BROKEN, relation=3, remote_application="mysql")
ATTACHED = HookInfo(kind=HookKind.STORAGE_ATTACHED, storage="data/0")
FIRST = ConfigHashes(config="1", trust="", addresses="")
STARTUP = ["take up local:shop-0", "deploy local:shop-0", "install", "leader-elected", "config-changed", "start"]
FAILS = Ending(failure="exit status 1")


class Place:
    """A unit's folder and its fakes, and one agent after the other in it."""

    def __init__(self, folder: Path) -> None:
        self.fakes = FakeRooms()
        self.clock = FakeClock()
        self.agent = FakeUnitAgent(data_dir=folder / "own", unit_dir=folder, clock=self.clock)
        (folder / "own").mkdir()
        self.fakes.leadership.leads = True
        self.fakes.remote.be(is_leader=True, hashes=FIRST)
        self.worker: Uniter | None = None

    @property
    def file(self) -> StateFile:
        """What the unit was at."""
        return StateFile(UnitPaths.of(self.agent).operation)

    def start(self, *, grace: float = 90.0) -> Uniter:
        """An agent."""
        fakes = self.fakes
        self.worker = Uniter(
            self.agent,
            replace(fakes.rooms, agent_status=DeduplicatedStatus(fakes.status)),
            application=fakes.application,
            watch=fakes.remote.watch,
            guard=fakes.guard,
            lock=fakes.lock,
            grace=grace,
        )
        return self.worker

    async def bounce(self) -> Uniter:
        """Stop the agent, and start another."""
        assert self.worker is not None
        await clean_kill(self.worker)
        return self.start()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Until it holds; the agent lives on meanwhile."""
        assert self.worker is not None
        try:
            async with asyncio.timeout(10):
                while not condition():
                    await asyncio.sleep(0.001)
        except TimeoutError:
            raise AssertionError(f"{self.fakes.journal} {self.fakes.status.agent} {self.worker.report()}") from None

    async def until_idle(self) -> None:
        """Until it says that it is idle, once more."""
        await self.until(lambda: self.fakes.status.agent[-1][0] == "idle")

    async def until_error(self, script: str) -> None:
        """Until it says that this hook failed."""
        await self.until(lambda: self.fakes.status.agent[-1] == ("error", f'hook failed: "{script}"'))

    async def started(self) -> None:
        """An agent of a unit that has started."""
        self.start()
        await self.until(lambda: self.fakes.status.agent[-1][0] == "idle")
        assert self.fakes.journal == STARTUP
        self.fakes.journal.clear()

    def be(self, **wanted: object) -> None:
        """Something else is wanted; the agent is not idle before it has seen to that."""
        self.fakes.status.agent.append(("executing", "the test"))
        self.fakes.remote.be(**wanted)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    """A unit that nobody has deployed yet."""
    place = Place(tmp_path)
    yield place
    if place.worker is not None:
        place.worker.kill()
        await outcome(place.worker)
    await place.clock.advance(0)


class TestBeginning:
    async def test_a_new_unit_is_installed_and_started(self, place: Place) -> None:
        place.start()
        await place.until_idle()

        assert place.fakes.journal == STARTUP
        assert place.fakes.status.workload == [
            ("waiting", "waiting for machine"),
            ("waiting", "agent initializing"),
            ("maintenance", "installing charm software"),
            ("unknown", ""),
        ]
        assert [current for current, _ in place.fakes.status.agent] == [
            "allocating", "executing", "executing", "executing", "executing", "idle",
        ]  # fmt: skip
        state = await place.file.read()
        assert state is not None
        assert (state.kind, state.started, state.leader) == (OperationKind.CONTINUE, True, True)

    async def test_a_follower_hears_of_settings_instead(self, place: Place) -> None:
        place.fakes.leadership.leads = False
        place.fakes.remote.be(is_leader=False, leader_settings_version=1)
        place.start()
        await place.until_idle()

        assert place.fakes.journal[2:] == ["install", "leader-settings-changed", "config-changed", "start"]

    async def test_a_unit_that_may_not_be_seen_is_an_error(self, place: Place) -> None:
        class Forbidden(type(place.fakes.unit)):  # type: ignore[misc]
            async def unit(self) -> object:
                raise NotPermittedError("shop/0 is not yours")

        place.fakes.unit = Forbidden(place.fakes.journal)

        assert isinstance(await check_killed(place.start()), NotPermittedError)

    async def test_a_unit_that_was_removed_is_the_end(self, place: Place) -> None:
        place.fakes.unit.remove()

        assert await check_killed(place.start()) is None

    async def test_a_dead_unit_is_the_end(self, place: Place) -> None:
        place.fakes.unit.be(life=Life.DEAD)

        assert await check_killed(place.start()) is None
        assert place.fakes.journal == []

    async def test_a_status_that_the_charm_has_set_is_left(self, place: Place) -> None:
        place.fakes.status.workload = [("waiting", "for a database")]
        place.start()
        await place.until_idle()

        assert ("waiting", "agent initializing") not in place.fakes.status.workload

    async def test_a_charm_that_cannot_be_fetched_is_a_failure(self, place: Place) -> None:
        place.fakes.deployer.stage_failure = NotFoundError("a" * 64)

        error = await check_killed(place.start())

        assert isinstance(error, NotFoundError)
        assert error.__notes__ == ["while preparing install local:shop-0"]
        assert place.fakes.status.agent[-1] == ("failed", "resolver loop error")
        assert await place.file.read() is None

    async def test_a_charm_that_cannot_be_unpacked_is_a_failure_and_tried_again(self, place: Place) -> None:
        place.fakes.deployer.failure = OSError("not a directory")
        assert isinstance(await check_killed(place.start()), OSError)

        place.fakes.deployer.failure = None
        place.start()
        await place.until_idle()

        assert place.fakes.journal[-4:] == STARTUP[-4:]

    async def test_a_damaged_state_is_a_failure_that_names_it(self, place: Place) -> None:
        place.file.path.write_text("{")

        error = await check_killed(place.start())

        assert isinstance(error, NotValidError)
        assert str(place.file.path) in str(error)
        assert place.file.path.read_text() == "{"

    async def test_an_executor_that_fails_is_a_failure(self, place: Place) -> None:
        place.fakes.lock.failure = UndercroftError("no locks available")

        assert isinstance(await check_killed(place.start()), UndercroftError)
        assert place.fakes.status.agent[-1] == ("failed", "resolver loop error")

    async def test_a_failure_that_cannot_be_said_is_still_the_one(self, place: Place) -> None:
        place.fakes.lock.failure = OSError("no locks available")
        await place.file.write(OperationState(kind=OperationKind.RUN_HOOK, step=Step.QUEUED, hook=kind("install")))
        place.fakes.status.failure = UndercroftError("away")
        place.fakes.status.workload = [("active", "")]

        error = await check_killed(place.start())

        assert str(error) == "no locks available"

    async def test_a_restart_runs_nothing(self, place: Place) -> None:
        await place.started()

        await place.bounce()
        await place.until(lambda: place.fakes.remote.watches == 2 and not place.fakes.remote._changed.is_set())

        assert place.fakes.journal == []

    async def test_a_restart_with_known_relations_runs_only_what_is_new(self, place: Place) -> None:
        await place.started()
        place.fakes.relations.hooks = [JOINED]
        place.be()
        await place.until_idle()
        place.fakes.remote.be(hashes=ConfigHashes(config="2", trust="", addresses=""))

        await place.bounce()
        await place.until(lambda: place.fakes.journal == ["db-relation-joined", "config-changed"])

    async def test_a_reboot_runs_start_again(self, place: Place) -> None:
        await place.started()
        place.fakes.boot_id = "boot-2"

        await place.bounce()
        await place.until(lambda: place.fakes.journal == ["start"])
        await place.until_idle()

        assert place.fakes.journal == ["start"]

    async def test_a_charm_that_is_gone_is_fetched_again(self, place: Place) -> None:
        await place.started()
        place.fakes.deployer.holds = None

        await place.bounce()
        await place.until(lambda: len(place.fakes.journal) == 4)

        assert place.fakes.journal == [
            "take up local:shop-0", "deploy local:shop-0", "upgrade-charm", "config-changed",
        ]  # fmt: skip


class TestFailures:
    async def test_a_failed_install_is_passed_over(self, place: Place) -> None:
        place.fakes.executions.endings["install"] = FAILS
        place.start()
        await place.until_error("install")

        place.fakes.remote.be(resolved="no-hooks")
        await place.until_idle()

        assert place.fakes.journal[2:] == ["install", "leader-elected", "config-changed", "start"]
        assert place.fakes.status.workload[-1] == ("unknown", "")

    async def test_a_failed_install_is_tried_until_it_works(self, place: Place) -> None:
        place.fakes.executions.endings["install"] = FAILS
        place.start()
        await place.until_error("install")

        place.fakes.remote.be(resolved="retry-hooks")
        await place.until(lambda: place.fakes.journal.count("install") == 2)
        await place.until_error("install")
        del place.fakes.executions.endings["install"]
        place.fakes.remote.be(resolved="retry-hooks")
        await place.until_idle()

        assert place.fakes.journal[2:] == ["install"] * 3 + ["leader-elected", "config-changed", "start"]

    async def test_a_failed_start_that_is_passed_over_leaves_the_workloads_status(self, place: Place) -> None:
        place.fakes.executions.endings["start"] = FAILS
        place.start()
        await place.until_error("start")

        place.fakes.remote.be(resolved="no-hooks")
        await place.until_idle()

        assert place.fakes.status.workload[-1] == ("maintenance", "installing charm software")

    async def test_a_failed_config_changed_is_followed_by_start_alone(self, place: Place) -> None:
        place.fakes.executions.endings["config-changed"] = FAILS
        place.start()
        await place.until_error("config-changed")

        del place.fakes.executions.endings["config-changed"]
        place.fakes.remote.be(resolved="retry-hooks")
        await place.until_idle()

        assert place.fakes.journal[-3:] == ["config-changed", "config-changed", "start"]

    async def test_a_failed_hook_is_tried_again_in_time(self, place: Place) -> None:
        place.fakes.executions.endings["start"] = FAILS
        place.start()
        await place.until_error("start")
        del place.fakes.executions.endings["start"]

        await place.clock.advance(6)
        await place.until_idle()

        assert place.fakes.journal[-2:] == ["start", "start"]

    async def test_update_status_waits_for_the_error(self, place: Place) -> None:
        await place.started()
        place.fakes.executions.endings["config-changed"] = FAILS
        place.be(hashes=ConfigHashes(config="2", trust="", addresses=""))
        await place.until_error("config-changed")
        place.fakes.remote.be(update_status_version=1)
        await place.until(lambda: not place.fakes.remote._changed.is_set())
        assert "update-status" not in place.fakes.journal

        del place.fakes.executions.endings["config-changed"]
        place.be(resolved="retry-hooks")
        await place.until_idle()
        place.be(update_status_version=2)
        await place.until(lambda: place.fakes.journal[-1:] == ["update-status"])

    async def test_a_crash_in_a_hook_is_an_error(self, place: Place) -> None:
        await place.file.write(
            OperationState(kind=OperationKind.RUN_HOOK, step=Step.PENDING, hook=kind("start"), installed=True)
        )
        place.fakes.deployer.holds = OLD

        place.start()

        await place.until_error("start")
        assert place.fakes.journal == []

    async def test_a_hook_of_a_relation_that_is_gone_says_so(self, place: Place) -> None:
        await place.file.write(
            OperationState(kind=OperationKind.RUN_HOOK, step=Step.PENDING, hook=JOINED, installed=True)
        )
        place.fakes.deployer.holds = OLD
        place.fakes.relations.endpoints.clear()

        place.start()

        await place.until_error("relation-joined: the unit is in no relation 3 (any more)")

    async def test_the_watch_that_fails_is_a_failure(self, place: Place) -> None:
        await place.started()

        place.fakes.remote.fail(SourceFailed("shop/0", "config", "no such charm"))

        assert place.worker is not None
        assert isinstance(await check_killed(place.worker), SourceFailed)
        assert place.fakes.status.agent[-1] == ("failed", "resolver loop error")
        assert place.fakes.remote.kills == place.fakes.remote.watches

    @pytest.mark.parametrize("hook", [JOINED, BROKEN])
    async def test_a_failed_relation_hook_names_its_relation(self, place: Place, hook: HookInfo) -> None:
        await place.started()
        script = f"db-{hook.kind}"
        place.fakes.executions.endings[script] = FAILS
        place.fakes.relations.hooks = [hook]
        place.be()

        await place.until_error(script)

        assert place.fakes.status.data["relation-id"] == 3
        assert place.fakes.status.data.get("remote-unit") == (hook.remote_unit or None)


class TestLock:
    async def test_hooks_wait_for_those_of_others(self, place: Place) -> None:
        await place.started()
        async with place.fakes.lock.lock:
            place.be(hashes=ConfigHashes(config="2", trust="", addresses=""))
            await place.until(lambda: not place.fakes.remote._changed.is_set())
            assert place.worker is not None
            await check_alive(place.worker)
            assert place.fakes.journal == []

        await place.until_idle()
        assert place.fakes.journal == ["config-changed"]

    async def test_a_stop_does_not_wait_for_those_of_others(self, place: Place) -> None:
        async with place.fakes.lock.lock:
            worker = place.start()
            await place.until(lambda: place.fakes.deployer.holds == OLD)

            await clean_kill(worker)

        assert "install" not in place.fakes.journal


class TestStopping:
    async def test_a_stop_lets_the_hook_end(self, place: Place) -> None:
        gate = place.fakes.executions.gates["install"] = asyncio.Event()
        worker = place.start()
        await place.until(lambda: "install" in place.fakes.journal)

        worker.kill()
        await check_alive(worker)
        gate.set()

        assert await check_killed(worker) is None
        state = await place.file.read()
        assert state is not None
        assert (state.kind, state.installed) == (OperationKind.CONTINUE, True)

    async def test_a_hook_that_takes_too_long_is_killed_and_has_failed(self, place: Place) -> None:
        place.fakes.executions.gates["install"] = asyncio.Event()
        worker = place.start(grace=90)
        await place.until(lambda: "install" in place.fakes.journal)

        worker.kill()
        await place.clock.advance(91)

        assert await check_killed(worker) is None
        state = await place.file.read()
        assert state is not None
        assert (state.step, state.hook) == (Step.PENDING, kind("install"))

    async def test_an_idle_agent_stops_at_once(self, place: Place) -> None:
        await place.started()

        assert place.worker is not None
        await clean_kill(place.worker)

        assert place.fakes.remote.kills == place.fakes.remote.watches == 1


class TestUpgrade:
    @pytest.mark.parametrize("force", [False, True])
    async def test_another_charm_is_taken_up(self, place: Place, force: bool) -> None:
        await place.started()

        place.be(charm=NEW, charm_modified_version=1, force_charm=force)
        await place.until_idle()

        assert place.fakes.journal == [
            "take up local:shop-1", "deploy local:shop-1", "upgrade-charm", "config-changed",
        ]  # fmt: skip
        assert place.fakes.remote.watches == 2

    @pytest.mark.parametrize("is_new", [True, False])
    async def test_a_charm_that_is_gone_because_there_is_another_by_now_is_passed_over(
        self, place: Place, is_new: bool
    ) -> None:
        if not is_new:
            await place.started()
        newest = CharmReference(url="local:shop-2", sha256="c" * 64)

        def replaced() -> None:
            place.fakes.application.record = replace_fields(
                place.fakes.application.record, charm=newest.sha256, charm_url=newest.url
            )
            place.be(charm=newest)

        place.fakes.deployer.missing[NEW.sha256] = replaced
        place.be(charm=NEW)
        if is_new:
            place.start()
        await place.until_idle()

        assert place.fakes.deployer.holds == newest
        assert "failed" not in [current for current, _ in place.fakes.status.agent]

    async def test_a_charm_that_is_gone_and_still_wanted_is_a_failure(self, place: Place) -> None:
        await place.started()
        place.fakes.application.record = replace_fields(place.fakes.application.record, charm=NEW.sha256)
        place.fakes.deployer.missing[NEW.sha256] = lambda: None

        place.be(charm=NEW)

        assert place.worker is not None
        assert isinstance(await check_killed(place.worker), NotFoundError)
        assert place.fakes.status.agent[-1][0] == "failed"

    async def test_other_resources_are_taken_up(self, place: Place) -> None:
        await place.started()

        place.be(charm_modified_version=1)
        await place.until_idle()

        assert place.fakes.journal[-2:] == ["upgrade-charm", "config-changed"]

    async def test_a_failed_upgrade_charm_is_passed_over(self, place: Place) -> None:
        await place.started()
        place.fakes.executions.endings["upgrade-charm"] = FAILS
        place.be(charm=NEW)
        await place.until_error("upgrade-charm")

        place.be(resolved="no-hooks")
        await place.until_idle()

        assert place.fakes.journal[-2:] == ["upgrade-charm", "config-changed"]

    async def test_a_unit_in_error_waits_with_it(self, place: Place) -> None:
        place.fakes.executions.endings["start"] = FAILS
        place.start()
        await place.until_error("start")
        place.fakes.remote.be(charm=NEW)
        await place.until(lambda: not place.fakes.remote._changed.is_set())
        assert "deploy local:shop-1" not in place.fakes.journal

        del place.fakes.executions.endings["start"]
        place.fakes.remote.be(resolved="retry-hooks")
        await place.until_idle()

        assert place.fakes.journal[-5:] == [
            "start", "take up local:shop-1", "deploy local:shop-1", "upgrade-charm", "config-changed",
        ]  # fmt: skip

    async def test_a_conflict_is_resolved_once_it_is_fixed(self, place: Place) -> None:
        await place.started()
        place.fakes.deployer.conflict()
        place.be(charm=NEW)
        await place.until(lambda: place.fakes.status.agent[-1] == ("error", "upgrade failed"))

        place.fakes.remote.be(resolved="retry-hooks")
        await place.until(lambda: place.fakes.journal == ["take up local:shop-1"] * 2)
        await place.until(lambda: not place.fakes.remote._changed.is_set())
        place.fakes.deployer.failure = None
        place.be(resolved="retry-hooks")
        await place.until_idle()

        assert place.fakes.journal[-3:] == ["deploy local:shop-1", "upgrade-charm", "config-changed"]

    async def test_a_new_agent_tries_a_conflict_once_more(self, place: Place) -> None:
        await place.started()
        place.fakes.deployer.conflict()
        place.be(charm=NEW)
        await place.until(lambda: place.fakes.status.agent[-1] == ("error", "upgrade failed"))
        place.fakes.deployer.failure = None

        await place.bounce()
        await place.until_idle()

        assert place.fakes.journal[-3:] == ["deploy local:shop-1", "upgrade-charm", "config-changed"]

    async def test_a_conflict_of_a_dying_unit_is_still_to_be_resolved(self, place: Place) -> None:
        await place.started()
        place.fakes.deployer.conflict()
        place.be(charm=NEW)
        await place.until(lambda: place.fakes.status.agent[-1] == ("error", "upgrade failed"))
        place.fakes.remote.be(life=Life.DYING)
        assert place.worker is not None
        await check_alive(place.worker)

        place.fakes.deployer.failure = None
        place.fakes.remote.be(resolved="retry-hooks")

        assert await check_killed(place.worker) is None
        assert place.fakes.journal[-6:] == [
            "upgrade-charm", "config-changed", "stop", "remove", "remove subordinates", "dead",
        ]  # fmt: skip

    async def test_a_conflict_of_a_dead_unit_is_over(self, place: Place) -> None:
        await place.started()
        place.fakes.deployer.conflict()
        place.be(charm=NEW)
        await place.until(lambda: place.fakes.status.agent[-1] == ("error", "upgrade failed"))

        place.fakes.unit.be(life=Life.DEAD)
        place.fakes.remote.be(life=Life.DEAD)

        assert place.worker is not None
        assert await check_killed(place.worker) is None


class TestEnd:
    async def test_a_dying_unit_stops_is_removed_and_dead(self, place: Place) -> None:
        await place.started()

        place.fakes.remote.be(life=Life.DYING)

        assert place.worker is not None
        assert await check_killed(place.worker) is None
        assert place.fakes.journal == ["stop", "remove", "remove subordinates", "dead"]
        assert place.fakes.status.workload[-1] == ("terminated", "")

    async def test_it_breaks_its_relations_first(self, place: Place) -> None:
        await place.started()
        place.fakes.relations.hooks = [BROKEN]

        place.fakes.remote.be(life=Life.DYING)

        assert place.worker is not None
        assert await check_killed(place.worker) is None
        assert place.fakes.journal[:3] == ["db-relation-broken", "stop", "remove"]

    async def test_it_waits_for_its_subordinates(self, place: Place) -> None:
        await place.started()
        place.fakes.unit.be(subordinates=("nagios/0",))
        place.fakes.remote.be(life=Life.DYING)
        await place.until(lambda: place.fakes.journal[-1:] == ["remove subordinates"])
        assert place.worker is not None
        await check_alive(place.worker)

        place.fakes.unit.be(subordinates=())

        assert await check_killed(place.worker) is None
        assert place.fakes.journal[-1:] == ["dead"]

    async def test_a_stop_while_it_waits_for_them_is_a_stop(self, place: Place) -> None:
        await place.started()
        place.fakes.unit.be(subordinates=("nagios/0",))
        place.fakes.remote.be(life=Life.DYING)
        await place.until(lambda: place.fakes.journal[-1:] == ["remove subordinates"])

        assert place.worker is not None
        await clean_kill(place.worker)
        place.fakes.unit.be(subordinates=())
        place.start()

        assert await check_killed(place.worker) is None
        assert place.fakes.journal[-1:] == ["dead"]
        assert place.fakes.journal.count("stop") == 1

    async def test_who_is_stopped_for_being_dead_ends_what_belongs_to_it(self, place: Place) -> None:
        """The deployer stops a unit's workers as soon as its record is dead; it has its lease to give back then."""
        await place.started()
        record = place.fakes.unit

        async def ensure_dead() -> None:
            assert place.worker is not None
            record.be(life=Life.DEAD)
            place.worker.kill()
            for _ in range(3):
                await asyncio.sleep(0)
            place.fakes.journal.append("resigned")

        record.ensure_dead = ensure_dead  # type: ignore[method-assign]
        place.fakes.remote.be(life=Life.DYING)

        assert place.worker is not None
        assert await check_killed(place.worker) is None
        assert place.fakes.journal[-1:] == ["resigned"]

    async def test_a_dead_unit_runs_nothing(self, place: Place) -> None:
        await place.started()
        place.fakes.unit.be(life=Life.DEAD)
        place.fakes.remote.be(life=Life.DEAD)

        assert place.worker is not None
        assert await check_killed(place.worker) is None
        assert place.fakes.journal == ["remove subordinates"]

    @pytest.mark.parametrize("life", [Life.DYING, Life.DEAD])
    async def test_a_unit_in_error_ends_once_it_is_resolved_or_dead(self, place: Place, life: Life) -> None:
        place.fakes.executions.endings["start"] = FAILS
        place.start()
        await place.until_error("start")
        place.fakes.journal.clear()
        if life is Life.DEAD:
            place.fakes.unit.be(life=life)
        place.fakes.remote.be(life=life)
        assert place.worker is not None
        if life is Life.DYING:
            await check_alive(place.worker)
            del place.fakes.executions.endings["start"]
            place.fakes.remote.be(resolved="retry-hooks")

        assert await check_killed(place.worker) is None
        scripts = ["start", "stop", "remove", "remove subordinates", "dead"]
        assert place.fakes.journal == (scripts if life is Life.DYING else ["remove subordinates"])

    async def test_a_unit_that_is_removed_from_under_it_is_the_end(self, place: Place) -> None:
        await place.started()

        place.fakes.remote.fail(UnitGone("unit 'shop/0' has been removed"))

        assert place.worker is not None
        assert await check_killed(place.worker) is None
        assert place.fakes.status.agent[-1][0] != "failed"

    @pytest.mark.parametrize(("what", "wanted"), [("install", {}), ("one", {"actions": (action(1, "one"),)})])
    async def test_what_runs_is_ended_when_the_unit_is_removed(
        self, place: Place, what: str, wanted: dict[str, object]
    ) -> None:
        place.fakes.executions.gates[what] = asyncio.Event()
        place.fakes.remote.be(**wanted)
        worker = place.start()
        await place.until(lambda: what in place.fakes.journal)

        place.fakes.remote.fail(UnitGone("unit 'shop/0' has been removed"))

        assert await check_killed(worker) is None
        assert place.fakes.executions.last is not None
        assert place.fakes.executions.last.is_ended
        assert place.fakes.status.agent[-1][0] == "executing"

    async def test_commands_are_ended_when_the_unit_is_removed(self, place: Place) -> None:
        place.fakes.executions.gates["$ x"] = asyncio.Event()
        await place.started()
        place.fakes.commands.waiting[7] = Commands(text="x")
        place.be(commands=(7,))
        await place.until(lambda: place.fakes.journal == ["$ x"])

        place.fakes.remote.fail(UnitGone("unit 'shop/0' has been removed"))

        assert place.worker is not None
        assert await check_killed(place.worker) is None
        assert 7 in place.fakes.commands.answers

    async def test_a_dying_unit_that_was_never_deployed_gets_no_charm(self, place: Place) -> None:
        place.fakes.remote.be(life=Life.DYING)

        assert await check_killed(place.start()) is None
        assert place.fakes.journal == ["remove subordinates", "dead"]


class TestActions:
    async def test_three_are_run_in_turn(self, place: Place) -> None:
        place.fakes.remote.be(actions=(action(1, "one"), action(2, "two"), action(3, "three")))
        place.start()
        await place.until(lambda: place.fakes.journal[-1:] == ["three"])

        assert place.fakes.actions.begun == [1, 2, 3]
        assert [name for name in place.fakes.journal if name in ("one", "two", "three")] == ["one", "two", "three"]

    async def test_one_is_run_in_error_which_comes_back(self, place: Place) -> None:
        place.fakes.executions.endings["start"] = FAILS
        place.start()
        await place.until_error("start")

        place.be(actions=(action(7),))
        await place.until_error("start")
        assert place.fakes.journal[-1:] == ["backup"]
        del place.fakes.executions.endings["start"]
        place.be(resolved="retry-hooks")
        await place.until_idle()

        assert place.fakes.journal[-1:] == ["start"]

    async def test_one_that_is_aborted_is_killed(self, place: Place) -> None:
        await place.started()
        place.fakes.executions.gates["backup"] = asyncio.Event()
        place.be(actions=(action(7),))
        await place.until(lambda: place.fakes.journal[-1:] == ["backup"])

        place.fakes.remote.be(actions=(action(7, status="aborting"),))
        await place.until_idle()

        assert place.fakes.executions.last is not None
        assert place.fakes.executions.last.is_aborted


class TestReboot:
    async def test_a_reboot_after_the_hook_goes_on_with_the_next(self, place: Place) -> None:
        place.fakes.executions.endings["install"] = Ending(reboot="after")
        error = await check_killed(place.start())
        assert isinstance(error, RebootMachine)
        assert place.fakes.status.agent[-1] == ("rebooting", "")

        place.fakes.executions.endings.clear()
        place.fakes.boot_id = "boot-2"
        place.start()
        await place.until_idle()

        assert place.fakes.journal == STARTUP

    async def test_a_reboot_now_runs_the_hook_again(self, place: Place) -> None:
        place.fakes.executions.endings["install"] = Ending(reboot="now")
        assert isinstance(await check_killed(place.start()), RebootMachine)

        place.fakes.executions.endings.clear()
        place.fakes.boot_id = "boot-2"
        place.start()
        await place.until_idle()

        assert place.fakes.journal[2:] == ["install", "install", "leader-elected", "config-changed", "start"]

    async def test_without_the_reboot_it_is_blocked_and_asks_again(self, place: Place) -> None:
        place.fakes.executions.endings["install"] = Ending(reboot="after")
        await check_killed(place.start())
        before = place.fakes.status.workload[-1]

        for _ in range(2):
            assert isinstance(await check_killed(place.start()), RebootMachine)
            assert place.fakes.status.workload[-1] == ("blocked", "reboot requested")
        place.fakes.executions.endings.clear()
        place.fakes.boot_id = "boot-2"
        place.start()
        await place.until(lambda: place.fakes.status.workload[-1] != ("blocked", "reboot requested"))

        after = place.fakes.status.workload.index(("blocked", "reboot requested"))
        assert place.fakes.status.workload[after + 1] == before
        await place.until_idle()

    @pytest.mark.parametrize("reboot", ["after", "now"])
    async def test_commands_reboot_and_lose_nothing(self, place: Place, reboot: str) -> None:
        await place.started()
        place.fakes.executions.endings["$ juju-reboot"] = Ending(reboot=reboot)  # type: ignore[arg-type]
        place.fakes.commands.waiting[4] = Commands(text="juju-reboot")
        place.fakes.remote.be(commands=(4,))

        assert place.worker is not None
        assert isinstance(await check_killed(place.worker), RebootMachine)
        assert place.fakes.commands.answers == {4: CommandsEnding(returncode=0, stdout=b"said")}
        place.fakes.remote.be(commands=())
        place.fakes.boot_id = "boot-2"
        place.start()
        await place.until_idle()

        assert place.fakes.journal == ["$ juju-reboot", "start"]


class TestRest:
    async def test_storage_comes_before_everything(self, place: Place) -> None:
        place.fakes.storage.hooks = [ATTACHED]
        place.start()
        await place.until_idle()

        assert place.fakes.journal[2:4] == ["data-storage-attached", "install"]

    async def test_storage_that_is_late_is_waited_for(self, place: Place) -> None:
        place.fakes.storage.is_waited_for = True
        place.start()
        await place.until(lambda: place.fakes.deployer.holds == OLD and not place.fakes.remote._changed.is_set())
        assert place.fakes.status.agent[-1][0] != "idle"

        place.fakes.storage.hooks, place.fakes.storage.is_waited_for = [ATTACHED], False
        place.be()
        await place.until_idle()

        assert place.fakes.journal[2:4] == ["data-storage-attached", "install"]

    async def test_commands_are_answered(self, place: Place) -> None:
        await place.started()
        place.fakes.commands.waiting[4] = Commands(text="true")

        place.be(commands=(4,))
        await place.until_idle()

        assert place.fakes.commands.answers == {4: CommandsEnding(returncode=0, stdout=b"said")}

    async def test_commands_leave_the_error_as_it_is(self, place: Place) -> None:
        place.fakes.executions.endings["start"] = FAILS
        place.start()
        await place.until_error("start")
        place.fakes.commands.waiting[4] = Commands(text="true")

        place.be(commands=(4,))
        await place.until(lambda: place.fakes.status.agent[-2:] == [
            ("executing", "running commands"), ("error", 'hook failed: "start"'),
        ])  # fmt: skip

    async def test_it_reports_what_it_is_at(self, place: Place) -> None:
        worker = place.start()
        assert worker.report() == {"state": "initializing"}
        await place.until_idle()

        assert worker.report() == {
            "operation": "continue", "step": "pending", "is": ["installed", "started", "leader"],
        }  # fmt: skip


async def test_statuses_are_written_when_they_are_news(place: Place) -> None:
    said = place.fakes.status
    status = DeduplicatedStatus(said)

    await status.set("idle")
    await status.set("idle")
    await status.set("error", "hook failed", data={"hook": "start"})
    await status.set("error", "hook failed", data={"hook": "stop"})
    await status.set("idle")

    assert said.agent[1:] == [("idle", ""), ("error", "hook failed"), ("idle", "")]


async def test_a_status_that_failed_is_written_again(place: Place) -> None:
    status = DeduplicatedStatus(place.fakes.status)
    place.fakes.status.failure = UndercroftError("away")
    with pytest.raises(UndercroftError):
        await status.set("idle")

    place.fakes.status.failure = None
    await status.set("idle")

    assert place.fakes.status.agent[-1] == ("idle", "")
