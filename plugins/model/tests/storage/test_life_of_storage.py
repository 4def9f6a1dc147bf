from __future__ import annotations

import pytest
from plugins.model.tests.conftest import World, charm
from plugins.model.tests.storage.conftest import KEEPER, Host

from undercroft_hookspecs import FilesystemId, NotFoundError, NotValidError, VolumeId
from undercroft_hookspecs.charm import StorageSpec
from undercroft_hookspecs.hook_facades import HookChanges
from undercroft_hookspecs.state import Life
from undercroft_hookspecs.storage import FilesystemInfo, VolumeInfo
from undercroft_hookspecs.storage_facades import UnitStorage
from undercroft_hookspecs.storage_state import StorageInstance
from undercroft_model.applications import remove_application
from undercroft_model.hookcommit import commit_changes
from undercroft_model.models import destroy_model
from undercroft_model.storage.adding import request_storage
from undercroft_model.storage.ending import attach_storage, detach_storage, let_go, need_storage, remove_storage
from undercroft_model.transaction import Transaction
from undercroft_model.units import remove_unit, unit_dead, unit_gone


async def _instance(world: World, storage: str) -> StorageInstance:
    return await need_storage(Transaction(world.store), world.model, storage)


async def _ended(world: World, host: Host, unit: str) -> None:
    """What the uniter and the deployer do with a dying unit."""
    storage = host.of(unit)
    await storage.destroy_attachments()
    for attachment in await storage.attachments():
        assert attachment.life is Life.DYING
        await storage.remove_attachment(attachment.id)
    await world.run(unit_dead, unit)
    await world.run(unit_gone, unit)
    await world.reap()


async def test_unit_is_given_the_storage_of_its_directive(world: World, host: Host) -> None:
    await world.deploy(KEEPER, storage={"data": "loop,2,256M"})
    storage = host.of("keeper/0")

    pending = await storage.attachments()
    assert pending == [UnitStorage(id="data/0", kind="filesystem"), UnitStorage(id="data/1", kind="filesystem")]
    wanted = await host.wanted()
    assert [(volume.provider, volume.size_mib) for volume in wanted.volumes.values()] == [("loop", 256)] * 2
    assert list(wanted.filesystems) == ["0/0", "0/1"]

    await host.settle()
    locations = {each.id: each.location for each in await storage.attachments()}
    assert locations == {"data/0": "/srv/keeper/data/0", "data/1": "/srv/keeper/data/1"}


async def test_unit_without_a_directive_is_given_what_its_charm_needs(world: World, host: Host) -> None:
    await world.deploy(KEEPER)
    assert [each.id for each in await host.of("keeper/0").attachments()] == ["data/0"]
    wanted = await host.wanted()
    assert not wanted.volumes
    assert wanted.filesystems["0/0"].provider == "rootfs"
    assert wanted.filesystems["0/0"].size_mib == 1024


async def test_looking_twice_makes_nothing_twice(world: World, host: Host) -> None:
    await world.deploy(KEEPER)
    for _ in range(2):
        assert [each.id for each in await host.of("keeper/0").attachments()] == ["data/0"]


async def test_watch_makes_what_is_asked_for_later(world: World, host: Host) -> None:
    await world.deploy(KEEPER)
    storage = host.of("keeper/0")
    async with storage.watch_attachments() as states:
        seen = aiter(states)
        assert [each.id for each in await anext(seen)] == ["data/0"]
        await world.run(request_storage, "keeper/0", "disk", "64M")
        assert [each.id for each in await anext(seen)] == ["data/0", "disk/1"]
        await host.settle()
        locations: list[str] = []
        while locations != ["/srv/keeper/data/0", "/dev/loop7"]:
            locations = [each.location for each in await anext(seen)]


async def test_storage_that_a_hook_asks_for_is_made(world: World, host: Host) -> None:
    await world.deploy(KEEPER)
    await world.start("keeper/0")
    storage = host.of("keeper/0")
    await storage.attachments()
    changes = HookChanges(add_storage={"data": 2})
    await world.change(lambda tx: commit_changes(tx, storage._here, changes, None))
    assert [each.id for each in await storage.attachments()] == ["data/0", "data/1", "data/2"]


async def test_operators_storage_is_made_as_they_asked(world: World, host: Host) -> None:
    await world.deploy(KEEPER)
    await world.run(request_storage, "keeper/0", "data", "fast,128M")
    await host.of("keeper/0").attachments()
    volume = (await host.wanted()).volumes["0/0"]
    assert (volume.pool, volume.provider, volume.size_mib) == ("fast", "loop", 128)
    assert volume.attributes == {"fs": "xfs"}


async def test_more_than_the_charm_takes_is_refused(world: World, host: Host) -> None:
    await world.deploy(charm("one", storage={"data": StorageSpec()}))
    with pytest.raises(NotValidError, match="takes at most 1 instances, 2 specified"):
        await world.run(request_storage, "one/0", "data", "")
    with pytest.raises(NotFoundError, match='charm storage "nothing" not found'):
        await world.run(request_storage, "one/0", "nothing", "")


async def test_what_is_gone_counts_no_more(world: World, host: Host) -> None:
    """A unit was given at most 100 pieces of storage in all its life, for each was counted for ever."""
    await world.deploy(charm("one", storage={"data": StorageSpec(minimum=0, maximum=1)}))
    await world.start("one/0")
    for _ in range(3):
        await world.run(request_storage, "one/0", "data", "rootfs")
        await host.of("one/0").attachments()
        await host.settle()
        (storage,) = [each.id for each in await host.of("one/0").attachments()]
        with pytest.raises(NotValidError):
            await world.run(request_storage, "one/0", "data", "rootfs")
        await world.run(remove_storage, storage, force=True)
        await world.run(let_go, storage, "one/0")
        await host.settle()


async def test_directive_that_the_charm_does_not_take_stops_the_deployment(world: World, host: Host) -> None:
    with pytest.raises(NotValidError, match="cannot read"):
        await world.deploy(KEEPER, storage={"data": "loop,,../x"})
    assert await world.applications() == []


async def test_pool_that_is_not_there_is_named(world: World, host: Host) -> None:
    await world.deploy(KEEPER, storage={"data": "tape"})
    with pytest.raises(NotFoundError, match='storage pool "tape" not found'):
        await host.of("keeper/0").attachments()


async def test_provider_that_cannot_make_volumes_is_not_asked_for_any(world: World, host: Host) -> None:
    await world.deploy(KEEPER, storage={"disk": "rootfs,1"})
    with pytest.raises(NotValidError, match='"rootfs" cannot make block storage'):
        await host.of("keeper/0").attachments()


@pytest.mark.parametrize("location", ["/etc/keeper", "/", "/usr", "relative", "/srv/../etc", "/proc/1"])
async def test_mount_point_of_the_systems_is_refused(world: World, host: Host, location: str) -> None:
    await world.deploy(charm("bad", storage={"data": StorageSpec(location=location)}))
    with pytest.raises(NotValidError, match="cannot be a mount point"):
        await host.of("bad/0").attachments()


@pytest.mark.parametrize("other", ["/srv/one", "/srv/one/within", "/srv/one/."])
async def test_mount_points_of_two_units_do_not_overlap(world: World, host: Host, other: str) -> None:
    await world.deploy(charm("one", storage={"data": StorageSpec(location="/srv/one")}))
    await world.deploy(charm("two", storage={"data": StorageSpec(location=other)}))
    await host.of("one/0").attachments()
    with pytest.raises(NotValidError, match='"data/1" overlaps with "/srv/one" for "data/0"'):
        await host.of("two/0").attachments()


async def test_dying_unit_lets_go_and_its_machines_storage_goes_with_it(world: World, host: Host) -> None:
    await world.deploy(KEEPER, storage={"data": "loop"})
    await world.start("keeper/0")
    await host.of("keeper/0").attachments()
    await host.settle()
    await world.run(remove_application, "keeper")
    await world.reap()

    await _ended(world, host, "keeper/0")
    wanted = await host.wanted()
    assert wanted.filesystem_attachments["0/0"].life is Life.DYING
    assert wanted.volume_attachments["0/0"].life is Life.ALIVE, "a volume is held while its filesystem is mounted"
    await host.settle()
    await world.reap()
    assert {key.split("/")[0] for key in await world.keys()} == {"model", "machines"}


async def test_filesystem_of_its_own_provider_is_destroyed(world: World, host: Host) -> None:
    await world.deploy(KEEPER)
    await world.start("keeper/0")
    await host.of("keeper/0").attachments()
    await host.settle()
    await world.run(remove_unit, "keeper/0")
    await _ended(world, host, "keeper/0")
    await host.facade.set_detached(world.model, FilesystemId.parse("0/0"))
    assert (await host.wanted()).filesystems["0/0"].life is Life.DEAD
    await host.settle()
    assert not (await host.wanted()).filesystems


async def test_unit_removed_by_force_leaves_no_storage(world: World, host: Host) -> None:
    await world.deploy(KEEPER, storage={"data": "loop"})
    await world.start("keeper/0")
    await host.of("keeper/0").attachments()
    await host.settle()
    await world.run(remove_unit, "keeper/0", force=True)
    await world.reap()
    await host.settle()
    assert not [key for key in await world.keys() if key.startswith(("storage", "volumes", "filesystems"))]


async def test_storage_of_the_models_scope_outlives_its_unit_and_is_attached_to_another(
    world: World, host: Host
) -> None:
    await world.deploy(KEEPER, storage={"data": "cloud"}, units=2)
    await world.start("keeper/0", "keeper/1")
    await host.of("keeper/0").attachments()
    await host.settle()
    await world.run(remove_unit, "keeper/0")
    await _ended(world, host, "keeper/0")
    await host.settle()
    kept = await _instance(world, "data/0")
    assert (kept.unit, kept.life) == ("", Life.ALIVE)
    assert list((await host.wanted()).volumes) == ["0"]

    await world.run(attach_storage, "data/0", "keeper/1")
    await host.settle()
    assert "data/0" in [each.id for each in await host.of("keeper/1").attachments()]


async def test_storage_of_a_living_unit_is_detached_and_kept(world: World, host: Host) -> None:
    await world.deploy(KEEPER, storage={"data": "loop"}, units=2)
    await world.start("keeper/0", "keeper/1")
    await host.of("keeper/0").attachments()
    await host.settle()
    await world.run(detach_storage, "data/0")
    assert [each.life for each in await host.of("keeper/0").attachments()] == [Life.DYING]
    with pytest.raises(NotValidError, match="attached to keeper/0"):
        await world.run(attach_storage, "data/0", "keeper/1")
    await host.of("keeper/0").remove_attachment("data/0")
    with pytest.raises(NotValidError, match="still being detached"):
        await world.run(attach_storage, "data/0", "keeper/1")
    await host.settle()
    assert await host.of("keeper/0").attachments() == [], "what was detached is not made anew"
    await world.run(attach_storage, "data/0", "keeper/1")
    assert "data/0" in [each.id for each in await host.of("keeper/1").attachments()]


async def test_attached_storage_is_not_removed_but_by_force(world: World, host: Host) -> None:
    await world.deploy(KEEPER)
    await host.of("keeper/0").attachments()
    with pytest.raises(NotValidError, match="storage data/0 is attached"):
        await world.run(remove_storage, "data/0")
    await world.run(remove_storage, "data/0", force=True)
    assert [each.life for each in await host.of("keeper/0").attachments()] == [Life.DYING]


async def test_storage_can_be_let_go_of_instead_of_destroyed(world: World, host: Host) -> None:
    await world.deploy(KEEPER)
    await world.start("keeper/0")
    await host.of("keeper/0").attachments()
    await host.settle()
    await world.run(detach_storage, "data/0", force=True)
    await world.run(remove_storage, "data/0", destroy=False)
    await host.facade.set_detached(world.model, FilesystemId.parse("0/0"))
    filesystem = (await host.wanted()).filesystems["0/0"]
    assert (filesystem.life, filesystem.releasing) == (Life.DEAD, True)


async def test_model_is_destroyed_after_its_storage(world: World, host: Host) -> None:
    await world.deploy(KEEPER, storage={"data": "cloud"})
    await world.start("keeper/0")
    await host.of("keeper/0").attachments()
    await host.settle()
    await world.run(remove_unit, "keeper/0", force=True)
    await world.reap()
    await world.run(destroy_model)
    await world.reap()
    assert (await host.wanted()).volumes["0"].life is Life.ALIVE, "it is detached first"
    await host.settle_until_gone()
    assert await world.keys() == set()


@pytest.mark.parametrize("storage", ["data/9", "other/0"])
async def test_storage_that_is_not_there_is_not_found(world: World, host: Host, storage: str) -> None:
    with pytest.raises(NotFoundError, match=f'storage "{storage}" not found'):
        await world.run(detach_storage, storage)


@pytest.mark.parametrize("storage", ["data", "data/x", "../data/0", "data/0/1", ""])
async def test_what_cannot_be_storage_is_refused(world: World, host: Host, storage: str) -> None:
    with pytest.raises(NotValidError):
        await world.run(detach_storage, storage)


async def test_provider_cannot_say_that_a_volume_is_another(world: World, host: Host) -> None:
    await world.deploy(KEEPER, storage={"data": "loop"})
    await host.of("keeper/0").attachments()
    await host.settle()
    other = VolumeInfo(provider_id="other", size_mib=1)
    with pytest.raises(NotValidError, match='is "volume-0/0" at its provider already'):
        await host.facade.set_volume(world.model, VolumeId.parse("0/0"), other)
    gone = FilesystemId.parse("0/9")
    await host.facade.set_filesystem(world.model, gone, FilesystemInfo(provider_id="x", size_mib=1))


async def test_what_is_wanted_or_alive_cannot_be_reported_gone(world: World, host: Host) -> None:
    await world.deploy(KEEPER, storage={"data": "loop"})
    await host.of("keeper/0").attachments()
    with pytest.raises(NotValidError, match="is to be attached"):
        await host.facade.set_detached(world.model, VolumeId.parse("0/0"))
    with pytest.raises(NotValidError, match="is not dead"):
        await host.facade.remove(world.model, VolumeId.parse("0/0"))


async def test_status_is_written_once_and_an_error_says_what(world: World, host: Host) -> None:
    await world.deploy(KEEPER, storage={"data": "loop"})
    await host.of("keeper/0").attachments()
    volume = VolumeId.parse("0/0")
    await host.facade.set_status(world.model, volume, "error", "the disk is full")
    first = (await host.wanted()).volumes["0/0"].status
    await host.facade.set_status(world.model, volume, "error", "the disk is full")
    assert (await host.wanted()).volumes["0/0"].status == first
    with pytest.raises(NotValidError, match="needs a message"):
        await host.facade.set_status(world.model, volume, "error")
    with pytest.raises(NotValidError, match='cannot be "happy"'):
        await host.facade.set_status(world.model, volume, "happy")
