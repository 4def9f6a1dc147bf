"""What hooks see of everything but relations and secrets, and what they change of it."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pytest
from plugins.uniter.tests.stage import UNIT, Stage

from undercroft_hookspecs import NotFoundError, NotLeaderError, NotPermittedError, NotValidError, TooLarge
from undercroft_hookspecs.hook_facades import HookFacade
from undercroft_hookspecs.hook_tools import (
    ActionContext,
    CharmStateContext,
    ConfigContext,
    CredentialContext,
    GoalStateContext,
    LeadershipContext,
    LogContext,
    NetworkContext,
    NotInContextError,
    PortsContext,
    RebootContext,
    RelationsContext,
    ResourcesContext,
    SecretsContext,
    StatusContext,
    StorageContext,
)
from undercroft_hookspecs.relation_facades import LeadershipFacade
from undercroft_hookspecs.state import PortRange
from undercroft_hookspecs.storage_facades import UnitStorage
from undercroft_hookspecs.unit_facades import NetworkFacade, StatusFacade, UnitFacade
from undercroft_model.rows import Config, Resource
from undercroft_model.tables import CONFIG, RESOURCES, STORAGE_REQUESTS
from undercroft_model.transaction import Transaction
from undercroft_uniter.context.context import UnitContext
from undercroft_uniter.context.factory import Contexts
from undercroft_uniter.context.reboot import HookReboot
from undercroft_uniter.context.restricted import restricted_context
from undercroft_uniter.hook.info import HookInfo, HookKind

T = TypeVar("T")

KINDS = (
    CharmStateContext,
    ConfigContext,
    CredentialContext,
    GoalStateContext,
    LeadershipContext,
    LogContext,
    NetworkContext,
    PortsContext,
    RelationsContext,
    ResourcesContext,
    SecretsContext,
    StatusContext,
    StorageContext,
)


def tcp(first: int, last: int = 0, endpoint: str = "") -> PortRange:
    return PortRange(protocol="tcp", first=first, last=last or first, endpoint=endpoint)


def context(stage: Stage, **fields: str) -> UnitContext:
    info = HookInfo(kind=HookKind.STORAGE_ATTACHED if fields else HookKind.INSTALL, **fields)  # type: ignore[arg-type]
    return Contexts(stage.side).for_hook(info, str(info.kind))


def part(stage: Stage, kind: type[T]) -> T:
    return context(stage).tools.get(kind)


async def test_every_part_is_of_its_kind_and_an_action_s_own_is_not_in_hooks(stage: Stage) -> None:
    tools = context(stage).tools

    for kind in (*KINDS, RebootContext):
        assert isinstance(tools.get(kind), kind)
    with pytest.raises(NotInContextError, match="action is not available in install"):
        tools.get(ActionContext)


async def test_an_action_has_its_own_part_and_no_reboot(stage: Stage) -> None:
    tools = Contexts(stage.side).for_action(await stage.task("plain"), {"a": 1}).tools

    assert tools.get(ActionContext).parameters == {"a": 1}
    with pytest.raises(NotInContextError, match="reboot is not available in plain"):
        tools.get(RebootContext)


async def test_a_restricted_hook_may_log_and_read(stage: Stage) -> None:
    facades = stage.side.facades
    tools = restricted_context(UNIT, "collect-metrics", log=stage.log, config=facades.config, network=facades.network)

    tools.get(LogContext).log(20, "hello")

    assert stage.log.lines == [(20, "juju-log", "hello")]
    assert (await tools.get(ConfigContext).settings())["colour"] == "red"
    assert (await tools.get(NetworkContext).addresses())[0] == "10.0.0.1"
    for kind in (StatusContext, RelationsContext, LeadershipContext, CharmStateContext):
        with pytest.raises(NotInContextError, match="not available in collect-metrics"):
            tools.get(kind)


async def test_the_status_is_what_it_was_when_first_asked_for(stage: Stage) -> None:
    made = context(stage)
    status = made.tools.get(StatusContext)
    before = (await status.unit_status()).current

    await status.set_unit_status("active", "ready")

    assert made.status.is_set
    assert (await status.unit_status()).current == before
    assert (await stage.of(UNIT, StatusFacade).workload_status()).message == "ready"


async def test_a_version_is_told_at_once(stage: Stage) -> None:
    await part(stage, StatusContext).set_workload_version("1.2")

    assert (await stage.of(UNIT, UnitFacade).unit()).workload_version == "1.2"


async def test_only_the_leader_speaks_for_the_application(stage: Stage) -> None:
    status = part(stage, StatusContext)

    with pytest.raises(NotLeaderError, match="unit shop/0 is not the leader of shop"):
        await status.application_statuses()
    with pytest.raises(NotLeaderError):
        await status.set_application_status("active", "")


async def test_the_leader_speaks_for_the_application(stage: Stage) -> None:
    await stage.lead()
    status = part(stage, StatusContext)

    await status.set_application_status("active", "all well")

    assert (await status.application_statuses()).application.message == "all well"


async def test_once_no_leader_never_a_leader_in_the_same_hook(stage: Stage) -> None:
    leadership = part(stage, LeadershipContext)
    assert not await leadership.is_leader()

    await stage.lead()

    assert not await leadership.is_leader()
    assert stage.leading.asked == 1
    assert await part(stage, LeadershipContext).is_leader()


async def test_a_leader_is_asked_for_again_each_time(stage: Stage) -> None:
    await stage.lead()
    leadership = part(stage, LeadershipContext)
    assert await leadership.is_leader()

    stage.leading.leads = False

    assert not await leadership.is_leader()


async def test_leader_settings_are_read_once_as_copies_until_the_hook_writes_some(stage: Stage) -> None:
    await stage.lead()
    leadership, others = part(stage, LeadershipContext), stage.of(UNIT, LeadershipFacade)
    first = await leadership.leader_settings()
    await others.merge_leader_settings({"by": "other"})
    assert isinstance(first, dict)
    first["mine"] = "only"

    again = await leadership.leader_settings()
    await leadership.merge_leader_settings({"a": "1"})

    assert again == {}
    assert await leadership.leader_settings() == {"by": "other", "a": "1"}


async def test_a_minion_writes_no_leader_settings(stage: Stage) -> None:
    with pytest.raises(NotLeaderError):
        await part(stage, LeadershipContext).merge_leader_settings({"a": "1"})


async def test_config_is_what_it_was_when_first_asked_for(stage: Stage) -> None:
    config = part(stage, ConfigContext)
    first = await config.settings()

    table = CONFIG.of(stage.world.model)
    await stage.world.change(lambda tx: _put(tx, table, "shop", record=Config(values={"colour": "blue"})))

    assert first == await config.settings() == {"colour": "red", "size": None}
    assert (await part(stage, ConfigContext).settings())["colour"] == "blue"


async def _put(tx: Transaction, table, *parts: str, record: object) -> None:  # type: ignore[no-untyped-def]
    tx.put(table, *parts, record=record)


async def test_the_charm_s_state_is_seen_as_it_will_be(stage: Stage) -> None:
    made = context(stage)
    state = made.tools.get(CharmStateContext)

    await state.change_charm_state({"a": "1", "b": "2", "quote": 'it\'s "so"'})
    await state.change_charm_state({"b": None, "never": None})

    assert await state.charm_state() == {"a": "1", "quote": 'it\'s "so"'}
    assert await stage.of(UNIT, HookFacade).charm_state() == {}
    await made.changes.commit()
    assert await stage.of(UNIT, HookFacade).charm_state() == {"a": "1", "quote": 'it\'s "so"'}


async def test_state_that_is_as_it_was_is_no_change(stage: Stage) -> None:
    first = context(stage)
    await first.tools.get(CharmStateContext).change_charm_state({"a": "1"})
    await first.changes.commit()
    second = context(stage)

    await second.tools.get(CharmStateContext).change_charm_state({"a": "2"})
    await second.tools.get(CharmStateContext).change_charm_state({"a": "1"})

    assert second.changes.is_empty


@pytest.mark.parametrize("entry", [{"k" * 257: "v"}, {"k": "v" * 65_537}])
async def test_state_that_is_too_large_is_refused_at_once(stage: Stage, entry: dict[str, str]) -> None:
    state = part(stage, CharmStateContext)
    await state.change_charm_state({"a": "1"})

    with pytest.raises(TooLarge):
        await state.change_charm_state({**entry})

    assert await state.charm_state() == {"a": "1"}


async def test_ports_are_seen_as_they_will_be_and_opened_at_the_end(stage: Stage) -> None:
    made = context(stage)
    ports = made.tools.get(PortsContext)

    await ports.open_ports([tcp(80), tcp(100, 200)])
    await ports.close_ports([tcp(80), tcp(7)])

    assert await ports.opened_ports() == [tcp(100, 200)]
    assert await stage.of(UNIT, NetworkFacade).opened_ports() == ()
    await made.changes.commit()
    assert await stage.of(UNIT, NetworkFacade).opened_ports() == (tcp(100, 200),)


async def opened(stage: Stage, *ranges: PortRange, unit: str = UNIT) -> None:
    from undercroft_hookspecs.hook_facades import HookChanges

    await stage.of(unit, HookFacade).commit(HookChanges(open_ports=ranges))


async def test_closing_what_is_open_and_opening_it_again_changes_nothing(stage: Stage) -> None:
    await opened(stage, tcp(80))
    made = context(stage)
    ports = made.tools.get(PortsContext)

    await ports.close_ports([tcp(80)])
    await ports.open_ports([tcp(80)])

    assert made.changes.is_empty


@pytest.mark.parametrize(
    ("unit", "taken", "asked", "words"),
    [
        ("shop/0", tcp(80, 90), tcp(85, 95), 'conflicts with 80-90/tcp (unit "shop/0")'),
        ("shop/1", tcp(80), tcp(80), 'conflicts with 80/tcp (unit "shop/1")'),
        ("mysql/0", tcp(3306), tcp(3300, 3400), 'conflicts with 3306/tcp (unit "mysql/0")'),
    ],
)
async def test_ports_that_are_taken_conflict_at_once(
    stage: Stage, unit: str, taken: PortRange, asked: PortRange, words: str
) -> None:
    await opened(stage, taken, unit=unit)

    with pytest.raises(NotValidError) as caught:
        await part(stage, PortsContext).open_ports([asked])

    assert words in str(caught.value)


async def test_ports_conflict_with_what_the_same_hook_has_asked_for(stage: Stage) -> None:
    ports = part(stage, PortsContext)
    await ports.open_ports([tcp(80, 90)])

    with pytest.raises(NotValidError, match="conflicts with 80-90/tcp"):
        await ports.open_ports([tcp(90, 100)])
    await ports.open_ports([PortRange(protocol="udp", first=90, last=100)])


async def test_one_range_may_be_open_for_several_endpoints(stage: Stage) -> None:
    ports = part(stage, PortsContext)

    await ports.open_ports([tcp(80, endpoint="db"), tcp(80, endpoint="cluster"), tcp(80, endpoint="db")])

    assert await ports.opened_ports() == [tcp(80, endpoint="cluster"), tcp(80, endpoint="db")]


async def test_closing_for_no_endpoint_in_particular_closes_for_all(stage: Stage) -> None:
    await opened(stage, tcp(80, endpoint="db"), tcp(81))
    ports = part(stage, PortsContext)

    await ports.close_ports([tcp(80), tcp(81)])

    assert await ports.opened_ports() == []


async def test_closing_for_one_endpoint_leaves_it_open_for_the_others(stage: Stage) -> None:
    await opened(stage, tcp(80))
    ports = part(stage, PortsContext)

    await ports.close_ports([tcp(80, endpoint="db")])

    assert await ports.opened_ports() == [tcp(80, endpoint="cluster")]


async def test_a_range_that_is_none_is_refused_at_once(stage: Stage) -> None:
    with pytest.raises(NotValidError, match="invalid port range"):
        await part(stage, PortsContext).open_ports([tcp(90, 80)])


async def test_storage_is_what_is_attached_and_announced(stage: Stage) -> None:
    stage.attachments.present = [
        UnitStorage(id="data/0", kind="block", location="/dev/sdb"),
        UnitStorage(id="data/1", kind="filesystem", location="/srv"),
    ]
    stage.storage.ids = frozenset({"data/1"})
    storage = context(stage, storage="data/1").tools.get(StorageContext)

    attached = await storage.attached()

    assert storage.current == "data/1"
    assert {name: (one.kind, one.location) for name, one in attached.items()} == {"data/1": ("filesystem", "/srv")}


async def test_storage_that_is_asked_for_adds_up_and_is_added_at_the_end(stage: Stage) -> None:
    made = context(stage)
    storage = made.tools.get(StorageContext)

    await storage.add({"data": 1})
    await storage.add({"data": 2})
    await made.changes.commit()

    requests = await Transaction(stage.world.store).get(STORAGE_REQUESTS.of(stage.world.model), "shop", "0")
    assert requests is not None
    assert requests.counts == {"data": 3}


async def test_storage_that_the_charm_has_not_is_refused_at_once(stage: Stage) -> None:
    with pytest.raises(NotFoundError, match='charm storage "tape" not found'):
        await part(stage, StorageContext).add({"tape": 1})


async def test_addresses_are_those_of_the_default_binding(stage: Stage) -> None:
    network = part(stage, NetworkContext)

    assert await network.addresses() == ("10.0.0.1", "10.0.0.1")
    assert (await network.network_info("db")).ingress_addresses == ("10.0.0.1",)
    with pytest.raises(NotFoundError, match='no network config found for binding "x"'):
        await network.network_info("x")


async def test_there_is_a_goal_and_no_cloud(stage: Stage) -> None:
    assert "shop/0" in dict((await part(stage, GoalStateContext).goal_state())["units"])  # type: ignore[call-overload]
    with pytest.raises(NotPermittedError, match="cannot access cloud credentials"):
        await part(stage, CredentialContext).credential()


async def attach(stage: Stage, content: bytes, sha256: str, filename: str = "app.tgz") -> None:
    stage.blobs.content[sha256] = content
    found = Resource(sha256=sha256, size_bytes=len(content), filename=filename, revision=1)
    table = RESOURCES.of(stage.world.model)
    await stage.world.change(lambda tx: _put(tx, table, "shop", "app", record=found))


async def test_a_resource_is_fetched_once_and_again_when_it_has_changed(stage: Stage) -> None:
    await attach(stage, b"one", "1" * 64)
    path = await part(stage, ResourcesContext).resource("app")
    again = await part(stage, ResourcesContext).resource("app")
    content = path.read_bytes()

    await attach(stage, b"two", "2" * 64)
    changed = await part(stage, ResourcesContext).resource("app")

    assert path == again == changed == stage.paths.resources / "app" / "app.tgz"
    assert (content, changed.read_bytes()) == (b"one", b"two")
    assert stage.blobs.fetched == ["1" * 64, "2" * 64]


async def test_a_resource_whose_file_was_touched_is_fetched_again(stage: Stage) -> None:
    await attach(stage, b"one", "1" * 64)
    path = await part(stage, ResourcesContext).resource("app")
    path.write_bytes(b"tampered")

    assert (await part(stage, ResourcesContext).resource("app")).read_bytes() == b"one"


async def test_a_resource_that_nobody_has_attached_is_not_found(stage: Stage) -> None:
    with pytest.raises(NotFoundError, match='resource "app" of shop not found'):
        await part(stage, ResourcesContext).resource("app")


@pytest.mark.parametrize("name", ["", "..", "a/b", "../../etc/passwd"])
async def test_a_resource_s_name_is_no_path(stage: Stage, name: str) -> None:
    with pytest.raises(NotValidError):
        await part(stage, ResourcesContext).resource(name)


async def test_a_resource_s_file_name_is_no_path(stage: Stage) -> None:
    await attach(stage, b"evil", "3" * 64, "../../charm/hooks/install")

    with pytest.raises(NotValidError, match="cannot be the filename of a resource"):
        await part(stage, ResourcesContext).resource("app")
    assert not Path(stage.paths.charm, "hooks").exists()


async def test_a_reboot_is_wanted_after_the_hook_or_now() -> None:
    killed = []

    async def kill() -> None:
        killed.append(True)

    reboot = HookReboot()
    reboot.attach(kill)
    await reboot.request_reboot(now=False)
    after = reboot.wanted
    await reboot.request_reboot(now=True)
    await reboot.request_reboot(now=False)

    assert (after, reboot.wanted, killed) == ("after", "now", [True])


async def test_a_process_that_does_not_die_is_an_error_and_there_is_no_reboot() -> None:
    from undercroft_hookspecs import UndercroftError

    async def kill() -> None:
        raise TimeoutError("it runs still")

    reboot = HookReboot()
    reboot.attach(kill)

    with pytest.raises(UndercroftError, match="cannot reboot now: it runs still"):
        await reboot.request_reboot(now=True)

    assert reboot.wanted == ""


async def test_without_a_process_a_reboot_now_is_no_error() -> None:
    reboot = HookReboot()

    await reboot.request_reboot(now=True)

    assert reboot.wanted == "now"


async def test_a_hook_that_has_changed_nothing_commits_nothing(stage: Stage) -> None:
    before = (await stage.world.store.list("")).revision

    await context(stage).changes.commit()

    assert (await stage.world.store.list("")).revision == before
