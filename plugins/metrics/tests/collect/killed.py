"""A process to be killed: it collects without a pause, and says which samples its charm was told are recorded.

`python -m plugins.metrics.tests.collect.killed FOLDER FIRST`: samples have the numbers from FIRST on as their values.
With FIRST -1 it collects no more, but publishes and sends what is left, and ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import uvloop
from plugins.metrics.tests.collect.fakes import Charms, Units, World
from plugins.metrics.tests.marks import Marks

from undercroft.fortress import Fortress
from undercroft.testing.agent import FakeUnitAgent
from undercroft_hookspecs import HookResult, MetricBatch
from undercroft_hookspecs.hook_tools import NotInContextError, ToolCall
from undercroft_metrics.collect.worker import MetricCollect
from undercroft_metrics.plugin import Config, undercroft_hook_tools
from undercroft_metrics.senders import configured
from undercroft_metrics.senders.config import StoreConfig
from undercroft_metrics.sending.worker import MetricSending
from undercroft_metrics.spool.worker import MetricSpool, start_spool


class Hook:
    """The hook that the tool is called in."""

    id, unit, hook = "specimen/0-1", "specimen/0", "collect-metrics"

    def get(self, kind: type) -> object:
        raise NotInContextError(kind.__name__)


class Adding:
    """A charm whose hook adds three samples, by the tool."""

    def __init__(self, unit: FakeUnitAgent, first: int, marks: Marks) -> None:
        self._tool, self._next, self._marks = undercroft_hook_tools(unit)["add-metric"], first, marks

    async def run(
        self, hook: str, *, tools: Collection[str], environment: Mapping[str, str], timeout: float
    ) -> HookResult:
        async def read(_: str) -> bytes:
            return b""

        with self._marks.during("collect"):
            for _ in range(3):
                number, self._next = self._next, self._next + 1
                call = ToolCall(arguments=(f"pings={number}",), folder=Path("/"), read=read, warn=print)
                await self._tool.run(Hook(), call)  # type: ignore[arg-type]
                print(number, flush=True)
        return HookResult(returncode=0)


class Publishing:
    """The spool for who records, which notes when something is published."""

    def __init__(self, spool: MetricSpool, marks: Marks) -> None:
        self._spool, self._marks = spool, marks
        self.check_room = spool.check_room

    async def publish(self, batches: Sequence[MetricBatch]) -> Sequence[str]:
        """As the spool does."""
        with self._marks.during("publish"):
            return await self._spool.publish(batches)


async def main(folder: Path, first: int) -> None:
    """Collect, spool and send into the embedded store."""
    config = Config(period_seconds=0.001)
    unit = FakeUnitAgent(data_dir=folder / "own", unit_dir=folder, config=config)
    marks = Marks(folder)
    senders = marks.senders(configured(unit, {"store": StoreConfig(path=str(folder / "store.db"))}))
    spool = await start_spool(unit, config.spool, sorted(senders))
    assert isinstance(spool, MetricSpool)
    fortress = Fortress()
    if first >= 0:
        await fortress.unlock()
    world = World(unit, fortress)
    collect = MetricCollect(
        unit,
        config,
        spool=Publishing(spool, marks),
        guest=fortress,
        hooks=Adding(unit, first, marks),
        charms=Charms(world),
        units=Units(world),
    )
    sending = MetricSending(unit, spool=spool, senders=senders)
    while first >= 0 or world.file.exists() or spool.spool.queue("store").has_any:
        await asyncio.sleep(0.01)
    for worker in (collect, sending, spool, fortress):
        worker.kill()
        await worker.wait()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2])))
