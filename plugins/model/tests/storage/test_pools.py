from __future__ import annotations

import pytest
from plugins.model.tests.conftest import World
from plugins.model.tests.storage.conftest import KEEPER, PROVIDERS, Host

from undercroft_hookspecs import AlreadyExistsError, NotFoundError, NotValidError
from undercroft_model.storage.pools import create_pool, find_pool, list_pools, remove_pool, update_pool
from undercroft_model.transaction import Transaction


async def test_providers_are_pools_and_have_more_by_default(world: World) -> None:
    pools = await list_pools(Transaction(world.store), world.model, PROVIDERS)
    assert [(pool.name, pool.provider) for pool in pools] == [
        ("cloud", "cloud"),
        ("fast", "loop"),
        ("loop", "loop"),
        ("rootfs", "rootfs"),
    ]


async def test_pool_is_made_changed_used_and_removed(world: World, host: Host) -> None:
    await world.run(create_pool, "mine", "loop", {"fs": "btrfs"}, providers=PROVIDERS)
    await world.run(update_pool, "mine", {"fs": "xfs"}, providers=PROVIDERS)
    source = await find_pool(Transaction(world.store), world.model, "mine", PROVIDERS)
    assert source.pool.attributes == {"fs": "xfs"}

    await world.deploy(KEEPER, storage={"data": "mine"})
    await host.of("keeper/0").attachments()
    with pytest.raises(NotValidError, match="in use by data/0"):
        await world.run(remove_pool, "mine", providers=PROVIDERS)

    await world.run(create_pool, "idle", "loop", {}, providers=PROVIDERS)
    await world.run(remove_pool, "idle", providers=PROVIDERS)
    with pytest.raises(NotFoundError, match='storage pool "idle" not found'):
        await find_pool(Transaction(world.store), world.model, "idle", PROVIDERS)


@pytest.mark.parametrize(
    ("name", "provider", "attributes", "error", "message"),
    [
        ("loop", "loop", {}, AlreadyExistsError, "already exists"),
        ("1x", "loop", {}, NotValidError, "not valid"),
        ("new", "tape", {}, NotFoundError, 'provider "tape" not found; there are: cloud, loop, rootfs'),
        ("new", "loop", {"colour": "red"}, NotValidError, "does not take that: .*colour"),
    ],
)
async def test_pool_that_makes_no_sense_is_refused(
    world: World, name: str, provider: str, attributes: dict[str, str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        await world.run(create_pool, name, provider, attributes, providers=PROVIDERS)


async def test_providers_own_pool_is_not_changed(world: World) -> None:
    with pytest.raises(NotValidError, match="the provider's own"):
        await world.run(update_pool, "fast", {}, providers=PROVIDERS)
    with pytest.raises(NotValidError, match="the provider's own"):
        await world.run(remove_pool, "loop", providers=PROVIDERS)
