from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from undercroft import NoOpWorker
from undercroft.agent.memory import BlockDevices, MemoryModel, model_output
from undercroft.dependency import OutputError
from undercroft.testing.store import MemoryStore
from undercroft_hookspecs import (
    BlockDevice,
    BlockDeviceFacade,
    BlockDeviceView,
    Check,
    Delete,
    HostId,
    ModelId,
    Put,
    Revision,
    Store,
    UnitName,
)

HOST = HostId.parse("0b2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f")
KEY = f"/hosts/{HOST}/block-devices"
SDA, SDB = BlockDevice(device_name="sda"), BlockDevice(device_name="sdb", size_mib=64)


class Rival(MemoryStore):
    """A store in which somebody else writes the same key just before one does."""

    def __init__(self) -> None:
        super().__init__()
        self.interferes = True

    async def transact(self, checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Revision:
        if self.interferes:
            self.interferes = False
            await super().transact([], [Put(KEY, b"[]")])
        return await super().transact(checks, writes)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def following(states: AsyncIterator[object]) -> object:
    async with asyncio.timeout(2):
        return await anext(states)


async def test_what_is_published_is_read_back_sorted_by_name(store: MemoryStore) -> None:
    devices = BlockDevices(store, HOST)

    await devices.set_block_devices([SDB, SDA])

    assert await devices.block_devices() == (SDA, SDB)
    assert await store.get(KEY) is not None


async def test_before_anything_is_published_there_are_none(store: MemoryStore) -> None:
    assert await BlockDevices(store, HOST).block_devices() == ()


async def test_the_same_list_is_not_written_again(store: MemoryStore) -> None:
    devices = BlockDevices(store, HOST)
    await devices.set_block_devices([SDA, SDB])
    before = await store.get(KEY)

    await devices.set_block_devices([SDB, SDA])

    assert await store.get(KEY) == before


async def test_a_write_that_is_overtaken_is_done_again() -> None:
    devices = BlockDevices(Rival(), HOST)

    await devices.set_block_devices([SDA])

    assert await devices.block_devices() == (SDA,)


async def test_a_watch_gives_the_present_list_at_once_and_each_new_one(store: MemoryStore) -> None:
    devices = BlockDevices(store, HOST)
    await devices.set_block_devices([SDA])

    async with devices.watch_block_devices() as states:
        first = await following(states)
        await devices.set_block_devices([SDA, SDB])
        second = await following(states)

    assert [first, second] == [(SDA,), (SDA, SDB)]


async def test_an_empty_list_that_is_published_is_news(store: MemoryStore) -> None:
    devices = BlockDevices(store, HOST)

    async with devices.watch_block_devices() as states:
        first = await following(states)
        await devices.set_block_devices([])
        second = await following(states)

    assert [first, second] == [(), ()]


async def test_a_slow_reader_gets_the_newest_state_and_no_backlog(store: MemoryStore) -> None:
    devices = BlockDevices(store, HOST)

    async with devices.watch_block_devices() as states:
        await following(states)
        for size in range(100):
            await devices.set_block_devices([BlockDevice(device_name="sda", size_mib=size)])
        newest = await following(states)
        await devices.set_block_devices([SDB])
        then = await following(states)

    assert [newest, then] == [(BlockDevice(device_name="sda", size_mib=99),), (SDB,)]


async def test_other_keys_are_no_news(store: MemoryStore) -> None:
    devices = BlockDevices(store, HOST)

    async with devices.watch_block_devices() as states:
        await following(states)
        await store.transact([], [Put(f"{KEY}-other", b"x")])
        await devices.set_block_devices([SDA])
        second = await following(states)

    assert second == (SDA,)


async def test_a_watch_survives_a_compaction(store: MemoryStore) -> None:
    devices = BlockDevices(store, HOST)
    await devices.set_block_devices([SDA])

    async with devices.watch_block_devices() as states:
        await following(states)
        await devices.set_block_devices([SDB])
        revision = await store.transact([], [Put("/other", b"")])
        await store.compact(revision)
        second = await following(states)

    assert second == (SDB,)


async def test_a_list_that_is_deleted_is_empty(store: MemoryStore) -> None:
    devices = BlockDevices(store, HOST)
    await devices.set_block_devices([SDA])

    async with devices.watch_block_devices() as states:
        await following(states)
        entry = await store.get(KEY)
        assert entry is not None
        await store.transact([Check(KEY, entry.revision)], [Delete(KEY)])
        second = await following(states)

    assert second == ()


async def test_the_model_puts_out_its_two_facades_and_no_more(store: MemoryStore) -> None:
    async with MemoryModel(store, HOST) as model:
        for_unit = model.for_unit(ModelId.parse(str(HOST)), UnitName.parse("mysql/0"))

        assert isinstance(model_output(model, BlockDeviceFacade), BlockDeviceFacade)
        assert isinstance(model_output(model, BlockDeviceView), BlockDeviceView)
        assert for_unit(BlockDeviceView) is model.output(BlockDeviceView)
        for kind in (Store, BlockDevices, object):
            with pytest.raises(OutputError, match=kind.__name__):
                model_output(model, kind)


async def test_another_worker_is_not_the_model() -> None:
    async with NoOpWorker() as worker:
        with pytest.raises(OutputError):
            model_output(worker, BlockDeviceView)
