"""Models side by side, and their settings."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from plugins.model.tests.conftest import MYSQL, World

from undercroft_hookspecs import AlreadyExistsError, NotFoundError, NotValidError
from undercroft_hookspecs.state import Life, Model
from undercroft_model.modelconfig import (
    duration_seconds,
    model_settings,
    reset_model_config,
    set_model_config,
    update_status_seconds,
)
from undercroft_model.models import create_model, destroy_model, find_model, list_models, open_model

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def find(world: World, name: str) -> Model:
    return await world.change(lambda tx: find_model(tx, name))


async def opened(world: World, wanted: str | None) -> Model:
    return await world.change(lambda tx: open_model(tx, wanted, now=NOW, rng=world.rng))


async def test_a_model_is_found_by_name_owner_and_uuid(world: World) -> None:
    model = await find(world, "test")

    assert await find(world, "admin/test") == model
    assert await find(world, "undercroft:admin/test") == model
    assert await find(world, model.uuid) == model


@pytest.mark.parametrize("name", ["other", "0b2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f"])
async def test_an_unknown_model_is_not_found(world: World, name: str) -> None:
    with pytest.raises(NotFoundError, match=f"model admin/{name} not found"):
        await find(world, name)


async def test_models_are_listed_by_name(world: World) -> None:
    await world.new_model("beta")
    await world.new_model("alpha")

    assert [model.name for model in await list_models(world.store)] == ["alpha", "beta", "test"]


async def test_a_name_is_taken_once(world: World) -> None:
    with pytest.raises(AlreadyExistsError, match='model "test" for admin already exists'):
        await world.new_model("test")


@pytest.mark.parametrize("name", ["", "Test", "a/b", "-a", "a b", "..", "a" * 101])
async def test_a_name_that_is_none_is_refused(world: World, name: str) -> None:
    with pytest.raises(NotValidError, match="is not a valid name"):
        await world.new_model(name)


async def test_the_default_model_is_made_on_first_use(world: World) -> None:
    first = await opened(world, None)

    assert first.name == "default"
    assert await opened(world, None) == first
    assert await opened(world, "default") == first


async def test_the_first_use_by_two_at_once_makes_one_model(world: World) -> None:
    models = await asyncio.gather(*(opened(world, None) for _ in range(4)))

    assert len({model.uuid for model in models}) == 1


async def test_any_other_model_has_to_be_there(world: World) -> None:
    with pytest.raises(NotFoundError):
        await opened(world, "tset")


async def test_models_do_not_see_one_another(world: World) -> None:
    await world.deploy(MYSQL)
    world.model = await world.new_model("second")

    assert await world.applications() == []
    await world.deploy(MYSQL)
    assert await world.units() == ["mysql/0"]


async def test_a_destroyed_model_is_dying_until_it_is_reaped(world: World) -> None:
    await world.run(destroy_model)

    assert (await find(world, "test")).life is Life.DYING
    await world.reap()
    with pytest.raises(NotFoundError):
        await find(world, "test")


async def test_a_name_is_free_once_its_model_is_gone(world: World) -> None:
    await world.run(destroy_model)
    await world.reap()

    again = await world.new_model("test")

    assert again != world.model


async def test_settings_have_defaults(world: World) -> None:
    settings = model_settings(await find(world, "test"))

    assert settings["automatically-retry-hooks"].value is True
    assert settings["update-status-hook-interval"].source == "default"


async def test_settings_come_with_the_model(world: World) -> None:
    config = {"automatically-retry-hooks": "false", "update-status-hook-interval": "10s"}
    made = await world.change(lambda tx: create_model(tx, "quick", now=NOW, rng=world.rng, config=config))

    assert model_settings(made)["automatically-retry-hooks"].value is False
    assert update_status_seconds(made) == 10.0


async def test_settings_are_set_and_reset(world: World) -> None:
    await world.run(set_model_config, {"logging-config": "<root>=DEBUG", "development": True})
    await world.run(reset_model_config, ["development"])

    settings = model_settings(await find(world, "test"))
    assert (settings["logging-config"].value, settings["logging-config"].source) == ("<root>=DEBUG", "model")
    assert (settings["development"].value, settings["development"].source) == (False, "default")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("colour", "red", 'key "colour" is not a setting of models'),
        ("uuid", "x", 'the setting "uuid" cannot be changed'),
        ("development", "perhaps", "expected bool"),
        ("num-provision-workers", "many", "expected number"),
        ("update-status-hook-interval", "soon", "is not a duration"),
        ("update-status-hook-interval", "2h", "is not between"),
    ],
)
async def test_a_wrong_setting_is_refused_with_all_others(world: World, key: str, value: str, message: str) -> None:
    with pytest.raises(NotValidError, match=message):
        await world.run(set_model_config, {"logging-config": "<root>=DEBUG", key: value})

    assert (await find(world, "test")).config == {}


async def test_an_unknown_setting_is_not_reset(world: World) -> None:
    with pytest.raises(NotValidError, match='key "colour"'):
        await world.run(reset_model_config, ["colour"])


@pytest.mark.parametrize(("text", "seconds"), [("5m", 300.0), ("1h30m", 5400.0), ("90s", 90.0), ("1.5s", 1.5)])
def test_durations_are_read_as_juju_writes_them(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds
