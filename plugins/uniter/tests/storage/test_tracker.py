from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from plugins.model.tests.conftest import HERE
from plugins.model.tests.storage.conftest import KEEPER, Host
from plugins.uniter.tests.sight import open_units, snapshot

from undercroft_hookspecs import NotFoundError, NotValidError
from undercroft_hookspecs.state import Life
from undercroft_hookspecs.unit_facades import UnitFacade
from undercroft_model.hosts import register_host
from undercroft_model.storage.adding import request_storage
from undercroft_model.storage.ending import detach_storage
from undercroft_model.units import remove_unit
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.remotestate.snapshot import Snapshot
from undercroft_uniter.storage.tracker import Attachments


def hook(kind: str, storage: str = "data/0") -> HookInfo:
    return HookInfo(kind=HookKind(f"storage-{kind}"), storage=storage)


class Keeper:
    """A unit of a charm with storage, and its host, which provisions when told."""

    def __init__(self, host: Host, path: Path, units: UnitFacade) -> None:
        self.host, self.path, self._units = host, path, units
        self.facade = host.of("keeper/0")
        self.tracker: Attachments

    async def begin(self) -> Keeper:
        """Start its tracker, anew if there was one."""
        self.tracker = await Attachments.open(self.path, facade=self.facade)
        return self

    async def look(self) -> Snapshot:
        """What is wanted now."""
        unit = await self._units.unit()
        return snapshot(life=unit.life, storage={each.id: each for each in await self.facade.attachments()})

    async def due(self) -> HookInfo | None:
        """The next hook, as the agent would choose it."""
        present = await self.look()
        await self.tracker.synchronize(present)
        return self.tracker.next_hook(present)

    async def is_awaited(self) -> bool:
        """Whether install has to wait."""
        return self.tracker.is_awaited(await self.look())

    async def settle(self) -> list[str]:
        """Run hooks until none is due."""
        run = []
        while (found := await self.due()) is not None:
            run.append(f"{self.tracker.prepare(found)} {found.storage}")
            await self.tracker.commit(found)
        return run

    async def remote(self) -> list[str]:
        """What is attached in the model."""
        return [each.id for each in await self.facade.attachments()]

    async def add(self) -> None:
        """Ask for one more."""
        await self.host.world.run(request_storage, "keeper/0", "data", "rootfs,1,1G")

    async def detach(self, storage: str = "data/0") -> None:
        """Have it let go of, as an operator does."""
        await self.host.world.run(detach_storage, storage)

    async def die(self) -> None:
        """Begin to end."""
        await self.host.world.run(remove_unit, "keeper/0")


@pytest.fixture
async def keeper(tmp_path: Path) -> AsyncIterator[Keeper]:
    """A started unit with `data/0` yet to be provisioned."""
    async with open_units(tmp_path) as units:
        await units.world.change(lambda tx: register_host(tx, HERE))
        await units.world.deploy(KEEPER, storage={"data": "rootfs,1,1G"})
        await units.world.start("keeper/0")
        keeper = Keeper(Host(units.world), tmp_path / "own" / "storage.json", units.of("keeper/0", UnitFacade))
        yield await keeper.begin()


async def test_storage_that_is_not_there_yet_is_awaited(keeper: Keeper) -> None:
    assert await keeper.settle() == []
    assert await keeper.is_awaited()

    await keeper.host.settle()

    assert await keeper.settle() == ["data-storage-attached data/0"]
    assert not await keeper.is_awaited()


async def test_hooks_see_storage_from_the_preparation_of_its_hook_on(keeper: Keeper) -> None:
    await keeper.host.settle()
    found = await keeper.due()
    assert found is not None
    assert keeper.tracker.announced() == frozenset()

    keeper.tracker.prepare(found)
    assert keeper.tracker.announced() == {"data/0"}
    await keeper.tracker.commit(found)
    assert keeper.tracker.announced() == {"data/0"}


async def test_nothing_is_told_again_after_a_restart(keeper: Keeper) -> None:
    await keeper.host.settle()
    await keeper.settle()

    await keeper.begin()

    assert keeper.tracker.announced() == {"data/0"}
    assert await keeper.settle() == []
    assert not await keeper.is_awaited()


async def test_storage_that_is_detached_is_let_go_of_by_the_charm_first(keeper: Keeper) -> None:
    await keeper.host.settle()
    await keeper.settle()

    await keeper.detach()

    assert await keeper.remote() == ["data/0"]
    assert await keeper.settle() == ["data-storage-detaching data/0"]
    assert await keeper.remote() == []
    assert keeper.tracker.announced() == frozenset()


async def test_a_detaching_that_was_committed_is_committed_again_after_a_crash(keeper: Keeper) -> None:
    await keeper.host.settle()
    await keeper.settle()
    await keeper.detach()
    await keeper.settle()

    await keeper.begin()
    await keeper.tracker.commit(hook("detaching"))

    assert await keeper.settle() == []


async def test_dying_storage_that_the_charm_was_never_told_of_goes_without_a_hook(keeper: Keeper) -> None:
    await keeper.detach()

    assert await keeper.settle() == []
    assert await keeper.remote() == []
    assert not await keeper.is_awaited()


async def test_storage_that_dies_while_its_first_hook_is_queued_goes_without_another(keeper: Keeper) -> None:
    await keeper.host.settle()
    found = await keeper.due()
    assert found is not None
    keeper.tracker.prepare(found)
    await keeper.detach()

    assert await keeper.settle() == []
    assert await keeper.remote() == []
    with pytest.raises(NotFoundError):
        keeper.tracker.prepare(found)
    await keeper.tracker.commit(found)
    assert keeper.tracker.announced() == frozenset()


async def test_a_dying_unit_lets_go_of_what_it_has_and_removes_what_it_never_had(keeper: Keeper) -> None:
    await keeper.host.settle()
    await keeper.settle()
    await keeper.add()
    assert len(await keeper.remote()) == 2

    await keeper.die()

    assert await keeper.settle() == ["data-storage-detaching data/0"]
    assert await keeper.remote() == []


async def test_storage_that_comes_later_is_told_when_it_is_there(keeper: Keeper) -> None:
    await keeper.host.settle()
    await keeper.settle()
    await keeper.add()

    assert await keeper.settle() == []
    await keeper.host.settle()

    assert await keeper.settle() == ["data-storage-attached data/1"]


async def test_storage_that_was_taken_away_is_forgotten(keeper: Keeper) -> None:
    await keeper.host.settle()
    await keeper.settle()
    await keeper.detach()
    await keeper.facade.remove_attachment("data/0")

    assert await keeper.settle() == []
    assert keeper.tracker.announced() == frozenset()
    await keeper.begin()
    assert keeper.tracker.announced() == frozenset()


async def test_what_does_not_follow_is_refused(keeper: Keeper) -> None:
    await keeper.host.settle()
    await keeper.due()

    with pytest.raises(NotValidError, match="never told"):
        keeper.tracker.prepare(hook("detaching"))
    await keeper.settle()
    with pytest.raises(NotValidError, match="attached already"):
        keeper.tracker.prepare(hook("attached"))
    with pytest.raises(NotFoundError):
        keeper.tracker.prepare(hook("attached", "data/9"))
    with pytest.raises(NotValidError):
        keeper.tracker.prepare(HookInfo(kind=HookKind.START))


async def test_dead_storage_causes_nothing_more(keeper: Keeper) -> None:
    present = snapshot(life=Life.DEAD)

    await keeper.tracker.synchronize(present)

    assert keeper.tracker.next_hook(present) is None
    assert not keeper.tracker.is_awaited(present)


@pytest.mark.parametrize("content", ["{", '{"attached": ["../etc"]}', '{"attached": {"data/0": true}}'])
async def test_a_damaged_file_is_named(keeper: Keeper, content: str) -> None:
    keeper.path.write_text(content)

    with pytest.raises(NotValidError, match=str(keeper.path)):
        await keeper.begin()
