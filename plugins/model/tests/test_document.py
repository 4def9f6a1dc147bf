"""The documents that juju's clients read: of a whole model, of a unit."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from plugins.model.tests.conftest import HERE, LOGGING, MYSQL, WORDPRESS, World, charm

from undercroft_hookspecs import NotFoundError
from undercroft_hookspecs.state import PortRange, Settings
from undercroft_model.applications import refresh, remove_application, set_exposed
from undercroft_model.document import status_document
from undercroft_model.models import destroy_model, find_model
from undercroft_model.relations import relations_of
from undercroft_model.rows import Leader, OpenedPorts
from undercroft_model.scopes import leave_scope
from undercroft_model.showunit import show_model, show_unit
from undercroft_model.statuses import StatusKind, set_status
from undercroft_model.tables import LEADERS, PORTS, RELATION_SETTINGS
from undercroft_model.transaction import Transaction
from undercroft_model.units import remove_unit

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def document(world: World) -> dict[str, Any]:  # as deep as JSON
    model = await world.change(lambda tx: find_model(tx, "test"))
    return await status_document(world.store, model, now=NOW)


async def application(world: World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = (await document(world))["applications"][name]
    return found


async def say(world: World, kind: StatusKind, name: str, current: str, message: str = "") -> None:
    await world.run(set_status, kind, name, current, message, now=NOW)


async def lead(world: World, unit: str) -> None:
    async def write(tx: Transaction) -> None:
        tx.put(LEADERS.of(world.model), unit.partition("/")[0], record=Leader(unit=unit))

    await world.change(write)


async def test_an_empty_model(world: World) -> None:
    found = await document(world)

    assert found["model"]["name"] == "test"
    assert found["model"]["version"] == "3.6.9"
    assert found["model"]["model-status"]["current"] == "available"
    assert (found["machines"], found["applications"]) == ({}, {})
    assert found["controller"] == {"timestamp": "03:04:05Z"}


async def test_a_model_that_is_being_destroyed(world: World) -> None:
    await world.run(destroy_model)

    assert (await document(world))["model"]["model-status"]["current"] == "destroying"


async def test_an_application_that_nobody_runs_yet(world: World) -> None:
    await world.deploy(MYSQL, units=2)

    found = await application(world, "mysql")

    assert (found["charm"], found["charm-origin"], found["charm-name"], found["charm-rev"]) == (
        "local:mysql-0",
        "local",
        "mysql",
        0,
    )
    assert found["base"] == {"name": "ubuntu", "channel": "22.04"}
    assert found["exposed"] is False
    assert found["endpoint-bindings"] == {"": "alpha", "server": "alpha", "admin": "alpha"}
    assert list(found["units"]) == ["mysql/0", "mysql/1"]
    unit = found["units"]["mysql/0"]
    assert (unit["workload-status"]["current"], unit["workload-status"]["message"]) == (
        "waiting",
        "waiting for machine",
    )
    assert unit["juju-status"]["current"] == "allocating"
    assert (unit["machine"], unit["public-address"]) == ("0", "10.0.0.1")
    assert "leader" not in unit


async def test_units_are_in_the_order_of_their_numbers(world: World) -> None:
    await world.deploy(MYSQL, units=11)

    assert list((await application(world, "mysql"))["units"])[-2:] == ["mysql/9", "mysql/10"]


async def test_a_running_unit(world: World) -> None:
    await world.deploy(MYSQL)
    await world.present(HERE)
    await world.start("mysql/0")
    await say(world, "unit", "mysql/0", "active", "ready")
    await say(world, "agent", "mysql/0", "idle")
    await lead(world, "mysql/0")
    ports = OpenedPorts(ranges=(PortRange(protocol="tcp", first=3306, last=3306),))

    async def opened(tx: Transaction) -> None:
        tx.put(PORTS.of(world.model), "mysql", "0", record=ports)

    await world.change(opened)

    unit = (await application(world, "mysql"))["units"]["mysql/0"]

    assert unit["workload-status"] == {"current": "active", "message": "ready", "since": "02 Jan 2026 03:04:05Z"}
    assert unit["juju-status"] == {"current": "idle", "since": "02 Jan 2026 03:04:05Z", "version": "3.6.9"}
    assert unit["leader"] is True
    assert unit["open-ports"] == ["3306/tcp"]


async def test_an_error_of_the_agent_is_shown_as_the_workloads(world: World) -> None:
    await world.deploy(MYSQL)
    await world.present(HERE)
    await say(world, "unit", "mysql/0", "maintenance", "installing charm software")
    await say(world, "agent", "mysql/0", "error", 'hook failed: "install"')

    found = await application(world, "mysql")

    unit = found["units"]["mysql/0"]
    assert (unit["workload-status"]["current"], unit["workload-status"]["message"]) == (
        "error",
        'hook failed: "install"',
    )
    assert unit["juju-status"]["current"] == "idle"
    assert found["application-status"]["current"] == "error"


async def test_a_unit_whose_host_is_away_is_lost(world: World) -> None:
    await world.deploy(MYSQL)
    await say(world, "unit", "mysql/0", "active", "ready")
    await say(world, "agent", "mysql/0", "idle")

    unit = (await application(world, "mysql"))["units"]["mysql/0"]

    assert (unit["juju-status"]["current"], unit["workload-status"]["current"]) == ("lost", "unknown")


async def test_an_application_has_the_worst_status_of_its_units(world: World) -> None:
    await world.deploy(MYSQL, units=3)
    await world.present(HERE)
    for number, current in enumerate(("active", "blocked", "waiting")):
        await say(world, "unit", f"mysql/{number}", current, f"unit {number}")

    found = await application(world, "mysql")

    assert (found["application-status"]["current"], found["application-status"]["message"]) == ("blocked", "unit 1")


async def test_an_applications_own_status_goes_before(world: World) -> None:
    await world.deploy(MYSQL)
    await say(world, "unit", "mysql/0", "blocked")

    await say(world, "application", "mysql", "active", "as its leader says")

    assert (await application(world, "mysql"))["application-status"]["current"] == "active"


async def test_an_application_without_units_is_unknown(world: World) -> None:
    await world.deploy(MYSQL, units=0)

    assert (await application(world, "mysql"))["application-status"]["current"] == "unknown"


async def test_relations_are_shown_on_both_sides(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    await world.integrate("wordpress", "mysql")

    found = (await document(world))["applications"]

    assert found["wordpress"]["relations"] == {
        "db": [{"related-application": "mysql", "interface": "mysql", "scope": "global"}],
        "loadbalancer": [{"related-application": "wordpress", "interface": "reversenginx", "scope": "global"}],
    }
    assert found["mysql"]["relations"]["server"][0]["related-application"] == "wordpress"


async def test_a_subordinate_is_shown_beside_its_principal(world: World) -> None:
    await world.deploy(MYSQL)
    await world.deploy(LOGGING)
    relation = await world.integrate("logging", "mysql")
    await world.enter(relation, "mysql/0")

    found = (await document(world))["applications"]

    assert found["logging"]["subordinate-to"] == ["mysql"]
    assert "units" not in found["logging"]
    subordinate = found["mysql"]["units"]["mysql/0"]["subordinates"]["logging/0"]
    assert "machine" not in subordinate
    assert subordinate["juju-status"]["current"] == "allocating"


async def test_what_is_dying_says_so(world: World) -> None:
    await world.deploy(MYSQL, units=2)
    await world.start("mysql/0", "mysql/1")
    await world.run(remove_unit, "mysql/1")
    between = await application(world, "mysql")

    await world.run(remove_application, "mysql")

    assert "life" not in between
    assert between["units"]["mysql/1"]["juju-status"]["life"] == "dying"
    assert (await application(world, "mysql"))["life"] == "dying"


async def test_a_unit_that_is_behind_its_application_is_upgrading(world: World) -> None:
    await world.deploy(MYSQL)
    await world.start("mysql/0")
    await world.run(refresh, "mysql", charm("mysql", sha256="new", version="2.0"))

    found = await application(world, "mysql")

    assert found["units"]["mysql/0"]["upgrading-from"] == "local:mysql-0"
    assert found["charm-version"] == "2.0"


async def test_an_exposed_application(world: World) -> None:
    await world.deploy(MYSQL)
    await world.run(set_exposed, "mysql", True)

    assert (await application(world, "mysql"))["exposed"] is True


async def test_machines_are_up_while_their_agent_is(world: World) -> None:
    await world.deploy(MYSQL)
    down = (await document(world))["machines"]["0"]
    await world.present(HERE)

    machine = (await document(world))["machines"]["0"]

    assert down["juju-status"]["current"] == "down"
    assert machine["juju-status"]["current"] == "started"
    assert (machine["hostname"], machine["dns-name"], machine["ip-addresses"]) == ("here", "10.0.0.1", ["10.0.0.1"])
    assert machine["base"] == {"name": "ubuntu", "channel": "22.04"}


async def test_a_unit_is_shown_with_its_relations_data(world: World) -> None:
    await world.deploy(WORDPRESS)
    await world.deploy(MYSQL)
    relation = await world.integrate("wordpress", "mysql")
    await world.enter(relation, "wordpress/0", host="w")
    await world.enter(relation, "mysql/0", host="m")
    await world.run(leave_scope, relation.id, "wordpress/0")

    async def tell(tx: Transaction) -> None:
        tx.put(RELATION_SETTINGS.of(world.model), str(relation.id), "mysql", record=Settings(values={"version": "8"}))

    await world.change(tell)
    model = await world.change(lambda tx: find_model(tx, "test"))

    found: Any = (await show_unit(world.store, model, "wordpress/0"))["wordpress/0"]  # as deep as JSON

    (info,) = [info for info in found["relation-info"] if info["endpoint"] == "db"]
    assert info == {
        "relation-id": relation.id,
        "endpoint": "db",
        "related-endpoint": "server",
        "application-data": {"version": "8"},
        "local-unit": {"in-scope": False, "data": {"host": "w"}},
        "related-units": {"mysql/0": {"in-scope": True, "data": {"host": "m"}}},
    }
    assert (found["machine"], found["leader"], found["life"]) == ("0", False, "alive")
    assert found["charm"] == "local:wordpress-0"


async def test_a_peer_is_shown_with_the_others(world: World) -> None:
    await world.deploy(WORDPRESS, units=2)
    (peers,) = await relations_of(world.store, world.model, "wordpress")
    await world.enter(peers, "wordpress/0", "wordpress/1")
    model = await world.change(lambda tx: find_model(tx, "test"))

    found: Any = (await show_unit(world.store, model, "wordpress/0"))["wordpress/0"]  # as deep as JSON

    assert set(found["relation-info"][0]["related-units"]) == {"wordpress/1"}


async def test_a_unit_that_does_not_exist_is_not_shown(world: World) -> None:
    model = await world.change(lambda tx: find_model(tx, "test"))

    with pytest.raises(NotFoundError, match='unit "mysql/0" not found'):
        await show_unit(world.store, model, "mysql/0")


async def test_a_model_is_shown(world: World) -> None:
    await world.deploy(MYSQL)
    model = await world.change(lambda tx: find_model(tx, "test"))

    found: Any = (await show_model(world.store, model))["test"]  # as deep as JSON

    assert (found["name"], found["short-name"], found["model-uuid"]) == ("admin/test", "test", str(world.model))
    assert (found["life"], found["is-controller"], found["model-type"]) == ("alive", False, "iaas")
    assert found["machines"] == {"0": {"cores": 2}}
