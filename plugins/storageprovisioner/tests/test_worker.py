"""The provisioner with providers by hand: what it does side by side, and what it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from plugins.model.tests.conftest import charm
from plugins.storageprovisioner.tests.ground import KEEPER as KEEPERS
from plugins.storageprovisioner.tests.ground import Ground
from plugins.storageprovisioner.tests.pretence import Pretence, PretenceOfVolumes, pretending

from undercroft.testing import FakeClock
from undercroft_hookspecs import FilesystemId, ModelId, NotFoundError, PermanentError, VolumeId
from undercroft_hookspecs.charm import StorageSpec
from undercroft_hookspecs.storage_facades import WantedStorage
from undercroft_model.tables import FILESYSTEM_ATTACHMENTS, VOLUME_ATTACHMENTS, parts_of
from undercroft_model.transaction import Transaction
from undercroft_model.units import remove_unit


async def test_what_hangs_holds_up_nothing_else(ground: Ground) -> None:
    pretence = pretending(ground)
    released = pretence.hanging["0/0"] = asyncio.Event()
    await ground.world.deploy(KEEPERS, storage={"data": "pretence,3,1M"})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        await ground.of("keeper/0").attachments()
        wanted = await ground.until(lambda found: sum(_is_attached(found, each) for each in found.filesystems) == 2)
        assert not _is_attached(wanted, "0/0")
        released.set()
        await ground.until(lambda found: sum(_is_attached(found, each) for each in found.filesystems) == 3)
        assert pretence.at_once > 1, "entities are worked on side by side"
        await ground.end()


async def test_refusal_for_good_is_asked_once(ground: Ground) -> None:
    pretence = pretending(ground)
    pretence.failing["create"] = PermanentError("found a cat on it: remove the cat")
    await ground.world.deploy(KEEPERS, storage={"data": "pretence,1,1M"})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        await ground.of("keeper/0").attachments()
        assert await ground.refusal() == "cannot create: found a cat on it: remove the cat"
        await ground.facade.set_status(ground.world.model, FilesystemId.parse("0/0"), "error", "said by somebody else")
        await ground.until(lambda found: found.filesystems["0/0"].status.message == "said by somebody else")
        assert pretence.calls["create", "0/0"] == 1
        del pretence.failing["create"]
        await ground.end()


async def test_failure_says_why_and_is_not_tried_again_at_once(ground: Ground) -> None:
    pretence = pretending(ground)
    pretence.failing["create"] = OSError("badness")
    await ground.world.deploy(KEEPERS, storage={"data": "pretence,1,1M"})
    await ground.world.start("keeper/0")
    async with ground.provisioning() as provisioner:
        await ground.of("keeper/0").attachments()
        found = await ground.until(
            lambda found: any(each.status.message for each in found.filesystems.values()),
        )
        (filesystem,) = found.filesystems.values()
        assert (filesystem.status.current, filesystem.status.message) == ("pending", "cannot create: badness")
        assert pretence.calls["create", "0/0"] == 1
        assert "in 2" in str(provisioner.report()) or "in 3" in str(provisioner.report())
        del pretence.failing["create"]
        await ground.end()


@pytest.mark.parametrize(
    ("deed", "status"),
    [("create", "pending"), ("attach", "attaching"), ("detach", "detaching"), ("destroy", "destroying")],
)
async def test_what_fails_stays_where_it_is_and_is_done_the_next_time(ground: Ground, deed: str, status: str) -> None:
    pretence, clock = pretending(ground), FakeClock()
    ground.agent.clock = clock
    pretence.failing[deed] = OSError("badness")
    await ground.world.deploy(KEEPERS, storage={"data": "pretence,1,1M"})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        await ground.of("keeper/0").attachments()
        if deed in ("detach", "destroy"):
            await ground.attached("keeper/0")
            await ground.world.run(remove_unit, "keeper/0", force=True)
            await ground.world.reap()
        said = f"cannot {deed}: badness"
        wanted = await ground.until(lambda found: _message(found) == said)
        assert wanted.filesystems["0/0"].status.current == status
        for _ in range(3):
            await clock.advance(25)
        assert pretence.calls[deed, "0/0"] <= 3, "it is not asked all the time"
        del pretence.failing[deed]
        for _ in range(40):
            await clock.advance(60)
        if deed in ("create", "attach"):
            await ground.until(lambda found: found.filesystems["0/0"].status.current == "attached")
            await ground.end()
        else:
            await ground.gone()


def _message(wanted: WantedStorage) -> str:
    filesystem = wanted.filesystems.get("0/0")
    return filesystem.status.message if filesystem is not None else ""


async def test_model_that_is_gone_is_no_error(ground: Ground) -> None:
    """The worker died of an exception group, for what ended the watch was raised within a group of tasks."""
    looked = asyncio.Event()

    @asynccontextmanager
    async def ended(model: ModelId) -> AsyncIterator[AsyncIterator[WantedStorage]]:
        looked.set()
        raise NotFoundError(str(model))
        yield

    ground.facade.watch_storage = ended  # type: ignore[method-assign]
    async with ground.provisioning() as provisioner:
        dead = asyncio.ensure_future(provisioner.wait())
        await looked.wait()
        await asyncio.wait([dead], timeout=0.2)
        assert not dead.done(), "it goes on, for there may be other models"
        provisioner.kill()
        await dead


def _is_attached(wanted: WantedStorage, name: str) -> bool:
    mounted = wanted.filesystem_attachments.get(name)
    return mounted is not None and mounted.info is not None


@pytest.mark.parametrize("kind", ["volume", "filesystem"])
async def test_attachment_that_is_gone_from_the_model_is_forgotten_and_nothing_is_called(
    ground: Ground, kind: str
) -> None:
    """Scenarios SP26 and SP29: somebody else has taken it away."""
    pretence = PretenceOfVolumes() if kind == "volume" else Pretence()
    ground.providers = {"pretence": pretence.provider}
    spec = StorageSpec(type="block" if kind == "volume" else "filesystem")
    await ground.world.deploy(charm("keeper", storage={"data": spec}), storage={"data": "pretence,1M"})
    await ground.world.start("keeper/0")
    async with ground.provisioning():
        await ground.of("keeper/0").attachments()
        await ground.until(lambda found: "attached" in _statuses(found))
        table = VOLUME_ATTACHMENTS if kind == "volume" else FILESYSTEM_ATTACHMENTS
        await ground.world.change(lambda tx: _deleted(tx, table.of(ground.world.model)))
        await ground.until(lambda found: not found.volume_attachments and not found.filesystem_attachments)
        entity = (VolumeId if kind == "volume" else FilesystemId).parse("0/0")
        await ground.facade.set_status(ground.world.model, entity, "detached", "seen")
        await ground.until(lambda found: "detached" in _statuses(found))
        await ground.another()

    assert {what for what, _ in pretence.calls} == {"create", "attach"}


# Any: a table of either kind of attachment.
async def _deleted(tx: Transaction, table: Any) -> None:
    tx.delete(table, *parts_of("0/0"))


def _statuses(wanted: WantedStorage) -> list[str]:
    volumes = [each.status.current for each in wanted.volumes.values()]
    return [*volumes, *(each.status.current for each in wanted.filesystems.values())]
