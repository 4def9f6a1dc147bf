"""Follow the machine's pressure.

The kernel averages over ten seconds itself, so polling loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from undercroft import PeriodicWorker, Stop
from undercroft_hookspecs import Agent
from undercroft_pressure.kernel import read
from undercroft_pressure.plugin import Config

_log = logging.getLogger(__name__)


class Pressure:
    """A worker that makes the kernel's figures a gauge and a report, and warns where they are high."""

    def __init__(self, agent: Agent, config: Config) -> None:
        self._config = config
        self._gauge = agent.meter.gauge("stalled_percent", "share of time in which some work waits", ["resource"])
        self._stalled: Mapping[str, float] = {}
        self._worker = PeriodicWorker(self._tick, config.poll_seconds, grace=0, name="pressure", clock=agent.clock)

    def kill(self) -> None:
        """Stop."""
        self._worker.kill()

    async def wait(self) -> None:
        """Wait for the end."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """What was read last."""
        return {"stalled": dict(self._stalled)}

    async def _tick(self, _: Stop) -> None:
        before, now = self._stalled, await asyncio.to_thread(read, Path(self._config.folder))
        limit = self._config.warn_percent
        for resource, percent in now.items():
            if percent >= limit > before.get(resource, 0.0):
                _log.warning("work waits for %s %.1f %% of the time", resource, percent)
        self._gauge.replace({(resource,): percent for resource, percent in now.items()})
        self._stalled = now
