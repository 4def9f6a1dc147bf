"""Publish this machine's block devices whenever they have changed.

The list is published whole: it replaces the one before. What was published is remembered only once that has succeeded,
and in memory only, so that a restarted worker publishes anew.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from undercroft import SimpleWorker, Stop
from undercroft_diskmanager.setup import new_follower

if TYPE_CHECKING:
    from undercroft_diskmanager.follow import Counted
    from undercroft_diskmanager.plugin import Config
    from undercroft_diskmanager.sysfs import Roots
    from undercroft_hookspecs.agent import Agent
    from undercroft_hookspecs.facades import BlockDeviceFacade
    from undercroft_hookspecs.records import BlockDevice


class DiskManager:
    """The worker `disk-manager`: runs until killed, or dies of the error of a listing or a publication."""

    def __init__(self, agent: Agent, config: Config, *, devices: BlockDeviceFacade, roots: Roots | None = None) -> None:
        self._devices = devices
        self._published: tuple[BlockDevice, ...] | None = None
        meter = agent.meter
        self._count = meter.gauge("devices", "Block devices in the list last published")
        self._publications = meter.counter("publications", "Lists of block devices published")
        self._totals = {
            "rescans": meter.counter("rescans", "Readings of one or more block devices"),
            "overflows": meter.counter("overflows", "Times that events of block devices were lost"),
        }
        self._publications_done = 0
        self._follower = new_follower(
            config, process=agent.process, clock=agent.clock, rng=agent.rng, roots=roots, counted=self._on_counted
        )
        self._worker = SimpleWorker(self._work, grace=0, name="disk-manager", clock=agent.clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once."""
        self._worker.kill()

    async def wait(self) -> None:
        """Return when the worker is dead, or raise the error that it died of."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """Where events come from, and how much has been done."""
        return {
            "source": self._follower.source or "none",
            "devices": [device.device_name for device in self._published or ()],
            "publications": self._publications_done,
            "rescans": self._follower.counts["rescans"],
            "overflows": self._follower.counts["overflows"],
        }

    async def _work(self, _: Stop) -> None:
        async with contextlib.aclosing(self._follower.listings()) as listings:
            async for devices in listings:
                if devices != self._published:
                    await self._publish(devices)

    async def _publish(self, devices: tuple[BlockDevice, ...]) -> None:
        await self._devices.set_block_devices(devices)
        self._published = devices  # Only now: what failed to be published has to be published again.
        self._publications_done += 1
        self._publications.add()
        self._count.set(len(devices))

    def _on_counted(self, what: Counted) -> None:
        self._totals[what].add()
