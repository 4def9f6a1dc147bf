"""This host's block devices: published by its disk manager, seen by everybody. They belong to no model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_model.patience import through_outages
from undercroft_model.rows import BlockDevices
from undercroft_model.tables import BLOCK_DEVICES
from undercroft_model.transaction import Transaction, change
from undercroft_model.watching import newest, record

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager

    from undercroft_hookspecs.identity import HostId
    from undercroft_hookspecs.records import BlockDevice
    from undercroft_hookspecs.store import Store
    from undercroft_hookspecs.worker import Clock

FOLDER_NAME = "block-devices"


class HostDevices:
    """The facades `BlockDeviceFacade` and `BlockDeviceView`. An outage of the store is waited for."""

    def __init__(self, store: Store, host: HostId, *, clock: Clock, rng: random.Random) -> None:
        self._store, self._host = store, str(host)
        self._clock, self._rng = clock, rng

    async def set_block_devices(self, devices: Sequence[BlockDevice]) -> None:
        """Replace the whole list; nothing is written if it is the same."""
        listed = BlockDevices(devices=tuple(sorted(devices, key=_name)))

        async def decide(tx: Transaction) -> None:
            await tx.get(BLOCK_DEVICES, self._host, FOLDER_NAME)
            tx.put(BLOCK_DEVICES, self._host, FOLDER_NAME, record=listed)

        async def publish() -> None:
            await change(self._store, decide, clock=self._clock, rng=self._rng)

        await through_outages(publish, what="the list of block devices", clock=self._clock, rng=self._rng)

    async def block_devices(self) -> Sequence[BlockDevice]:
        """The devices last published, sorted by name."""
        found = await Transaction(self._store).get(BLOCK_DEVICES, self._host, FOLDER_NAME)
        return found.devices if found is not None else ()

    def watch_block_devices(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[BlockDevice]]]:
        """The devices now, and again whenever they have changed."""
        listed = record(BLOCK_DEVICES, self._host, FOLDER_NAME)

        def build() -> Sequence[BlockDevice]:
            found = listed.one()
            return found.devices if found is not None else ()

        return newest([listed], build, store=self._store, clock=self._clock, rng=self._rng)


def _name(device: BlockDevice) -> str:
    return device.device_name
