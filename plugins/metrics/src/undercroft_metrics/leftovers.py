"""The worker `metric-leftovers`: sends what is left in the spools of units that are no more.

A unit is no more when its folder is gone, which whoever deploys units removes. Its spool is drained then like any
other, within the limits of all, and removed when it is empty; dead letters and what is in quarantine stay to be seen.
Where a unit of that name comes anew, its own workers go on with the spool.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from undercroft import SimpleWorker, stop
from undercroft.files import in_thread
from undercroft.linux.watch import IN_CREATE, IN_DELETE, IN_MOVED_TO, Inotify
from undercroft_metrics.places import SPOOLS, unit_name
from undercroft_metrics.uncut import to_the_end

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from undercroft import Stop
    from undercroft_hookspecs import Agent, Clock, MetricSender, Worker
    from undercroft_metrics.spool.limits import Limits
    from undercroft_metrics.spool.worker import MetricSpool

PAUSE_SECONDS: Final = 5.0
"""Before a spool is asked for again that its unit's own worker has not let go of yet."""
RETRY_SECONDS: Final = 60.0
_EVENTS: Final = IN_CREATE | IN_DELETE | IN_MOVED_TO

_log = logging.getLogger(__name__)


class SilentInstrument:
    """Counts nothing: the instruments of a unit go with it."""

    def add(self, amount: float = 1, *labels: str) -> None:
        """Nothing."""

    def set(self, value: float, *labels: str) -> None:
        """Nothing."""

    def replace(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Nothing."""


class SilentMeter:
    """Has silent instruments."""

    def gauge(self, _name: str, _summary: str, _labels: Sequence[str] = ()) -> SilentInstrument:
        """A silent one."""
        return SilentInstrument()

    counter = gauge


@dataclass(frozen=True, slots=True)
class GoneUnit:
    """A unit that is no more, as its spool and the senders see it: all that is left is in `data_dir`."""

    model: str
    unit: str
    data_dir: Path
    home: Path
    """The folder that it had."""
    clock: Clock
    rng: random.Random
    meter: SilentMeter

    @property
    def unit_dir(self) -> Path:
        """Where the socket of its spool is."""
        return self.data_dir


class MetricLeftovers:
    """Runs until killed. Senders to which only the newest values count are given nothing of what is old."""

    def __init__(self, agent: Agent, limits: Limits, senders: Mapping[str, MetricSender]) -> None:
        self._agent, self._limits = agent, limits
        self._senders = {name: sender for name, sender in senders.items() if sender.keeps_history}
        self._newest_only = senders.keys() - self._senders.keys()
        self._data = agent.data_dir.parents[1]
        self._spools = agent.data_dir / SPOOLS
        self._look = asyncio.Event()
        self._draining: dict[Path, asyncio.Task[None]] = {}
        self._waiting: dict[Path, MetricSpool] = {}
        self._kept: set[Path] = set()
        self._worker = SimpleWorker(self._run, name="metric-leftovers", clock=agent.clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once."""
        self._worker.kill()

    async def wait(self) -> None:
        """Return when the worker is dead, or raise the error that it died of."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """What waits of each unit that is no more, and which of them have left what nobody can send."""
        return {
            "sending": {f"{path.parent.name}/{path.name}": spool.report() for path, spool in self._waiting.items()},
            "kept": sorted(f"{path.parent.name}/{path.name}" for path in self._kept),
        }

    async def _run(self, asked: Stop) -> None:
        loop = asyncio.get_running_loop()
        with Inotify(lambda _path, _name: self._look.set()) as inotify:
            looking = loop.create_task(self._follow(inotify), name="follow the units' folders")
            stopping = loop.create_task(asked.wait(), name="wait for the stop")
            try:
                await asyncio.wait((looking, stopping), return_when=asyncio.FIRST_COMPLETED)
            finally:
                tasks = (looking, stopping, *self._draining.values())
                for task in tasks:
                    _cancel(task)
                await asyncio.wait(tasks)
        if not looking.cancelled():
            looking.result()

    async def _follow(self, inotify: Inotify) -> None:
        known: set[Path] = set()
        while True:
            self._look.clear()
            folders, left = await in_thread(self._found)
            watched = {path for path in folders if inotify.watch(path, _EVENTS)}
            self._kept &= set(left)
            for path in self._draining.keys() - set(left):
                _cancel(self._draining[path])  # Its unit has come anew, and sends for itself.
            for path in left:
                if path not in self._draining and path not in self._kept:
                    self._begin(path)
            if watched - known:
                self._look.set()  # Something may have changed before they were watched.
            known = watched
            await self._look.wait()

    def _found(self) -> tuple[list[Path], list[Path]]:
        """The folders to watch, and the spools of units that are no more."""
        models = self._data / "models"
        folders = [models, *models.glob("*/"), *models.glob("*/agents")] if models.is_dir() else [self._data]
        spools = (path for path in self._spools.glob("*/unit-*") if path.is_dir())
        return folders, sorted(path for path in spools if not self._home(path).exists())

    def _home(self, spool: Path) -> Path:
        return self._data / "models" / spool.parent.name / "agents" / spool.name

    def _begin(self, path: Path) -> None:
        task = asyncio.get_running_loop().create_task(self._drain(path), name=f"metrics that {path.name} has left")
        self._draining[path] = task

        def end(_: asyncio.Task[None]) -> None:
            del self._draining[path]
            self._look.set()  # Its unit may have come, and gone, meanwhile.

        task.add_done_callback(end)

    async def _drain(self, path: Path) -> None:
        agent = self._agent
        gone = GoneUnit(
            path.parent.name, unit_name(path.name), path, self._home(path), agent.clock, agent.rng, SilentMeter()
        )
        while True:
            try:
                if await self._try(gone):
                    return
            # The edge to a disk and to plugins' senders: what goes wrong with one spool is no other's trouble.
            except Exception as error:
                _log.warning("what %s has left cannot be sent now: %s", gone.unit, error)
                await agent.clock.sleep(RETRY_SECONDS)

    async def _try(self, gone: GoneUnit) -> bool:
        """Send what waits, and return when all has been sent; False: the spool is not free yet."""
        # Late, as it takes longer than a turn of the loop may, and most agents never need it.
        await in_thread(import_module, "undercroft_metrics.sending.worker")
        await in_thread(import_module, "undercroft_metrics.spool.worker")
        from undercroft_metrics.sending.worker import MetricSending  # noqa: PLC0415
        from undercroft_metrics.spool.folders import SpoolInUseError  # noqa: PLC0415
        from undercroft_metrics.spool.worker import start_spool  # noqa: PLC0415

        try:
            spool = await start_spool(gone, self._limits, sorted(self._senders), gone.data_dir)
        except SpoolInUseError:
            await gone.clock.sleep(PAUSE_SECONDS)  # The unit's own worker is about to end.
            return False
        self._waiting[gone.data_dir] = spool
        sending = MetricSending(gone, spool=spool, senders=self._senders)
        try:
            await spool.wait_empty()
        finally:
            await to_the_end(_end(sending, spool))
            del self._waiting[gone.data_dir]
        if not await in_thread(self._remove, gone):
            _log.warning("what %s has left in %s cannot be sent, and is kept", gone.unit, gone.data_dir)
            self._kept.add(gone.data_dir)
        return True

    def _remove(self, gone: GoneUnit) -> bool:
        """Remove a spool that is empty; False if there is something in it that nobody has seen."""
        folder = gone.data_dir
        if gone.home.exists():
            return True
        unseen = (path for kind in ("dead", "quarantine") for path in (folder / kind).glob("*/*"))
        if any(unseen) or any(self._foreign(folder)):
            return False
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.parent.rmdir()
        return True

    def _foreign(self, folder: Path) -> Sequence[Path]:
        """What waits for senders that are not in the config any more."""
        known = {*self._senders, *self._newest_only}
        return [path for path in folder.glob("queue/*/*.b") if path.parent.name not in known]


async def _end(sending: Worker, spool: Worker) -> None:
    """End both, first the one that needs the other."""
    try:
        await stop(sending)
    finally:
        await stop(spool)


def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel it once: what it does about that is not to be cancelled, too."""
    if not task.cancelling():
        task.cancel()
