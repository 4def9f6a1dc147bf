from __future__ import annotations

import msgspec
import pytest
from plugins.uniter.tests.fakemodel import NEW, OLD
from plugins.uniter.tests.fakes import action, kind
from plugins.uniter.tests.resolver.conftest import BLANK, INSTALLED, STARTED, Bench, Make

from undercroft_hookspecs import NotValidError
from undercroft_hookspecs.state import Life
from undercroft_hookspecs.unit_facades import ConfigHashes
from undercroft_uniter.errors import RestartResolving, Terminate, Waiting
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.operation.state import OperationKind, OperationState, Step

OTHER = ConfigHashes(config="other", trust="", addresses="")
CREATED = HookInfo(kind=HookKind.RELATION_CREATED, relation=3, remote_application="mysql")
JOINED = HookInfo(kind=HookKind.RELATION_JOINED, relation=3, remote_unit="mysql/0", remote_application="mysql")
BROKEN = HookInfo(kind=HookKind.RELATION_BROKEN, relation=3, remote_application="mysql")
ATTACHED = HookInfo(kind=HookKind.STORAGE_ATTACHED, storage="data/0")
DETACHING = HookInfo(kind=HookKind.STORAGE_DETACHING, storage="data/0")
ROTATE = HookInfo(kind=HookKind.SECRET_ROTATE, secret="9m4e2mr0ui3e8a215n4g")


def at(state: OperationState, step: Step, name: str = "config-changed") -> OperationState:
    return state.to(OperationKind.RUN_HOOK, step, hook=kind(name))


class TestUrgency:
    """What comes first, whatever else there is to do."""

    @pytest.mark.parametrize(
        "state",
        [BLANK, STARTED, at(STARTED, Step.PENDING), STARTED.to(OperationKind.UPGRADE, Step.PENDING, charm=NEW)],
    )
    async def test_a_dead_unit_is_at_its_end(self, state: OperationState, make: Make) -> None:
        with pytest.raises(Terminate):
            await make(state).next(life=Life.DEAD)

    async def test_a_removed_charm_is_its_end(self, make: Make) -> None:
        with pytest.raises(Terminate):
            await make(msgspec.structs.replace(STARTED, stopped=True, removed=True)).next(life=Life.DYING)

    async def test_a_new_charm_makes_for_a_restart(self, started: Bench) -> None:
        started.local.restart = True

        with pytest.raises(RestartResolving):
            await started.next()

    @pytest.mark.parametrize("what", [(OperationKind.RUN_HOOK, Step.PENDING), (OperationKind.RUN_ACTION, Step.DONE)])
    async def test_a_state_that_cannot_be_is_an_error(self, what: tuple[OperationKind, Step], make: Make) -> None:
        with pytest.raises(NotValidError):
            await make(STARTED.to(*what)).next()

    async def test_relations_come_before_leadership_before_secrets_before_actions_before_commands_before_storage(
        self, installed: Bench
    ) -> None:
        fakes = installed.fakes
        fakes.relations.created = [CREATED]
        fakes.storage.hooks = [ATTACHED]
        fakes.leadership.leads = True
        fakes.commands.waiting = {}
        fakes.remote.be(is_leader=True, secrets=(ROTATE,), actions=(action(7),), commands=(4,), hashes=OTHER)

        seen = []
        for _ in range(9):
            seen.append(await installed.next())
            await installed.run()

        assert seen == [
            "run relation-created (3; mysql) hook",
            "accept leadership",
            "run commands 4",  # Which wait for nothing that is only queued.
            "run leader-elected hook",
            "run secret-rotate (9m4e2mr0ui3e8a215n4g) hook",
            "run action 7 (backup)",
            "run storage-attached (data/0) hook",
            "run config-changed hook",
            "run start hook",
        ]


class TestInstall:
    """From nothing to started."""

    async def test_a_new_unit_has_its_charm_put_in_place(self, make: Make) -> None:
        bench = make(OperationState(kind=OperationKind.INSTALL, step=Step.QUEUED, charm=OLD))

        assert await bench.next(charm=NEW) == "install local:shop-1"

    async def test_a_dying_unit_without_a_charm_gets_none(self, make: Make) -> None:
        bench = make(OperationState(kind=OperationKind.INSTALL, step=Step.QUEUED, charm=OLD))

        with pytest.raises(Terminate):
            await bench.next(life=Life.DYING)

        assert bench.fakes.storage.synchronized == 1

    async def test_install_comes_first(self, blank: Bench) -> None:
        assert await blank.next(hashes=OTHER, charm=NEW) == "run install hook"

    async def test_a_queued_install_is_run(self, make: Make) -> None:
        assert await make(at(BLANK, Step.QUEUED, "install")).next() == "run install hook"

    async def test_a_dying_unit_does_not_run_a_queued_install(self, make: Make) -> None:
        with pytest.raises(Terminate):
            await make(at(BLANK, Step.QUEUED, "install")).next(life=Life.DYING)

    async def test_a_started_unit_is_not_installed(self, make: Make) -> None:
        state = msgspec.structs.replace(STARTED, installed=False)

        assert await make(state).next() == ""

    async def test_storage_is_announced_before_install(self, make: Make) -> None:
        bench = make(at(BLANK, Step.QUEUED, "install"))
        bench.fakes.storage.hooks = [ATTACHED]

        assert await bench.next() == "run storage-attached (data/0) hook"

    async def test_install_waits_for_storage(self, make: Make) -> None:
        bench = make(at(BLANK, Step.QUEUED, "install"))
        bench.fakes.storage.is_waited_for = True

        with pytest.raises(Waiting):
            await bench.next()

    async def test_nothing_after_install_waits_for_storage(self, installed: Bench) -> None:
        installed.fakes.storage.is_waited_for = True

        assert await installed.next(hashes=OTHER) == "run config-changed hook"

    async def test_a_dying_unit_waits_for_no_storage(self, make: Make) -> None:
        bench = make(at(BLANK, Step.QUEUED, "install"))
        bench.fakes.storage.is_waited_for = True

        with pytest.raises(Terminate):
            await bench.next(life=Life.DYING)

    async def test_a_queued_storage_hook_is_not_passed_over_by_install(self, make: Make) -> None:
        """It asked for a reboot there and then, and so is queued again."""
        state = BLANK.to(OperationKind.RUN_HOOK, Step.QUEUED, hook=ATTACHED)

        assert await make(state).next() == "run storage-attached (data/0) hook"


class TestHookSteps:
    """What is made of a hook that is half done."""

    async def test_a_queued_hook_is_run(self, make: Make) -> None:
        assert await make(at(STARTED, Step.QUEUED)).next() == "run config-changed hook"

    async def test_a_queued_hook_is_run_by_a_dying_unit(self, make: Make) -> None:
        assert await make(at(INSTALLED, Step.QUEUED, "start")).next(life=Life.DYING) == "run start hook"

    async def test_a_hook_that_is_done_is_only_committed(self, make: Make) -> None:
        assert await make(at(STARTED, Step.DONE)).next() == "skip config-changed hook"


class TestSteady:
    """A unit that has nothing half done."""

    async def test_nothing_to_do_is_nothing(self, started: Bench) -> None:
        assert await started.next() == ""

    @pytest.mark.parametrize("change", ["config", "trust", "addresses"])
    async def test_another_hash_makes_for_config_changed_once(self, started: Bench, change: str) -> None:
        hashes = ConfigHashes(**({"config": "", "trust": "", "addresses": ""} | {change: "other"}))

        assert await started.next(hashes=hashes) == "run config-changed hook"
        await started.run()
        assert await started.next() == ""

    async def test_what_changes_while_config_changed_runs_makes_for_another(self, started: Bench) -> None:
        started.fakes.remote.be(hashes=OTHER)
        operation = await started.chain.next(started.local, started.fakes.remote.snapshot())
        assert operation is not None
        started.fakes.remote.be(hashes=ConfigHashes(config="later", trust="", addresses=""))

        for step in (operation.prepare, operation.execute, operation.commit):
            started.local.state = (await step(started.local.state)).state or started.local.state

        assert await started.next() == "run config-changed hook"

    async def test_config_comes_before_relations_before_update_status(self, started: Bench) -> None:
        started.fakes.relations.hooks = [JOINED]
        assert await started.next(update_status_version=1, hashes=OTHER) == "run config-changed hook"
        await started.run()

        assert await started.next(update_status_version=2) == "run relation-joined (3; mysql/0) hook"
        await started.run()

        assert await started.next(update_status_version=3) == "run update-status hook"

    async def test_any_hook_absorbs_the_ticks_that_it_has_seen(self, started: Bench) -> None:
        assert await started.next(update_status_version=1, hashes=OTHER) == "run config-changed hook"
        await started.run()

        assert await started.next() == ""
        assert await started.next(update_status_version=2) == "run update-status hook"

    async def test_relations_are_synchronized_only_in_peace(self, started: Bench) -> None:
        await started.next()
        assert started.fakes.relations.synchronized == 1

        started.local.state = at(STARTED, Step.PENDING)
        await started.next()
        assert started.fakes.relations.synchronized == 1

    async def test_no_relation_is_announced_before_install_or_to_a_dying_unit(self, installed: Bench) -> None:
        installed.fakes.relations.created = [CREATED]
        assert await installed.next(life=Life.DYING) == "run remove hook"

        installed.local.state = BLANK
        assert await installed.next(life=Life.ALIVE) == "run install hook"


class TestDying:
    """A unit's end."""

    async def test_relations_then_stop_then_remove_then_the_end(self, started: Bench) -> None:
        started.fakes.relations.hooks = [BROKEN]
        started.fakes.storage.hooks = [DETACHING]
        started.fakes.remote.be(life=Life.DYING)

        seen = []
        for _ in range(4):
            seen.append(await started.next())
            await started.run()

        assert seen == [
            "run storage-detaching (data/0) hook",
            "run relation-broken (3; mysql) hook",
            "run stop hook",
            "run remove hook",
        ]
        with pytest.raises(Terminate):
            await started.next()

    async def test_a_unit_that_never_started_is_only_removed(self, installed: Bench) -> None:
        assert await installed.next(life=Life.DYING) == "run remove hook"

    async def test_a_unit_that_was_never_installed_just_ends(self, blank: Bench) -> None:
        with pytest.raises(Terminate):
            await blank.next(life=Life.DYING)

    async def test_a_dying_unit_takes_up_nothing_new(self, started: Bench) -> None:
        started.fakes.leadership.leads = True
        wanted = {"charm": NEW, "hashes": OTHER, "update_status_version": 9, "secrets": (ROTATE,), "is_leader": True}

        assert await started.next(life=Life.DYING, **wanted) == "run stop hook"

    async def test_a_dying_leader_resigns_and_hears_of_the_next_ones_settings(self, make: Make) -> None:
        bench = make(msgspec.structs.replace(STARTED, leader=True))
        bench.fakes.remote.be(life=Life.DYING, is_leader=True, leader_settings_version=1)

        seen = []
        for _ in range(3):
            seen.append(await bench.next())
            await bench.run()

        assert seen == ["resign leadership", "run leader-settings-changed hook", "run stop hook"]


class TestUpgrade:
    """Another charm."""

    async def test_another_charm_is_taken_up(self, started: Bench) -> None:
        assert await started.next(charm=NEW) == "upgrade to local:shop-1"

    async def test_other_resources_make_for_an_upgrade(self, started: Bench) -> None:
        assert await started.next(charm_modified_version=1) == "upgrade to local:shop-0"

    async def test_other_resources_are_not_forgotten_for_another_hook(self, installed: Bench) -> None:
        """Juju keeps the version with any hook, and so never runs upgrade-charm for what came just before one."""
        installed.fakes.relations.created = [CREATED]
        assert await installed.next(charm_modified_version=1) == "run relation-created (3; mysql) hook"
        await installed.run()

        assert await installed.next() == "upgrade to local:shop-0"

    async def test_after_it_comes_a_restart_and_then_its_hooks(self, started: Bench) -> None:
        await started.next(charm=NEW, charm_modified_version=1)
        await started.run()
        with pytest.raises(RestartResolving):
            await started.next()

        started.local.restart = False
        assert await started.next() == "run upgrade-charm hook"
        await started.run()
        assert await started.next() == "run config-changed hook"
        await started.run()
        assert await started.next() == ""

    async def test_one_that_was_interrupted_is_resumed(self, make: Make) -> None:
        bench = make(STARTED.to(OperationKind.UPGRADE, Step.PENDING, charm=NEW))

        assert await bench.next(charm=NEW) == "upgrade to local:shop-1"

    async def test_one_that_was_interrupted_goes_on_to_what_is_wanted_now(self, make: Make) -> None:
        bench = make(STARTED.to(OperationKind.UPGRADE, Step.PENDING, charm=NEW))

        assert await bench.next(charm=OLD) == "upgrade to local:shop-0"

    async def test_a_unit_in_error_does_not_upgrade(self, make: Make) -> None:
        assert await make(at(STARTED, Step.PENDING)).next(charm=NEW) == ""

    async def test_a_unit_in_error_upgrades_by_force_and_stays_in_error(self, make: Make) -> None:
        bench = make(at(STARTED, Step.PENDING))
        assert await bench.next(charm=NEW, force_charm=True, charm_modified_version=1) == "upgrade to local:shop-1"
        await bench.run()
        bench.local.restart = False

        assert await bench.next() == ""
        assert bench.fakes.status.agent[-1] == ("error", 'hook failed: "config-changed"')
        assert await bench.next(resolved="no-hooks") == "skip config-changed hook"
        await bench.run()
        assert await bench.next() == ""

    async def test_force_alone_is_no_reason(self, make: Make) -> None:
        assert await make(at(STARTED, Step.PENDING)).next(force_charm=True, charm_modified_version=1) == ""


class TestConflict:
    """A charm that cannot be put in place."""

    @pytest.fixture
    def conflicted(self, make: Make) -> Bench:
        bench = make(STARTED.to(OperationKind.UPGRADE, Step.PENDING, charm=NEW))
        bench.local.conflicted = True
        return bench

    @pytest.mark.parametrize("wanted", [{}, {"charm": OLD}, {"force_charm": True}, {"life": Life.DYING}])
    async def test_it_waits(self, conflicted: Bench, wanted: dict[str, object]) -> None:
        with pytest.raises(Waiting):
            await conflicted.next(**({"charm": NEW} | wanted))

    @pytest.mark.parametrize("mode", ["retry-hooks", "no-hooks"])
    async def test_an_operator_resolves_it(self, conflicted: Bench, mode: str) -> None:
        assert await conflicted.next(charm=NEW, resolved=mode) == "continue upgrade to local:shop-1"
        assert conflicted.fakes.remote.clears == 1

    async def test_it_goes_on_to_the_charm_that_failed_whatever_is_wanted_since(self, conflicted: Bench) -> None:
        assert await conflicted.next(charm=OLD, resolved="retry-hooks") == "continue upgrade to local:shop-1"

    async def test_another_charm_takes_its_place_by_force(self, conflicted: Bench) -> None:
        assert await conflicted.next(charm=OLD, force_charm=True) == "switch upgrade to local:shop-0"

    async def test_a_dead_unit_does_not_wait(self, conflicted: Bench) -> None:
        with pytest.raises(Terminate):
            await conflicted.next(life=Life.DEAD)


class TestRepair:
    """What a new agent finds."""

    @pytest.mark.parametrize("state", [STARTED, INSTALLED, at(STARTED, Step.PENDING), at(STARTED, Step.QUEUED)])
    async def test_a_damaged_charm_is_put_in_place_again(self, state: OperationState, make: Make) -> None:
        bench = make(state)
        bench.local.charm = None

        assert await bench.next() == "upgrade to local:shop-0"

    async def test_a_hook_that_is_done_is_committed_first(self, make: Make) -> None:
        bench = make(at(STARTED, Step.DONE))
        bench.local.charm = None

        assert await bench.next() == "skip config-changed hook"
        await bench.run()
        assert await bench.next() == "upgrade to local:shop-0"

    async def test_an_action_that_is_half_done_is_ended_first(self, make: Make) -> None:
        bench = make(STARTED.to(OperationKind.RUN_ACTION, Step.PENDING, action=7, hook=kind("start")))
        bench.local.charm = None

        assert await bench.next() == "end action 7 as failed"
        await bench.run()
        assert await bench.next() == "upgrade to local:shop-0"

    @pytest.mark.parametrize("is_new", [True, False])
    async def test_a_hook_that_failed_gets_a_newer_charm_from_a_new_agent(self, is_new: bool, make: Make) -> None:
        bench = make(at(STARTED, Step.PENDING))
        bench.chain = bench.new_chain(is_new=is_new)

        assert await bench.next(charm=NEW) == ("upgrade to local:shop-1" if is_new else "")

    @pytest.mark.parametrize(
        ("state", "wanted"),
        [
            (at(STARTED, Step.PENDING, "upgrade-charm"), {"charm": NEW}),
            (at(STARTED, Step.PENDING), {}),
            (at(INSTALLED, Step.PENDING), {"charm": NEW}),
            (at(BLANK, Step.PENDING, "install"), {"charm": NEW}),
        ],
    )
    async def test_there_is_not_always_something_to_repair(
        self, state: OperationState, wanted: dict[str, object], make: Make
    ) -> None:
        bench = make(state)
        bench.chain = bench.new_chain(is_new=True)

        assert await bench.next(**wanted) == ""

    async def test_a_dying_unit_is_not_repaired(self, started: Bench) -> None:
        started.local.charm = None

        assert await started.next(life=Life.DYING) == "run stop hook"


class TestReboot:
    """The machine has been rebooted."""

    async def test_start_is_run_once(self, started: Bench) -> None:
        started.fakes.boot_id = "boot-2"
        started.chain = started.new_chain()
        assert await started.next() == "run start hook"
        await started.run()

        assert await started.next() == ""

    @pytest.mark.parametrize(
        "state", [INSTALLED, msgspec.structs.replace(STARTED, stopped=True), at(STARTED, Step.PENDING)]
    )
    async def test_a_unit_that_does_not_run_forgets_or_waits(self, state: OperationState, make: Make) -> None:
        bench = make(state)
        bench.fakes.boot_id = "boot-2"
        bench.chain = bench.new_chain()

        assert await bench.next() == ""

    async def test_a_boot_that_is_not_known_is_none(self, started: Bench) -> None:
        started.fakes.boot_id = ""
        started.chain = started.new_chain()

        assert await started.next() == ""

    async def test_a_hook_that_was_done_before_it_is_committed_first(self, make: Make) -> None:
        bench = make(at(STARTED, Step.DONE))
        bench.fakes.boot_id = "boot-2"
        bench.chain = bench.new_chain()

        assert await bench.next() == "skip config-changed hook"
        await bench.run()
        assert await bench.next() == "run start hook"
