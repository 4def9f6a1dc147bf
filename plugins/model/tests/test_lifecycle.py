"""From alive to gone: who waits for whom, and that nothing is left behind."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from plugins.model.tests.conftest import HERE, LOGGING, MYSQL, WORDPRESS, World, charm, endpoints

from undercroft_hookspecs import NotFoundError, Store, UnitHasSubordinates
from undercroft_hookspecs.state import Action, Life, PortRange, Secret, Settings
from undercroft_model.applications import refresh, remove_application
from undercroft_model.burials import bury_application, bury_unit
from undercroft_model.cleanups import note_loss
from undercroft_model.lifecycle import reap
from undercroft_model.models import destroy_model, find_model
from undercroft_model.relations import relations_of
from undercroft_model.rows import (
    Leader,
    OpenedPorts,
    Operation,
    SecretConsumer,
    SecretGrant,
    SecretRevision,
    UnitState,
)
from undercroft_model.scopes import leave_scope
from undercroft_model.statuses import set_status
from undercroft_model.tables import (
    ACTIONS,
    CHARMS,
    LEADER_SETTINGS,
    LEADERS,
    OPERATIONS,
    PORTS,
    RELATION_SETTINGS,
    SECRET_CONSUMERS,
    SECRET_GRANTS,
    SECRET_REVISIONS,
    SECRETS,
    UNIT_STATE,
)
from undercroft_model.transaction import Transaction
from undercroft_model.units import add_units_in_batches, remove_unit, unit_dead, unit_gone

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def litter(world: World, application: str, *, relation: int) -> None:
    """Write one of everything that an application and its unit can have."""
    unit = f"{application}/0"

    async def write(tx: Transaction) -> None:
        model = world.model
        for kind, name in (("unit", unit), ("agent", unit), ("application", application)):
            await set_status(tx, model, kind, name, "active", now=NOW)  # type: ignore[arg-type]
        ports = OpenedPorts(ranges=(PortRange(protocol="tcp", first=80, last=80),))
        tx.put(PORTS.of(model), application, "0", record=ports)
        tx.put(UNIT_STATE.of(model), application, "0", record=UnitState(charm={"a": "b"}))
        tx.put(LEADERS.of(model), application, record=Leader(unit=unit))
        tx.put(LEADER_SETTINGS.of(model), application, record=Settings(values={"a": "b"}))
        tx.put(RELATION_SETTINGS.of(model), str(relation), application, record=Settings(values={"a": "b"}))
        action = Action(id=1, operation=7, unit=unit, name="backup", enqueued=NOW)
        tx.put(ACTIONS.of(model), "1", record=action)
        tx.put(OPERATIONS.of(model), "7", record=Operation(id=7, enqueued=NOW, tasks=(1,)))
        for owner in (unit, application):
            secret = owner.replace("/", "-")
            tx.put(SECRETS.of(model), secret, record=Secret(id=secret, owner=owner, created=NOW, updated=NOW))
            tx.put(SECRET_REVISIONS.of(model), secret, "1", record=SecretRevision(content=b"x", created=NOW))
            tx.put(SECRET_GRANTS.of(model), secret, "wordpress", record=SecretGrant(relation=relation))
            tx.put(SECRET_CONSUMERS.of(model), secret, "wordpress", "0", record=SecretConsumer(tracked=1))

    await world.change(write)


async def test_an_application_that_never_ran_goes_at_once_and_leaves_nothing(world: World) -> None:
    before = await world.keys()
    await world.deploy(WORDPRESS, units=3)

    await world.run(remove_application, "wordpress")
    await world.reap()

    assert {key for key in await world.keys() if not key.startswith("machines/")} == before


async def test_an_application_with_all_that_it_can_have_leaves_nothing(world: World) -> None:
    await world.deploy(WORDPRESS)
    before = await world.keys()
    await world.deploy(MYSQL)
    relation = await world.integrate("wordpress", "mysql")
    await world.enter(relation, "wordpress/0", "mysql/0", host="10.0.0.1")
    await litter(world, "mysql", relation=relation.id)

    await world.run(remove_application, "mysql", force=True)
    await world.reap()

    assert await world.keys() == before


async def test_an_operation_goes_with_the_last_of_its_tasks(world: World) -> None:
    await world.deploy(MYSQL, units=2)

    async def write(tx: Transaction) -> None:
        for number in (0, 1):
            action = Action(id=number, operation=7, unit=f"mysql/{number}", name="backup", enqueued=NOW)
            tx.put(ACTIONS.of(world.model), str(number), record=action)
        tx.put(OPERATIONS.of(world.model), "7", record=Operation(id=7, enqueued=NOW, tasks=(0, 1)))

    await world.change(write)

    await world.run(remove_unit, "mysql/0")
    await world.reap()
    assert {"operations/7", "actions/1"} <= await world.keys()
    await world.run(remove_unit, "mysql/1")
    await world.reap()

    assert not {key for key in await world.keys() if key.startswith(("operations/", "actions/"))}


async def test_a_running_application_waits_for_its_units(world: World) -> None:
    await world.deploy(MYSQL)
    await world.start("mysql/0")

    await world.run(remove_application, "mysql")
    await world.reap()

    assert (await world.application("mysql")).life is Life.DYING
    assert (await world.unit("mysql/0")).life is Life.DYING


async def test_an_application_goes_with_its_last_unit(world: World) -> None:
    before = await world.keys()
    await world.deploy(WORDPRESS, units=2)
    await world.start("wordpress/0", "wordpress/1")
    (peers,) = await relations_of(world.store, world.model, "wordpress")
    await world.enter(peers, "wordpress/0", "wordpress/1")
    await world.run(remove_application, "wordpress")
    await world.reap()

    for unit in ("wordpress/0", "wordpress/1"):
        assert await world.applications() == ["wordpress"]
        await world.run(leave_scope, peers.id, unit)
        await world.run(unit_dead, unit)
        await world.run(unit_gone, unit)
        await world.reap()

    assert {key for key in await world.keys() if not key.startswith("machines/")} == before


async def test_a_dead_unit_stays_until_its_host_has_cleaned_up(world: World) -> None:
    await world.deploy(MYSQL)
    await world.start("mysql/0")
    await world.run(remove_unit, "mysql/0")
    await world.run(unit_dead, "mysql/0")

    await world.reap()

    assert (await world.unit("mysql/0")).life is Life.DEAD


async def test_an_application_waits_for_the_other_sides_units(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    relation = await world.integrate("wordpress", "mysql")
    await world.enter(relation, "wordpress/0", "mysql/0")

    await world.run(remove_application, "mysql")
    await world.reap()
    between = await world.applications()
    await world.run(leave_scope, relation.id, "wordpress/0")
    await world.reap()

    assert between == ["mysql", "wordpress"]
    assert await world.applications() == ["wordpress"]


async def test_force_waits_for_nobody(world: World) -> None:
    await world.deploy(WORDPRESS)
    before = await world.keys()
    await world.deploy(MYSQL, units=2)
    relation = await world.integrate("wordpress", "mysql")
    await world.enter(relation, "wordpress/0", "mysql/0", "mysql/1")
    await world.start("mysql/0", "mysql/1")

    await world.run(remove_application, "mysql", force=True)
    await world.reap()

    assert await world.keys() == before


async def test_force_comes_after_a_removal_that_hangs(world: World) -> None:
    await world.deploy(MYSQL)
    await world.start("mysql/0")
    await world.run(remove_application, "mysql")
    await world.reap()

    await world.run(remove_application, "mysql", force=True)
    await world.reap()

    assert await world.applications() == []


async def test_a_unit_with_subordinates_is_not_dead_yet(world: World) -> None:
    await world.deploy(MYSQL)
    await world.deploy(LOGGING)
    relation = await world.integrate("logging", "mysql")
    await world.enter(relation, "mysql/0")

    with pytest.raises(UnitHasSubordinates, match="logging/0"):
        await world.run(unit_dead, "mysql/0")


async def test_subordinates_go_with_a_principal_that_is_removed_with_force(world: World) -> None:
    await world.deploy(MYSQL)
    await world.deploy(LOGGING)
    relation = await world.integrate("logging", "mysql")
    await world.enter(relation, "mysql/0", "logging/0")
    await world.start("mysql/0", "logging/0")

    await world.run(remove_unit, "mysql/0", force=True)
    await world.reap()

    assert await world.units() == []
    assert await world.applications() == ["logging", "mysql"]


async def test_more_than_one_transaction_holds_is_removed_all_the_same(world: World) -> None:
    before = await world.keys()
    await world.deploy(charm("many", endpoints("peer", "ring:ring")), units=0)
    await add_units_in_batches(world.store, world.model, "many", 50, here=HERE, clock=world.clock, rng=world.rng)
    (peers,) = await relations_of(world.store, world.model, "many")
    await world.enter(peers, *(f"many/{number}" for number in range(50)), host="10.0.0.1")
    await world.start(*(f"many/{number}" for number in range(50)))

    await world.run(remove_application, "many", force=True)
    await world.reap()

    assert {key for key in await world.keys() if not key.startswith("machines/")} == before


async def test_several_reap_at_once(world: World) -> None:
    before = await world.keys()
    await world.deploy(WORDPRESS, units=10)
    await world.deploy(MYSQL, units=10)
    await world.integrate("wordpress", "mysql")
    await world.run(remove_application, "mysql")
    await world.run(remove_application, "wordpress")

    await asyncio.gather(*(world.reap() for _ in range(3)))

    assert {key for key in await world.keys() if not key.startswith("machines/")} == before


async def test_what_an_agent_writes_up_to_the_end_is_removed_too(world: World) -> None:
    await world.deploy(MYSQL)
    await world.start("mysql/0")
    before = {key for key in await world.keys() if key.startswith(("status", "unit-state"))}
    await world.run(remove_unit, "mysql/0", force=True)

    async def chatter() -> None:
        with pytest.raises(NotFoundError):
            for number in range(100_000):
                await world.run(set_status, "agent", "mysql/0", "executing", f"hook {number}", now=NOW)

    await asyncio.gather(chatter(), world.reap())

    assert {key for key in await world.keys() if key.startswith(("status", "unit-state"))} == before


async def test_a_namesake_keeps_what_it_has_while_the_former_is_reaped(world: World) -> None:
    for _ in range(10):
        await world.deploy(WORDPRESS, config={"title": "old"})
        await world.run(remove_application, "wordpress", force=True)

        async def again() -> None:
            await world.reap()
            await world.deploy(WORDPRESS, config={"title": "new"})
            await world.run(set_status, "unit", "wordpress/0", "active", now=NOW)

        await asyncio.gather(again(), world.reap(), world.reap())

        assert {"config/wordpress", "status/unit/wordpress/0"} <= await world.keys()
        await world.run(remove_application, "wordpress", force=True)
        await world.reap()


class Dying(Exception):
    """The process was killed."""


class Faltering:
    """A store whose process is killed before the n-th transaction."""

    def __init__(self, store: Store, *, lives: int) -> None:
        self._store, self._lives = store, lives
        self.list, self.get = store.list, store.get

    async def transact(self, *arguments: object) -> object:
        if self._lives == 0:
            raise Dying
        self._lives -= 1
        return await self._store.transact(*arguments)  # type: ignore[arg-type]


async def test_a_reaper_that_is_killed_anywhere_is_followed_by_one_that_finishes(world: World) -> None:
    before = await world.keys()
    for lives in range(100):
        await world.deploy(WORDPRESS, units=2)
        await world.deploy(MYSQL)
        relation = await world.integrate("wordpress", "mysql")
        await world.enter(relation, "wordpress/0", "mysql/0")
        await world.run(remove_application, "mysql", force=True)
        await world.run(remove_application, "wordpress", force=True)
        store: Store = Faltering(world.store, lives=lives)  # type: ignore[assignment]
        try:
            await reap(store, world.model, clock=world.clock, rng=world.rng)
        except Dying:
            await world.reap()
        else:
            assert lives > 10
            break

        assert {key for key in await world.keys() if not key.startswith("machines/")} == before


async def test_a_note_that_nobody_understands_is_dropped(world: World) -> None:
    before = await world.keys()
    await world.write("cleanups/spaceship/1")

    await world.reap()

    assert await world.keys() == before


async def test_a_charm_stays_as_long_as_a_unit_runs_it(world: World) -> None:
    await world.deploy(MYSQL)
    await world.start("mysql/0")
    await world.run(refresh, "mysql", charm("mysql", sha256="new"))
    await world.reap()
    assert await Transaction(world.store).get(CHARMS.of(world.model), MYSQL.sha256) is not None

    await world.start("mysql/0")
    await world.reap()

    assert set(await Transaction(world.store).look(CHARMS.of(world.model))) == {("new",)}


async def test_a_charm_that_two_applications_have_goes_with_the_second(world: World) -> None:
    await world.deploy(MYSQL, "one")
    await world.deploy(MYSQL, "two")

    await world.run(remove_application, "one")
    await world.reap()
    assert await Transaction(world.store).get(CHARMS.of(world.model), MYSQL.sha256) is not None
    await world.run(remove_application, "two")
    await world.reap()

    assert await Transaction(world.store).get(CHARMS.of(world.model), MYSQL.sha256) is None


async def test_a_charm_that_is_deployed_while_it_is_looked_for_stays(world: World) -> None:
    for _ in range(10):
        await world.deploy(MYSQL, "old")
        await world.run(remove_application, "old")

        await asyncio.gather(world.reap(), world.deploy(MYSQL, "new"))

        assert await Transaction(world.store).get(CHARMS.of(world.model), MYSQL.sha256) is not None
        await world.run(remove_application, "new")
        await world.reap()


async def test_a_name_is_free_again_once_its_application_is_gone(world: World) -> None:
    await world.deploy(MYSQL, units=2)
    await world.run(remove_application, "mysql")
    await world.reap()

    deployed = await world.deploy(MYSQL)

    assert [unit.name for unit in deployed.units] == ["mysql/0"]


async def test_an_alive_thing_survives_a_note(world: World) -> None:
    await world.deploy(WORDPRESS)
    before = await world.keys()

    async def note(tx: Transaction) -> None:
        for kind, parts in (("application", ("wordpress",)), ("unit", ("wordpress", "0")), ("relation", ("0",))):
            note_loss(tx, world.model, kind, *parts)  # type: ignore[arg-type]
        note_loss(tx, world.model, "charm", WORDPRESS.sha256)
        note_loss(tx, world.model, "machine", "0")
        note_loss(tx, world.model, "model", "self")

    await world.change(note)
    await world.reap()

    assert await world.keys() == before


async def test_a_destroyed_model_leaves_no_key(world: World) -> None:
    await world.deploy(WORDPRESS, units=3)
    await world.deploy(MYSQL)
    await world.integrate("wordpress", "mysql")

    await world.run(destroy_model)
    await world.reap()

    left = {entry.key for entry in (await world.store.list("")).entries}
    # The blobs are not the model's: `blobremoval` looks who else needs them; and hosts have yet to see to what is left
    # there of the units.
    others = {key for key in left if not key.startswith(("/blobs/notes/", "/removed-units/"))}
    assert others == {f"/hosts/{HERE.id}/host"}


async def test_a_model_waits_for_its_units(world: World) -> None:
    await world.deploy(MYSQL)
    await world.start("mysql/0")

    await world.run(destroy_model)
    await world.reap()
    between = await world.change(lambda tx: find_model(tx, "test"))
    await world.run(unit_dead, "mysql/0")
    await world.run(unit_gone, "mysql/0")
    await world.reap()

    assert between.life is Life.DYING
    with pytest.raises(NotFoundError):
        await world.change(lambda tx: find_model(tx, "test"))


async def test_a_model_destroyed_with_force_waits_for_nobody(world: World) -> None:
    await world.deploy(MYSQL)
    await world.start("mysql/0")
    await world.run(destroy_model)
    await world.reap()

    await world.run(destroy_model, force=True)
    await world.reap()

    assert not (await world.store.list(f"/models/{world.model}/")).entries


async def test_other_models_are_none_of_a_destroyed_models_business(world: World) -> None:
    await world.deploy(MYSQL)
    before = await world.keys()
    first, world.model = world.model, await world.new_model("second")
    await world.deploy(MYSQL)

    await world.run(destroy_model)
    await world.reap()

    world.model = first
    assert await world.keys() == before


async def test_who_is_late_to_bury_does_not_bury_a_namesake_that_came_later(world: World) -> None:
    await world.deploy(MYSQL)
    await world.run(remove_application, "mysql", force=True)
    dying, unit = await world.application("mysql"), await world.unit("mysql/0")
    await world.reap()
    await world.deploy(MYSQL)

    await world.run(bury_unit, unit)
    await world.run(bury_application, dying)

    assert (await world.applications(), await world.units()) == (["mysql"], ["mysql/0"])
