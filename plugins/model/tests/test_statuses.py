"""Statuses: what is kept of them, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from plugins.model.tests.conftest import MYSQL, World

from undercroft_hookspecs import NotFoundError
from undercroft_model.statuses import KEPT_STATUSES, StatusKind, get_status, set_status, status_log

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)


async def test_a_status_is_kept_with_its_time(world: World) -> None:
    await world.deploy(MYSQL)

    await world.run(set_status, "unit", "mysql/0", "active", "ready", data={"port": 3306}, now=NOW)

    status = await world.run(get_status, "unit", "mysql/0")
    assert status is not None
    assert (status.current, status.message, status.data, status.since) == ("active", "ready", {"port": 3306}, NOW)


async def test_nobody_has_said_anything_yet(world: World) -> None:
    await world.deploy(MYSQL)

    assert await world.run(get_status, "unit", "mysql/0") is None
    assert await world.run(status_log, "unit", "mysql/0") == ()


async def test_the_same_again_keeps_its_time(world: World) -> None:
    await world.deploy(MYSQL)
    await world.run(set_status, "unit", "mysql/0", "active", now=NOW)

    again = await world.run(set_status, "unit", "mysql/0", "active", now=LATER)

    assert again.since == NOW
    assert len(await world.run(status_log, "unit", "mysql/0")) == 1


async def test_the_log_is_bounded_and_ends_with_the_present(world: World) -> None:
    await world.deploy(MYSQL)
    for number in range(KEPT_STATUSES + 5):
        await world.run(set_status, "agent", "mysql/0", "executing", f"hook {number}", now=NOW)

    log = await world.run(status_log, "agent", "mysql/0")

    assert [status.message for status in log] == [f"hook {number}" for number in range(5, KEPT_STATUSES + 5)]


async def test_a_unit_and_its_agent_have_a_status_each(world: World) -> None:
    await world.deploy(MYSQL)
    await world.run(set_status, "unit", "mysql/0", "active", now=NOW)
    await world.run(set_status, "agent", "mysql/0", "idle", now=NOW)

    assert [
        getattr(await world.run(get_status, kind, "mysql/0"), "current", "") for kind in _kinds("unit", "agent")
    ] == [
        "active",
        "idle",
    ]


@pytest.mark.parametrize(
    ("kind", "name", "what"),
    [
        ("unit", "mysql/7", "unit"),
        ("agent", "mysql/7", "unit"),
        ("application", "wordpress", "application"),
        ("machine", "3", "machine"),
    ],
)
async def test_what_does_not_exist_has_no_status(world: World, kind: StatusKind, name: str, what: str) -> None:
    await world.deploy(MYSQL)
    before = await world.keys()

    with pytest.raises(NotFoundError, match=f'{what} "{name}" not found'):
        await world.run(set_status, kind, name, "active", now=NOW)

    assert await world.keys() == before


@pytest.mark.parametrize(("kind", "name"), [("application", "mysql"), ("machine", "0"), ("model", "self")])
async def test_others_than_units_have_a_status(world: World, kind: StatusKind, name: str) -> None:
    await world.deploy(MYSQL)

    await world.run(set_status, kind, name, "active", now=NOW)

    status = await world.run(get_status, kind, name)
    assert status is not None
    assert status.current == "active"


def _kinds(*kinds: StatusKind) -> tuple[StatusKind, ...]:
    return kinds
