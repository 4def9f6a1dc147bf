"""The model in memory: what core itself serves under the name `model` where no plugin of that name is installed.

It knows block devices and nothing else. Nothing of it outlives the agent.
"""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from undercroft import NoOpWorker
from undercroft.dependency import OutputError
from undercroft_hookspecs import (
    BlockDevice,
    BlockDeviceFacade,
    BlockDeviceView,
    Check,
    Compacted,
    Conflict,
    Put,
    Revision,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from undercroft_hookspecs import Commit, Entry, HostId, ModelId, Store, UnitName, Worker

_ABSENT = Revision(0)


class BlockDevices:
    """This host's block devices in a store; both facades, the one that publishes and the one that everybody reads."""

    def __init__(self, store: Store, host: HostId) -> None:
        self._store = store
        self._key = f"/hosts/{host}/block-devices"

    async def set_block_devices(self, devices: Sequence[BlockDevice]) -> None:
        """Replace the whole list; nothing is written if it is the same."""
        value = msgspec.json.encode(sorted(devices, key=lambda device: device.device_name))
        while True:
            entry = await self._store.get(self._key)
            if entry is not None and entry.value == value:
                return
            checks = [Check(self._key, entry.revision if entry is not None else _ABSENT)]
            try:
                await self._store.transact(checks, [Put(self._key, value)])
            except Conflict:
                continue
            return

    async def block_devices(self) -> Sequence[BlockDevice]:
        """The devices last published, sorted by name."""
        return _devices(await self._store.get(self._key))

    @asynccontextmanager
    async def watch_block_devices(self) -> AsyncGenerator[AsyncIterator[Sequence[BlockDevice]], None]:
        """The devices now, and again whenever they have changed; a slow reader gets the newest, never a backlog."""
        async with aclosing(self._states()) as states:
            yield states

    async def _states(self) -> AsyncGenerator[Sequence[BlockDevice], None]:
        shown: Entry | None = None
        is_first = True
        while True:
            snapshot = await self._store.list(self._key)
            entry = next((entry for entry in snapshot.entries if entry.key == self._key), None)
            if is_first or _value(entry) != _value(shown):
                is_first, shown = False, entry
                yield _devices(entry)
            if not await self._changed(snapshot.revision):
                return

    async def _changed(self, since: Revision) -> bool:
        """Wait until the list may be another than at that revision; False if there will be no more news."""
        try:
            async with self._store.watch(self._key, since) as commits:
                return await self._told(commits)
        except Compacted:
            return True

    async def _told(self, commits: AsyncIterator[Commit]) -> bool:
        # One commit is enough to know that there is something new; what is newest is then read afresh.
        async for commit in commits:
            if any(change.key == self._key for change in commit.changes):
                return True
        return False


class MemoryModel(NoOpWorker):
    """The worker of `model`: it puts out `BlockDeviceFacade` and `BlockDeviceView`, exactly these."""

    def __init__(self, store: Store, host: HostId) -> None:
        super().__init__()
        self._devices = BlockDevices(store, host)

    def output(self, kind: type) -> object:
        """The facade of that kind. Raises OutputError for any other."""
        if kind is BlockDeviceFacade or kind is BlockDeviceView:
            return self._devices
        raise OutputError(f"`model` has no {kind.__name__}: without the plugin `model` it knows block devices only")

    def for_unit(self, _: ModelId, __: UnitName) -> Callable[[type], object]:
        """A unit's view: the devices are the host's, and so the same for every unit."""
        return self.output


def model_output(worker: Worker, kind: type) -> object:
    """The output function of the manifold `model`."""
    if not isinstance(worker, MemoryModel):
        raise OutputError(f"{type(worker).__name__} is not core's own model")
    return worker.output(kind)


def _value(entry: Entry | None) -> bytes | None:
    return entry.value if entry is not None else None


def _devices(entry: Entry | None) -> tuple[BlockDevice, ...]:
    return () if entry is None else msgspec.json.decode(entry.value, type=tuple[BlockDevice, ...])
