from __future__ import annotations

import msgspec
import pytest
from plugins.model.tests.conftest import LOGGING, MYSQL, charm, endpoints
from plugins.uniter.tests.relation.conftest import Agents, Unit
from plugins.uniter.tests.sight import hook, snapshot

from undercroft_hookspecs import NotFoundError, NotValidError
from undercroft_hookspecs.hook_facades import HookChanges, HookFacade
from undercroft_hookspecs.relation_facades import LeadershipFacade
from undercroft_hookspecs.state import Life, Relation
from undercroft_hookspecs.unit_facades import UnitFacade
from undercroft_model.applications import refresh
from undercroft_model.relations import remove_relation
from undercroft_model.tables import RELATIONS
from undercroft_model.transaction import Transaction
from undercroft_model.units import remove_unit, unit_dead, unit_gone
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.relation.records import RelationRecords
from undercroft_uniter.relation.state import RelationState

SHOP = charm("shop", endpoints("requirer", "db:mysql"))
CLUSTER = charm("cluster", endpoints("peer", "ring"))


async def related(agents: Agents) -> tuple[Relation, Unit, Unit]:
    """A shop with its mysql, both started, neither in scope yet."""
    await agents.world.deploy(SHOP, units=1)
    await agents.world.deploy(MYSQL, units=1)
    await agents.world.start("shop/0", "mysql/0")
    relation = await agents.world.integrate("shop:db", "mysql:server")
    return relation, await agents.unit("shop/0"), await agents.unit("mysql/0")


async def acquainted(agents: Agents) -> tuple[Relation, Unit, Unit]:
    """A shop and its mysql that have told their charms of one another."""
    relation, shop, mysql = await related(agents)
    await shop.settle()
    await mysql.settle()
    await shop.settle()
    return relation, shop, mysql


async def say(agents: Agents, unit: str, relation: Relation, *, application: bool = False, **settings: str) -> None:
    said = {relation.id: settings}
    changes = HookChanges(application_settings=said) if application else HookChanges(unit_settings=said)
    await agents.units.of(unit, HookFacade).commit(changes)


async def suspend(agents: Agents, relation: Relation, suspended: bool) -> None:
    table = RELATIONS.of(agents.world.model)

    async def decide(tx: Transaction) -> None:
        known = await tx.get(table, str(relation.id))
        assert known is not None
        tx.put(table, str(relation.id), record=msgspec.structs.replace(known, suspended=suspended))

    await agents.world.change(decide)


async def test_a_unit_without_relations_has_no_hooks(agents: Agents) -> None:
    await agents.world.deploy(SHOP, units=1)
    await agents.world.start("shop/0")
    shop = await agents.unit("shop/0")

    assert await shop.settle() == []
    assert shop.tracker.contexts() == {}


async def test_two_sides_are_told_of_one_another(agents: Agents) -> None:
    _, shop, mysql = await related(agents)

    assert await shop.settle() == ["db-relation-created"]
    assert await mysql.settle() == [
        "server-relation-created",
        "server-relation-joined shop/0",
        "server-relation-changed shop/0",
    ]
    assert await shop.settle() == ["db-relation-joined mysql/0", "db-relation-changed mysql/0"]


async def test_what_is_said_is_told_once(agents: Agents) -> None:
    relation, shop, _ = await acquainted(agents)

    await say(agents, "mysql/0", relation, password="first")
    await say(agents, "mysql/0", relation, password="second")

    assert await shop.settle() == ["db-relation-changed mysql/0"]


async def test_what_an_application_says_is_told_without_a_unit(agents: Agents) -> None:
    relation, shop, _ = await acquainted(agents)
    await agents.units.of("mysql/0", LeadershipFacade).claim()

    await say(agents, "mysql/0", relation, application=True, password="first")

    assert await shop.settle() == ["db-relation-changed"]


async def test_a_relation_that_is_removed_is_departed_and_broken_and_gone(agents: Agents) -> None:
    relation, shop, mysql = await acquainted(agents)

    await agents.world.run(remove_relation, relation.id)

    assert await shop.settle() == ["db-relation-departed mysql/0", "db-relation-broken"]
    assert await shop.facade.relations_in_scope() == []
    assert await mysql.settle() == ["server-relation-departed shop/0", "server-relation-broken"]
    await agents.world.reap()
    assert await agents.world.relation(relation.id) is None
    assert (shop.tracker.contexts(), await shop.settle()) == ({}, [])


async def test_a_dying_unit_leaves_and_the_relation_stays(agents: Agents) -> None:
    relation, shop, mysql = await acquainted(agents)

    await agents.world.run(remove_unit, "shop/0")
    found = await shop.due()

    assert found is not None
    assert (found.kind, found.departing_unit) == (HookKind.RELATION_DEPARTED, "shop/0")
    # It is not to be relied on from now on, though its own hooks may take their time.
    assert await mysql.settle() == ["server-relation-departed shop/0"]
    assert await shop.settle() == ["db-relation-departed mysql/0", "db-relation-broken"]
    record = await agents.world.relation(relation.id)
    assert record is not None
    assert record.life is Life.ALIVE


async def test_peers_are_told_of_one_another_and_never_break(agents: Agents) -> None:
    await agents.world.deploy(CLUSTER, units=2)
    await agents.world.start("cluster/0", "cluster/1")
    first, second = await agents.unit("cluster/0"), await agents.unit("cluster/1")
    await first.settle()
    assert await second.settle() == [
        "ring-relation-created",
        "ring-relation-joined cluster/0",
        "ring-relation-changed cluster/0",
    ]
    await first.settle()

    await agents.world.run(remove_unit, "cluster/1")

    assert await second.settle() == ["ring-relation-departed cluster/0"]
    assert [context.is_peer for context in second.tracker.contexts().values()] == [True]
    assert await first.settle() == ["ring-relation-departed cluster/1"]


async def test_all_that_follows_is_written_at_once_and_is_what_would_be_due_hook_by_hook(agents: Agents) -> None:
    await agents.world.deploy(CLUSTER, units=4)
    units = [f"cluster/{number}" for number in range(4)]
    await agents.world.start(*units)
    for name in units[1:]:
        await (await agents.unit(name)).settle()
    first = await agents.unit("cluster/0")
    assert await first.step() == "ring-relation-created"

    present = await first.look()
    joined = await first.due()
    assert joined is not None
    further = list(first.tracker.following(joined, present))
    await first.tracker.commit(joined, *further)

    assert [(hook.kind, hook.remote_unit) for hook in (joined, *further)] == [
        (kind, name) for name in units[1:] for kind in (HookKind.RELATION_JOINED, HookKind.RELATION_CHANGED)
    ]
    assert await first.due() is None
    assert await (await first.begin()).due() is None


async def test_nothing_follows_on_relation_created(agents: Agents) -> None:
    await agents.world.deploy(CLUSTER, units=2)
    await agents.world.start("cluster/0", "cluster/1")
    await (await agents.unit("cluster/1")).settle()
    first = await agents.unit("cluster/0")

    created = await first.due()

    assert created is not None
    assert list(first.tracker.following(created, await first.look())) == []


async def test_the_record_is_written_before_the_scope_is_entered(agents: Agents) -> None:
    relation, shop, _ = await related(agents)
    facade = _Seeing(shop)
    shop.facade = facade  # type: ignore[assignment]
    await shop.begin()

    await shop.step()

    assert facade.known_on_entering == {relation.id}


async def test_a_record_without_scope_is_forgotten_at_start(agents: Agents) -> None:
    relation, shop, _ = await related(agents)
    records = await RelationRecords.open(shop.path)
    await records.put(RelationState(id=relation.id, members={"mysql/0": 1}))

    await shop.begin()

    assert shop.tracker.contexts() == {}
    assert await shop.step() == "db-relation-created"


async def test_a_record_of_a_relation_that_is_gone_is_forgotten_at_start(agents: Agents) -> None:
    _, shop, _ = await related(agents)
    records = await RelationRecords.open(shop.path)
    await records.put(RelationState(id=77, members={"mysql/0": 1}))

    await shop.begin()

    assert (await RelationRecords.open(shop.path)).states() == {}


async def test_a_scope_without_record_is_taken_over_at_start(agents: Agents) -> None:
    relation, shop, _ = await acquainted(agents)
    shop.path.unlink()

    await shop.begin()

    assert set(shop.tracker.contexts()) == {relation.id}
    assert await shop.settle() == [
        "db-relation-created",
        "db-relation-joined mysql/0",
        "db-relation-changed mysql/0",
    ]


async def test_nothing_is_told_again_after_a_restart(agents: Agents) -> None:
    relation, shop, _ = await acquainted(agents)

    await shop.begin()

    assert shop.tracker.contexts()[relation.id].members == ("mysql/0",)
    assert await shop.settle() == []


async def test_relation_created_is_still_due_after_a_crash_right_after_entering(agents: Agents) -> None:
    _, shop, _ = await related(agents)
    await shop.tracker.synchronize(await shop.look())

    await shop.begin()

    assert await shop.settle() == ["db-relation-created"]


async def test_a_suspended_relation_is_broken_once_and_created_anew_when_resumed(agents: Agents) -> None:
    relation, shop, mysql = await acquainted(agents)
    await suspend(agents, relation, True)

    assert await shop.settle() == ["db-relation-departed mysql/0", "db-relation-broken"]
    await mysql.settle()
    assert await shop.facade.relations_in_scope() == []
    assert await shop.settle() == []

    await suspend(agents, relation, False)
    await mysql.settle()
    assert await shop.settle() == [
        "db-relation-created",
        "db-relation-joined mysql/0",
        "db-relation-changed mysql/0",
    ]


async def test_a_suspended_relation_that_is_removed_then_breaks_no_second_time(agents: Agents) -> None:
    relation, shop, _ = await acquainted(agents)
    await suspend(agents, relation, True)
    await shop.settle()

    await agents.world.run(remove_relation, relation.id)

    assert await shop.settle() == []


async def test_what_the_charm_was_told_of_a_suspended_relation_is_kept_out_of_scope(agents: Agents) -> None:
    relation, shop, _ = await acquainted(agents)
    await suspend(agents, relation, True)
    await shop.facade.leave_scope(relation.id)

    await shop.begin()
    assert await shop.step() == "db-relation-departed mysql/0"

    await suspend(agents, relation, False)
    await shop.tracker.synchronize(await shop.look())
    assert await shop.facade.relations_in_scope() == [relation.id]


async def test_a_leader_says_how_the_relation_is(agents: Agents) -> None:
    relation, shop, _ = await related(agents)
    await agents.units.of("shop/0", LeadershipFacade).claim()

    await shop.settle()
    joined = await agents.world.relation(relation.id)
    await suspend(agents, relation, True)
    await shop.settle()
    suspended = await agents.world.relation(relation.id)

    assert joined is not None
    assert joined.status is not None
    assert joined.status.current == "joined"
    assert suspended is not None
    assert suspended.status is not None
    assert suspended.status.current == "suspended"


async def test_a_follower_says_nothing_of_it(agents: Agents) -> None:
    relation, shop, _ = await related(agents)

    await shop.settle()

    record = await agents.world.relation(relation.id)
    assert record is not None
    assert record.status is not None
    assert record.status.current == "joining"


async def test_a_relation_of_a_newer_charm_waits_for_the_upgrade(agents: Agents) -> None:
    await agents.world.deploy(SHOP, units=1)
    await agents.world.deploy(MYSQL, units=1)
    await agents.world.start("shop/0", "mysql/0")
    newer = charm("shop", endpoints("requirer", "store:mysql"), sha256="sha-of-newer")
    await agents.world.run(refresh, "shop", newer)
    relation = await agents.world.integrate("shop:store", "mysql:server")
    shop = await agents.unit("shop/0")

    assert await shop.settle() == []
    assert await shop.facade.relations_in_scope() == []

    await agents.world.start("shop/0")
    assert await shop.settle() == ["store-relation-created"]
    assert await shop.facade.relations_in_scope() == [relation.id]


async def test_a_unit_without_a_charm_enters_nothing(agents: Agents) -> None:
    await agents.world.deploy(SHOP, units=1)
    await agents.world.deploy(MYSQL, units=1)
    await agents.world.integrate("shop:db", "mysql:server")
    shop = await agents.unit("shop/0")

    assert await shop.settle() == []
    assert await shop.facade.relations_in_scope() == []


async def test_a_hook_sees_its_relation_with_who_joins_and_without_who_departs(agents: Agents) -> None:
    relation, shop, mysql = await related(agents)
    await shop.settle()
    await mysql.tracker.synchronize(await mysql.look())
    joining = await shop.due()
    assert joining is not None

    assert shop.tracker.contexts()[relation.id].members == ()
    assert shop.tracker.contexts(joining)[relation.id].members == ("mysql/0",)

    await shop.settle()
    departing = hook("departed", relation=relation.id, unit="mysql/0")
    context = shop.tracker.contexts(departing)[relation.id]
    assert (str(context), context.remote_application, context.members) == (f"db:{relation.id}", "mysql", ())
    assert shop.tracker.contexts()[relation.id].members == ("mysql/0",)


async def test_a_hook_of_no_relation_is_refused(agents: Agents) -> None:
    _, shop, _ = await acquainted(agents)
    start = HookInfo(kind=HookKind.START)

    with pytest.raises(NotValidError):
        shop.tracker.prepare(start)
    with pytest.raises(NotValidError):
        await shop.tracker.commit(start)


async def test_a_hook_of_a_relation_that_is_gone_cannot_be_prepared_and_its_commit_is_nothing(agents: Agents) -> None:
    _, shop, _ = await acquainted(agents)
    gone = hook("changed", relation=77, unit="mysql/0")

    with pytest.raises(NotFoundError):
        shop.tracker.prepare(gone)
    await shop.tracker.commit(gone)


async def test_an_inappropriate_hook_is_refused_and_changes_nothing(agents: Agents) -> None:
    relation, shop, _ = await acquainted(agents)

    with pytest.raises(NotValidError):
        shop.tracker.prepare(hook("broken", relation=relation.id))

    assert shop.tracker.contexts()[relation.id].members == ("mysql/0",)


async def test_a_break_that_was_committed_is_committed_again_after_a_crash(agents: Agents) -> None:
    relation, shop, _ = await acquainted(agents)
    await agents.world.run(remove_relation, relation.id)
    await shop.settle()

    await shop.begin()
    await shop.tracker.commit(hook("broken", relation=relation.id))

    assert shop.tracker.contexts() == {}


async def test_a_relation_that_vanishes_is_forgotten_without_hooks(agents: Agents) -> None:
    _, shop, _ = await acquainted(agents)
    present = snapshot()

    await shop.tracker.synchronize(present)

    assert shop.tracker.next_hook(present) is None
    assert (await RelationRecords.open(shop.path)).states() == {}


async def test_an_implicit_relation_has_a_scope_and_no_hooks(agents: Agents) -> None:
    relation, mysql, _ = await watched(agents)

    assert await mysql.settle() == []
    assert await mysql.facade.relations_in_scope() == [relation.id]
    assert [context.endpoint for context in mysql.tracker.contexts().values()] == ["juju-info"]
    with pytest.raises(NotValidError, match="implicit"):
        mysql.tracker.prepare(hook("created", relation=relation.id))

    await agents.world.run(remove_relation, relation.id)
    assert await mysql.settle() == []
    assert await mysql.facade.relations_in_scope() == []


async def watched(agents: Agents) -> tuple[Relation, Unit, str]:
    """A mysql with a subordinate beside it, which has come into being but not started."""
    await agents.world.deploy(MYSQL, units=1)
    await agents.world.deploy(LOGGING, units=0)
    await agents.world.start("mysql/0")
    relation = await agents.world.integrate("logging:info", "mysql")
    mysql = await agents.unit("mysql/0")
    await mysql.settle()
    (subordinate,) = (await agents.world.unit("mysql/0")).subordinates
    return relation, mysql, subordinate


async def test_a_dying_principal_lets_its_subordinates_die(agents: Agents) -> None:
    _, mysql, name = await watched(agents)
    await agents.world.start(name)

    await agents.world.run(remove_unit, "mysql/0")
    await mysql.settle()

    assert (await agents.world.unit(name)).life is Life.DYING


async def test_a_subordinate_without_its_relation_to_the_principal_ends(agents: Agents) -> None:
    relation, _, name = await watched(agents)
    await agents.world.start(name)
    logging = await agents.unit(name)
    await logging.settle()
    assert (await agents.world.unit(name)).life is Life.ALIVE

    await agents.world.run(remove_relation, relation.id)
    found = await logging.due()

    assert (await agents.world.unit(name)).life is Life.DYING
    assert found is not None
    assert found.kind is HookKind.RELATION_DEPARTED


async def test_a_subordinate_outlives_a_relation_to_somebody_else(agents: Agents) -> None:
    _, _, name = await watched(agents)
    await agents.world.start(name)
    await agents.world.deploy(charm("viewer", endpoints("requirer", "logs:logging")), units=1)
    await agents.world.start("viewer/0")
    other = await agents.world.integrate("viewer:logs", "logging:logging-client")
    logging = await agents.unit(name)
    await logging.settle()

    await agents.world.run(remove_relation, other.id)
    await logging.settle()

    assert (await agents.world.unit(name)).life is Life.ALIVE


async def test_a_relation_that_waits_for_an_old_subordinate_does_not_hold_up_the_others(agents: Agents) -> None:
    first, mysql, old = await watched(agents)
    await agents.world.start(old)
    await agents.world.run(remove_relation, first.id)
    await mysql.settle()
    logging = await agents.unit(old)
    await logging.settle()
    await agents.world.reap()
    again = await agents.world.integrate("logging:info", "mysql")
    await agents.world.deploy(SHOP, units=1)
    db = await agents.world.integrate("shop:db", "mysql:server")

    assert await mysql.settle() == ["server-relation-created"]
    assert await mysql.facade.relations_in_scope() == [db.id]
    assert set(mysql.tracker.contexts()) == {db.id}

    await agents.world.run(unit_dead, old)
    await agents.world.run(unit_gone, old)
    await agents.world.reap()
    await mysql.settle()

    assert sorted(await mysql.facade.relations_in_scope()) == sorted([again.id, db.id])
    (new,) = (await agents.world.unit("mysql/0")).subordinates
    assert new != old


async def test_a_relation_that_ends_while_it_waits_is_forgotten(agents: Agents) -> None:
    first, mysql, old = await watched(agents)
    await agents.world.start(old)
    await agents.units.of(old, UnitFacade).destroy()
    await agents.world.run(remove_relation, first.id)
    await mysql.settle()
    await agents.world.run(remove_relation, first.id, force=True)
    await agents.world.reap()
    again = await agents.world.integrate("logging:info", "mysql")
    await mysql.settle()
    assert set((await RelationRecords.open(mysql.path)).states()) == {again.id}

    await agents.world.run(remove_relation, again.id)
    await mysql.settle()

    assert (await RelationRecords.open(mysql.path)).states() == {}


class _Seeing:
    """A unit's relations; when a scope is entered, it looks at what is written down."""

    def __init__(self, unit: Unit) -> None:
        self._unit, self._facade = unit, unit.facade
        self.known_on_entering: set[int] = set()

    async def enter_scope(self, relation: int) -> None:
        self.known_on_entering = set((await RelationRecords.open(self._unit.path)).states())
        await self._facade.enter_scope(relation)

    def __getattr__(self, name: str) -> object:
        return getattr(self._facade, name)
