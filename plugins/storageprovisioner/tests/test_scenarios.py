"""What Juju's provisioner is tested for, as far as no other file has it: volumes, read-only, parameters, leaving."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from plugins.model.tests.conftest import charm
from plugins.storageprovisioner.tests.conftest import needs
from plugins.storageprovisioner.tests.ground import KEEPER, Ground
from plugins.storageprovisioner.tests.pretence import Attributes, Pretence, PretenceOfVolumes, pretending

from undercroft.linux import mountinfo
from undercroft.testing import FakeClock
from undercroft_hookspecs.charm import StorageSpec
from undercroft_hookspecs.storage_facades import WantedStorage
from undercroft_model.storage.pools import create_pool
from undercroft_model.tables import FILESYSTEMS, VOLUMES, parts_of
from undercroft_model.transaction import Transaction
from undercroft_model.units import remove_unit

BLOCK = charm("keeper", storage={"data": StorageSpec(type="block")})
root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root: run the tests as root")


def volumes(ground: Ground) -> PretenceOfVolumes:
    """Have the ground's provider pretend to make volumes."""
    pretence = PretenceOfVolumes()
    ground.providers = {"pretence": pretence.provider}
    return pretence


@pytest.mark.parametrize(
    ("deed", "status"),
    [("create", "pending"), ("attach", "attaching"), ("detach", "detaching"), ("destroy", "destroying")],
)
async def test_volume_whose_step_fails_stays_where_it_is_and_goes_on_later(
    ground: Ground, deed: str, status: str
) -> None:
    """SP5, SP7, SP25, SP31; the pauses are those of `test_retries`."""
    pretence, clock = volumes(ground), FakeClock()
    ground.agent.clock = clock
    pretence.failing[deed] = OSError("badness")
    await ground.world.deploy(BLOCK, storage={"data": "pretence,1M"})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        await ground.of("keeper/0").attachments()
        if deed in ("detach", "destroy"):
            await ground.until(lambda found: _status(found) == ("attached", ""))
            await ground.world.run(remove_unit, "keeper/0", force=True)
            await ground.world.reap()
        await ground.until(lambda found: _status(found) == (status, f"cannot {deed}: badness"))
        for failures in range(2, 5):
            while pretence.calls[deed, "0/0"] < failures:
                await clock.advance(10)
        del pretence.failing[deed]
        for _ in range(30):
            await clock.advance(60)
        if deed in ("create", "attach"):
            await ground.until(lambda found: _status(found) == ("attached", ""))
            assert pretence.calls["create", "0/0"] == (5 if deed == "create" else 1)
            await ground.end()
        else:
            await ground.gone()


def _status(wanted: WantedStorage) -> tuple[str, str]:
    (volume,) = wanted.volumes.values()
    return volume.status.current, volume.status.message


async def test_what_is_asked_for_reaches_the_provider(ground: Ground) -> None:
    """SP20: the pool's attributes, what it is for, the size, and that it is read-only."""
    pretence = volumes(ground)
    await ground.world.run(create_pool, "fast", "pretence", {"speed": "7"}, providers=ground.providers)
    read_only = charm("keeper", storage={"data": StorageSpec(type="block", read_only=True)})
    await ground.world.deploy(read_only, storage={"data": "fast,3M"})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        await ground.of("keeper/0").attachments()
        await ground.until(lambda found: _status(found) == ("attached", ""))
        await ground.end()
    (made,), (attached,) = pretence.made, pretence.attached
    assert made.size_mib == 3
    assert made.tags == {"model": str(ground.world.model), "storage": "data/0"}
    assert attached.read_only
    assert set(pretence.attributes) == {Attributes(speed=7)}


@root
@pytest.mark.root
@pytest.mark.slow_callbacks
@needs("mkfs.ext4")
@pytest.mark.parametrize("directive", ["loop,16M", "rootfs,1M", "tmpfs,1M"])
async def test_store_that_is_read_only_is_mounted_so(ground: Ground, directive: str) -> None:
    """SP19."""
    async with ground.provisioning():
        storage = await ground.deploy(directive, charm("keeper", storage={"data": StorageSpec(read_only=True)}))
        with pytest.raises(OSError, match="Read-only"):
            Path(storage.location, "new").touch()
        (mount,) = [each for each in mountinfo.read() if each.target == storage.location]
        assert "ro" in mount.options.split(",")
        await ground.end()


@pytest.mark.parametrize("kind", ["volume", "filesystem"])
async def test_what_was_never_made_is_not_made_to_be_taken_away(ground: Ground, kind: str) -> None:
    """SP23, SP27, SP30, SP32: it goes unasked for, whatever there may be of it."""
    pretence = volumes(ground) if kind == "volume" else pretending(ground)
    await ground.world.deploy(BLOCK if kind == "volume" else KEEPER, storage={"data": "pretence,1M"})
    await ground.world.start("keeper/0")
    await ground.of("keeper/0").attachments()
    await ground.world.run(remove_unit, "keeper/0", force=True)
    await ground.world.reap()
    async with ground.provisioning():
        await ground.gone()
    assert not {"create", "attach"} & {what for what, _ in pretence.calls}


@pytest.mark.parametrize("kind", ["volume", "filesystem"])
async def test_attributes_that_are_not_taken_stop_what_is_to_be_made_and_nothing_else(
    ground: Ground, kind: str
) -> None:
    """SP9, SP10: its status says so, another is made, and one that is on its way out goes all the same."""
    pretence: Pretence = volumes(ground) if kind == "volume" else pretending(ground)
    store = charm(
        "keeper", storage={"data": StorageSpec(type="block" if kind == "volume" else "filesystem", maximum=None)}
    )
    await ground.world.deploy(store, storage={"data": "pretence,2,1M"})
    await ground.world.start("keeper/0")
    await ground.of("keeper/0").attachments()
    table = VOLUMES if kind == "volume" else FILESYSTEMS
    await ground.world.change(lambda tx: _spoiled(tx, ground, table))
    async with ground.provisioning():
        wanted = await ground.until(lambda found: sorted(_statuses(found)) == ["attached", "error"])
        said = next(each for each in _messages(wanted) if each)
        assert "has attributes that" in said
        assert "speed" in said
        assert pretence.calls["create", "0/0"] == 0
        await ground.end()
    assert pretence.calls["destroy", "0/0"] == 1, "what may have been made of it is destroyed"


# Any: a table of either.
async def _spoiled(tx: Transaction, ground: Ground, table: Any) -> None:
    record = await tx.get(table.of(ground.world.model), *parts_of("0/0"))
    assert record is not None
    spoiled = msgspec.structs.replace(record, attributes={"speed": "very"})
    tx.put(table.of(ground.world.model), *parts_of("0/0"), record=spoiled)


def _statuses(wanted: WantedStorage) -> list[str]:
    return [each.status.current for each in wanted.volumes.values()] + [
        each.status.current for each in wanted.filesystems.values()
    ]


def _messages(wanted: WantedStorage) -> list[str]:
    return [each.status.message for each in wanted.volumes.values()] + [
        each.status.message for each in wanted.filesystems.values()
    ]
