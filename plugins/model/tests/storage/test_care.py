"""What is asked of storage that is there, and storage that was there before."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from plugins.model.tests.conftest import HERE, World, charm
from plugins.model.tests.storage.conftest import KEEPER, PROVIDERS, Host

from undercroft_hookspecs import FilesystemId, NotFoundError, NotValidError, VolumeId
from undercroft_hookspecs.charm import StorageSpec
from undercroft_hookspecs.errors import AlreadyExistsError
from undercroft_hookspecs.state import Life
from undercroft_hookspecs.storage import FilesystemInfo, Usage, VolumeInfo
from undercroft_hookspecs.storage_state import Filesystem
from undercroft_model.models import destroy_model
from undercroft_model.storage.care import (
    ask_snapshot,
    ask_trim,
    check_release,
    remove_snapshot,
    resize_storage,
)
from undercroft_model.storage.document import read_storage, storage_document
from undercroft_model.storage.ending import attach_storage, need_storage, remove_storage
from undercroft_model.storage.importing import import_filesystem
from undercroft_model.transaction import Transaction
from undercroft_model.units import remove_unit

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


async def _given(world: World, host: Host, directive: str) -> None:
    """A unit has one piece of storage, and it is there."""
    await world.deploy(KEEPER, storage={"data": directive})
    await world.start("keeper/0")
    await host.of("keeper/0").attachments()
    await host.settle()


async def _filesystem(host: Host) -> Filesystem:
    (filesystem,) = (await host.wanted()).filesystems.values()
    return filesystem


async def _import(world: World, pool: str, provider_id: str, store: str = "data") -> str:
    return await world.run(
        import_filesystem, pool, provider_id, store, host=HERE.id, providers=PROVIDERS, now=world.clock.now()
    )


async def test_larger_size_is_wanted_of_all_that_is_behind_storage(world: World, host: Host) -> None:
    await _given(world, host, "loop,64M")
    await world.run(resize_storage, "data/0", 128, providers=PROVIDERS)
    wanted = await host.wanted()
    assert (wanted.volumes["0/0"].size_mib, wanted.filesystems["0/0"].size_mib) == (128, 128)
    entry = storage_document(await read_storage(Transaction(world.store), world.model))["storage"]
    assert (entry["data/0"]["size"], entry["data/0"]["wanted-size"]) == (64, 128)  # type: ignore[index]


async def test_smaller_size_is_refused(world: World, host: Host) -> None:
    await _given(world, host, "loop,64M")
    with pytest.raises(NotValidError, match="has 64 MiB, and cannot be made smaller"):
        await world.run(resize_storage, "data/0", 63, providers=PROVIDERS)


async def test_size_that_was_not_granted_yet_can_be_taken_back(world: World, host: Host) -> None:
    await _given(world, host, "loop,64M")
    await world.run(resize_storage, "data/0", 1 << 30, providers=PROVIDERS)
    await world.run(resize_storage, "data/0", 64, providers=PROVIDERS)
    assert (await host.wanted()).volumes["0/0"].size_mib == 64


async def test_provider_that_cannot_is_not_asked_and_those_that_can_are_named(world: World, host: Host) -> None:
    await _given(world, host, "rootfs,64M")
    with pytest.raises(NotValidError, match=r'"rootfs" cannot make storage larger \(those that can: loop\)'):
        await world.run(resize_storage, "data/0", 128, providers=PROVIDERS)
    with pytest.raises(NotValidError, match=r"has nothing to trim"):
        await world.run(ask_trim, "data/0", providers=PROVIDERS, now=NOW)
    await world.run(check_release, "data/0", providers=PROVIDERS)


async def test_what_can_only_be_destroyed_is_not_let_go_of(world: World, host: Host) -> None:
    await _given(world, host, "loop,64M")
    with pytest.raises(NotValidError, match="cannot let go of storage"):
        await world.run(check_release, "data/0", providers=PROVIDERS)


async def test_snapshot_is_asked_for_made_and_removed(world: World, host: Host) -> None:
    await _given(world, host, "rootfs,64M")
    name = await world.run(ask_snapshot, "data/0", "", providers=PROVIDERS, now=NOW)
    assert name == "20261124-120000"
    with pytest.raises(AlreadyExistsError):
        await world.run(ask_snapshot, "data/0", name, providers=PROVIDERS, now=NOW)

    (asked,) = (await _filesystem(host)).snapshots
    made = msgspec.structs.replace(asked, made=NOW, provider_id="snapshots/x")
    await host.facade.set_snapshot(world.model, FilesystemId.parse("0/0"), made)
    assert (await _filesystem(host)).snapshots == (made,)

    await world.run(remove_snapshot, "data/0", name)
    await host.facade.set_snapshot(world.model, FilesystemId.parse("0/0"), made)
    (dying,) = (await _filesystem(host)).snapshots
    assert dying.life is Life.DYING, "who makes it does not undo that it is to go"
    gone = msgspec.structs.replace(dying, life=Life.DEAD)
    await host.facade.set_snapshot(world.model, FilesystemId.parse("0/0"), gone)
    assert (await _filesystem(host)).snapshots == ()
    with pytest.raises(NotFoundError, match="snapshot"):
        await world.run(remove_snapshot, "data/0", name)


@pytest.mark.parametrize("name", ["../x", "a/b", "A", "-rf", ".hidden", "a b", "a\n", "x" * 64, "\0"])
async def test_name_that_no_snapshot_can_have_is_refused(world: World, host: Host, name: str) -> None:
    await _given(world, host, "rootfs,64M")
    with pytest.raises(NotValidError, match="not valid"):
        await world.run(ask_snapshot, "data/0", name, providers=PROVIDERS, now=NOW)


async def test_trim_is_asked_for_until_it_is_done(world: World, host: Host) -> None:
    await _given(world, host, "loop,64M")
    await world.run(ask_trim, "data/0", providers=PROVIDERS, now=NOW)
    assert (await _filesystem(host)).trim_asked == NOW
    await host.facade.set_trimmed(world.model, FilesystemId.parse("0/0"))
    assert (await _filesystem(host)).trimmed is not None


async def test_usage_is_shown_and_written_where_it_is_news(world: World, host: Host) -> None:
    await _given(world, host, "loop,64M")
    filesystem = FilesystemId.parse("0/0")
    told = Usage(size_bytes=1000, used_bytes=100, inodes=10, inodes_used=1)
    await host.facade.set_usage(world.model, {filesystem: told, FilesystemId.parse("0/9"): told})
    await host.facade.set_usage(world.model, {filesystem: msgspec.structs.replace(told, used_bytes=105)})
    view = await read_storage(Transaction(world.store), world.model)
    assert view.usage == {"0/0": told}
    shown = storage_document(view)["storage"]["data/0"]["usage"]  # type: ignore[index]
    assert shown == {"size": 1000, "used": 100, "inodes": 10, "inodes-used": 1}
    await host.facade.set_usage(world.model, {filesystem: msgspec.structs.replace(told, used_bytes=150)})
    assert (await read_storage(Transaction(world.store), world.model)).usage["0/0"].used_bytes == 150


async def test_usage_goes_with_the_filesystem(world: World, host: Host) -> None:
    await _given(world, host, "loop,64M")
    await host.facade.set_usage(world.model, {FilesystemId.parse("0/0"): Usage(size_bytes=1, used_bytes=1)})
    await world.run(remove_unit, "keeper/0", force=True)
    await world.reap()
    await host.settle()
    assert not [key for key in await world.keys() if key.startswith("storage")]


async def test_imported_volume_is_attached_to_a_unit_and_outlives_it(world: World, host: Host) -> None:
    await world.deploy(KEEPER, storage={"data": "loop,64M"})
    await world.start("keeper/0")
    storage = await _import(world, "loop", "volume-0-7")
    wanted = await host.wanted()
    assert wanted.volumes["0/0"].imported == "volume-0-7"
    assert wanted.filesystems["0/0"].volume == "0/0"
    await host.facade.set_volume(world.model, VolumeId.parse("0/0"), VolumeInfo(provider_id="volume-0-0", size_mib=77))
    assert (await need_storage(Transaction(world.store), world.model, storage)).unit == ""

    await world.run(attach_storage, storage, "keeper/0")
    await host.settle()
    assert storage in [each.id for each in await host.of("keeper/0").attachments()]
    await world.run(remove_unit, "keeper/0", force=True)
    await world.reap()
    await host.settle()
    kept = await need_storage(Transaction(world.store), world.model, storage)
    assert (kept.life, kept.unit) == (Life.ALIVE, "")
    assert list((await host.wanted()).volumes) == ["0/0"], "what was made for the unit is gone, and this is not"


async def test_imported_filesystem_of_its_own_provider_is_let_go_of_with_its_model(world: World, host: Host) -> None:
    await world.deploy(KEEPER)
    storage = await _import(world, "rootfs", "filesystem-0-7")
    await world.run(remove_unit, "keeper/0", force=True)
    await world.reap()
    await world.run(destroy_model)
    await world.reap()
    filesystem = (await host.wanted()).filesystems["0/0"]
    assert (filesystem.storage, filesystem.life, filesystem.releasing) == (storage, Life.DEAD, True)
    await host.settle_until_gone()


async def test_imported_storage_is_destroyed_where_an_operator_says_so(world: World, host: Host) -> None:
    await world.deploy(KEEPER)
    storage = await _import(world, "rootfs", "filesystem-0-7")
    await world.run(remove_storage, storage)
    filesystem = (await host.wanted()).filesystems["0/0"]
    assert (filesystem.life, filesystem.releasing) == (Life.DEAD, False)


async def test_nothing_is_imported_twice(world: World, host: Host) -> None:
    await world.deploy(KEEPER)
    await _import(world, "loop", "volume-0-7")
    with pytest.raises(AlreadyExistsError, match='"volume-0-7" is storage data/0 already'):
        await _import(world, "loop", "volume-0-7")
    await host.facade.set_volume(world.model, VolumeId.parse("0/0"), VolumeInfo(provider_id="volume-0-0", size_mib=7))
    with pytest.raises(AlreadyExistsError):
        await _import(world, "loop", "volume-0-0")


@pytest.mark.parametrize("provider_id", ["", "a\nb", "a\0b", "x" * 5000])
async def test_what_can_be_no_providers_id_is_not_imported(world: World, host: Host, provider_id: str) -> None:
    await world.deploy(KEEPER)
    with pytest.raises(NotValidError, match="cannot be a provider's id"):
        await _import(world, "loop", provider_id)


async def test_import_is_refused_where_it_cannot_be(world: World, host: Host) -> None:
    with pytest.raises(NotFoundError, match="no machine of the model yet"):
        await _import(world, "loop", "volume-0-7")
    await world.deploy(KEEPER)
    with pytest.raises(NotValidError, match="cannot import storage"):
        await _import(world, "cloud", "volume-0-7")
    with pytest.raises(NotFoundError, match='storage pool "tape" not found'):
        await _import(world, "tape", "volume-0-7")
    with pytest.raises(NotValidError):
        await _import(world, "loop", "volume-0-7", "../etc")
    with pytest.raises(NotFoundError, match='machine "7" not found'):
        await world.run(import_filesystem, "loop", "x", "data", host=HERE.id, machine="7", providers=PROVIDERS, now=NOW)


async def test_unit_is_given_no_more_of_a_store_than_its_charm_takes(world: World, host: Host) -> None:
    await world.deploy(charm("one", storage={"data": StorageSpec()}))
    await world.start("one/0")
    await host.of("one/0").attachments()
    storage = await _import(world, "loop", "volume-0-7")
    with pytest.raises(NotValidError, match="takes at most 1 instances"):
        await world.run(attach_storage, storage, "one/0")


async def test_charm_that_wants_its_units_to_share_storage_is_refused_as_juju_refuses_it(world: World) -> None:
    with pytest.raises(NotValidError, match='charm "share" store "data": shared storage support not implemented'):
        await world.deploy(charm("share", storage={"data": StorageSpec(shared=True)}))
    assert await world.applications() == []


async def test_size_of_a_filesystem_that_grew_is_taken(world: World, host: Host) -> None:
    await _given(world, host, "loop,64M")
    await world.run(resize_storage, "data/0", 128, providers=PROVIDERS)
    grown = FilesystemInfo(provider_id="filesystem-0/0", size_mib=128)
    await host.facade.set_filesystem(world.model, FilesystemId.parse("0/0"), grown)
    assert (await _filesystem(host)).info == grown
