from __future__ import annotations

import asyncio

import pytest
from plugins.model.tests.unitside.conftest import Units

from undercroft_hookspecs import NotFoundError, NotLeaderError, NotPermittedError, NotValidError, TooLarge
from undercroft_hookspecs.hook_facades import HookChanges, HookFacade, SecretCreate, SecretFacade
from undercroft_hookspecs.relation_facades import LeadershipFacade, RelationFacade
from undercroft_hookspecs.state import PortRange
from undercroft_hookspecs.unit_facades import NetworkFacade
from undercroft_model.tables import STORAGE_REQUESTS
from undercroft_model.transaction import Transaction

HTTP = PortRange(protocol="tcp", first=80, last=80)


async def everything(units: Units, relation: int) -> HookChanges:
    """Changes of every kind."""
    return HookChanges(
        unit_settings={relation: {"host": "h", "private-address": ""}},
        application_settings={relation: {"database": "shop"}},
        open_ports=(HTTP,),
        add_storage={"data": 2},
        charm_state={"key": "value"},
        secrets=(SecretCreate(id=units.of("shop/0", SecretFacade).new_secret_id(), content={"password": "x"}),),
    )


async def entered(units: Units) -> int:
    relation = await units.related()
    await units.of("shop/0", RelationFacade).enter_scope(relation.id)
    return relation.id


async def test_everything_that_a_hook_writes_is_one_commit(units: Units) -> None:
    relation = await entered(units)
    await units.of("shop/0", LeadershipFacade).claim()
    before = (await units.world.store.list("")).revision

    changes = await everything(units, relation)
    await units.of("shop/0", HookFacade).commit(changes)

    commits = []
    async with units.world.store.watch(f"/models/{units.world.model}/", before) as watched, asyncio.timeout(10):
        commits.append(await anext(watched))
    written = {change.key.split("/")[3] for change in commits[0].changes}
    assert written >= {
        "relation-settings",
        "ports",
        "storage-requests",
        "unit-state",
        "secrets",
        "secret-revisions",
    }
    assert commits[0].revision == (await units.world.store.list("")).revision


async def test_what_was_written_is_read_back(units: Units) -> None:
    relation = await entered(units)
    await units.of("shop/0", LeadershipFacade).claim()
    await units.of("shop/0", HookFacade).commit(await everything(units, relation))

    settings = await units.of("shop/0", RelationFacade).read_settings(relation, "shop/0")
    assert settings == {"ingress-address": "10.0.0.1", "egress-subnets": "10.0.0.1/32", "host": "h"}
    assert await units.of("shop/0", NetworkFacade).opened_ports() == (HTTP,)
    assert await units.of("shop/0", HookFacade).charm_state() == {"key": "value"}
    requests = await Transaction(units.world.store).get(STORAGE_REQUESTS.of(units.world.model), "shop", "0")
    assert requests is not None
    assert requests.counts == {"data": 2}


async def test_a_leadership_that_is_lost_in_the_middle_of_a_hook_lets_nothing_of_it_through(units: Units) -> None:
    relation = await entered(units)
    changes = await everything(units, relation)
    await units.of("shop/0", LeadershipFacade).claim()
    await units.of("shop/0", LeadershipFacade).resign()
    await units.of("shop/1", LeadershipFacade).claim()
    prefix = f"/models/{units.world.model}/"
    before = (await units.world.store.list(prefix)).entries

    with pytest.raises(NotLeaderError):
        await units.of("shop/0", HookFacade).commit(changes)

    assert (await units.world.store.list(prefix)).entries == before


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (HookChanges(charm_state={"a": "b"}, unit_settings={99: {"a": "b"}}), NotFoundError),
        (HookChanges(charm_state={"a": "b"}, add_storage={"absent": 1}), NotFoundError),
        (HookChanges(charm_state={"a": "b"}, add_storage={"data": 0}), NotValidError),
        (HookChanges(charm_state={"a": "b"}, open_ports=(PortRange(protocol="tcp", first=9, last=1),)), NotValidError),
        (HookChanges(charm_state={"a": "b"}, unit_settings={1: {"a=b": "c"}}), NotValidError),
    ],
)
async def test_what_cannot_be_written_keeps_all_else_from_being_written(
    units: Units, changes: HookChanges, error: type[Exception]
) -> None:
    await entered(units)

    with pytest.raises(error):
        await units.of("shop/0", HookFacade).commit(changes)

    assert await units.of("shop/0", HookFacade).charm_state() == {}


async def test_a_unit_says_nothing_in_a_relation_that_it_has_not_entered(units: Units) -> None:
    relation = await units.related()

    with pytest.raises(NotPermittedError):
        await units.of("shop/0", HookFacade).commit(HookChanges(unit_settings={relation.id: {"a": "b"}}))


async def test_state_that_is_taken_away_is_gone(units: Units) -> None:
    await units.related()
    hooks = units.of("shop/0", HookFacade)
    await hooks.commit(HookChanges(charm_state={"a": "b"}))

    await hooks.commit(HookChanges(charm_state={}))

    assert await hooks.charm_state() == {}


async def test_nothing_written_is_no_commit(units: Units) -> None:
    await units.related()
    revision = (await units.world.store.list("")).revision

    await units.of("shop/0", HookFacade).commit(HookChanges())

    assert (await units.world.store.list("")).revision == revision


@pytest.mark.parametrize(
    "changes",
    [
        HookChanges(unit_settings={1: {"a": "x" * 300_000}}),
        HookChanges(charm_state={"a": "x" * 70_000}),
        HookChanges(charm_state={"k" * 257: "x"}),
        HookChanges(charm_state={str(number): "x" * 60_000 for number in range(20)}),
        HookChanges(unit_settings={number: {"a": "x"} for number in range(60)}),
    ],
)
async def test_what_would_not_fit_is_refused_before_the_commit(units: Units, changes: HookChanges) -> None:
    with pytest.raises(TooLarge):
        units.of("shop/0", HookFacade).check(changes)


async def test_ports_collide_with_those_of_other_units_on_the_machine(units: Units) -> None:
    await units.related()
    assert (await units.world.unit("mysql/0")).machine == (await units.world.unit("shop/0")).machine
    await units.of("mysql/0", HookFacade).commit(HookChanges(open_ports=(HTTP,)))

    clash = PortRange(protocol="tcp", first=70, last=90)
    with pytest.raises(NotValidError, match=r'70-90/tcp .*conflicts with 80/tcp \(unit "mysql/0"\)'):
        await units.of("shop/0", HookFacade).commit(HookChanges(open_ports=(clash,)))

    assert await units.of("shop/0", NetworkFacade).machine_ports() == {"mysql/0": (HTTP,)}


async def test_two_units_that_open_the_same_port_at_once_do_not_both_get_it(units: Units) -> None:
    await units.related()
    hooks = [units.of(name, HookFacade) for name in ("mysql/0", "shop/0", "shop/1", "mysql/1")]

    outcomes = await asyncio.gather(
        *(each.commit(HookChanges(open_ports=(HTTP,))) for each in hooks), return_exceptions=True
    )

    assert sorted(isinstance(outcome, NotValidError) for outcome in outcomes) == [False, True, True, True]


async def test_one_range_may_be_open_for_several_endpoints_of_a_unit(units: Units) -> None:
    await units.related()
    for_db = PortRange(protocol="tcp", first=80, last=80, endpoint="db")

    await units.of("shop/0", HookFacade).commit(HookChanges(open_ports=(HTTP, for_db)))

    assert set(await units.of("shop/0", NetworkFacade).opened_ports()) == {HTTP, for_db}


async def test_a_unit_s_own_ranges_do_not_overlap_either(units: Units) -> None:
    await units.related()
    hooks = units.of("shop/0", HookFacade)
    await hooks.commit(HookChanges(open_ports=(HTTP,)))

    with pytest.raises(NotValidError, match="conflicts"):
        await hooks.commit(HookChanges(open_ports=(PortRange(protocol="tcp", first=80, last=81),)))
    await hooks.commit(HookChanges(open_ports=(PortRange(protocol="udp", first=80, last=81),)))


async def test_ports_that_are_closed_leave_no_key_behind(units: Units) -> None:
    await units.related()
    hooks = units.of("shop/0", HookFacade)
    await hooks.commit(HookChanges(open_ports=(HTTP,)))

    await hooks.commit(HookChanges(close_ports=(HTTP, PortRange(protocol="tcp", first=1, last=1))))

    assert await units.of("shop/0", NetworkFacade).opened_ports() == ()
    assert not any(key.startswith("ports/") for key in await units.world.keys())
