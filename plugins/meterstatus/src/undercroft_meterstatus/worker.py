"""The worker of `meter-status`: tells the charm how its metering stands, by the hook meter-status-changed."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import msgspec

from undercroft import Backoff, SimpleWorker
from undercroft.clock import alarm
from undercroft.dependency import OutputError
from undercroft_hookspecs import MeterSources, UndercroftError
from undercroft_meterstatus.grading import of_isolation, severity, shown, until_worse, worst
from undercroft_meterstatus.memory import Memory, Moment, boot_id, keep, recall

if TYPE_CHECKING:
    from undercroft import Stop
    from undercroft.fortress import Guest
    from undercroft_hookspecs import HookRunner, UnitAgent, Worker
    from undercroft_hookspecs.state import MeterStatus
    from undercroft_hookspecs.unit_facades import ConnectionFacade, MeterFacade
    from undercroft_meterstatus.plugin import Config

HOOK = "meter-status-changed"
TOOLS = ("juju-log",)
STATE_FILE = "meter-status.json"
RETRY = Backoff(delay=5.0, factor=2.0, max_delay=300.0, jitter=0.5)
LONGEST_NAP = 60.0
"""The loop's timers stand still in suspend, and isolation does not: it is looked at again at least this often."""

_log = logging.getLogger(__name__)


class MeterStatusWorker:
    """Runs until killed. `set` is for other workers of the unit that have something to say.

    The charm is told within a visit of its folder: after its start hook, and not while it is upgraded. What it was told
    is kept only when the hook has succeeded, or there is none. While the unit is cut off, nothing gets less severe.
    """

    def __init__(
        self,
        unit: UnitAgent,
        config: Config,
        *,
        meter: MeterFacade,
        connection: ConnectionFacade,
        hooks: HookRunner,
        guest: Guest,
    ) -> None:
        self._unit, self._config = unit, config
        self._meter, self._connection, self._hooks, self._guest = meter, connection, hooks, guest
        self._path = unit.data_dir / STATE_FILE
        self._memory, self._boot = Memory(), ""
        self._model_says: MeterStatus | None = None
        self._sources: dict[str, MeterStatus] = {}
        self._changed = asyncio.Event()
        self._failures = 0
        self._writing = asyncio.Lock()
        self._gauge = unit.meter.gauge("severity", "0: GREEN, 1: AMBER, 2: RED, as the charm was told last.")
        self._worker = SimpleWorker(self._run, name=f"meter status of {unit.unit}", grace=0, clock=unit.clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once."""
        self._worker.kill()

    async def wait(self) -> None:
        """Return when the worker is dead, or raise the error that it died of."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """What the charm was told, what it is to be told, and who says what."""
        told, wanted = self._memory.told, self._wanted()
        isolated = self._memory.isolated
        return {
            "status": told.code if told else None,
            "info": told.info if told else "",
            "pending": wanted.code if wanted is not None and wanted != told else None,
            "isolated_seconds": round(isolated.elapsed(self._boot, self._unit.clock)) if isolated else None,
            "model": self._model_says.code if self._model_says else None,
            "sources": {name: f"{status.code}: {status.info}" for name, status in sorted(self._sources.items())},
        }

    def set(self, source: str, status: MeterStatus | None) -> None:
        """From now on a source says this, or nothing."""
        if status is None:
            self._sources.pop(source, None)
        else:
            self._sources[source] = status
        self._changed.set()

    async def _run(self, _: Stop) -> None:
        self._boot, self._memory = await boot_id(), await recall(self._path)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_model(), name=f"meter status of {self._unit.unit} in the model")
            group.create_task(self._follow_connection(), name=f"connection of {self._unit.unit}")
            await self._tell_for_ever()

    async def _follow_model(self) -> None:
        async with self._meter.watch_meter_status() as statuses:
            async for self._model_says in statuses:
                self._changed.set()

    async def _follow_connection(self) -> None:
        async with self._connection.watch_connection() as states:
            async for connected in states:
                # Kept from the first second on: an agent that is restarted every minute is cut off all the same.
                if connected and self._memory.isolated is not None:
                    await self._keep(isolated=None)
                elif not connected and self._memory.isolated is None:
                    await self._keep(isolated=Moment.present(self._boot, self._unit.clock))
                self._changed.set()

    async def _tell_for_ever(self) -> None:
        while True:
            self._changed.clear()
            if self._is_news(self._wanted()):
                await self._tell()
            if not self._changed.is_set():
                await self._nap()

    async def _nap(self) -> None:
        """Until something has changed, isolation lasts long enough to be worse, or the hook is due again."""
        delays = [self._until_worse(), RETRY.next(self._failures, self._unit.rng) if self._failures else None]
        due = min((delay for delay in delays if delay is not None), default=None)
        timer = None if due is None else alarm(self._unit.clock, min(due, LONGEST_NAP), self._changed.set)
        try:
            await self._changed.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _until_worse(self) -> float | None:
        isolated = self._memory.isolated
        if isolated is None:
            return None
        elapsed = isolated.elapsed(self._boot, self._unit.clock)
        return until_worse(elapsed, amber=self._config.amber_seconds, red=self._config.red_seconds)

    def _wanted(self) -> MeterStatus | None:
        """What the charm is to be told; None as long as nobody says anything."""
        isolated, sources = self._memory.isolated, [self._sources[name] for name in sorted(self._sources)]
        if isolated is None:
            found = worst([*sources, self._model_says])
        else:
            elapsed = isolated.elapsed(self._boot, self._unit.clock)
            cut_off = of_isolation(elapsed, amber=self._config.amber_seconds, red=self._config.red_seconds)
            found = worst([cut_off, *sources, self._memory.told or self._model_says])
        return shown(found) if found is not None else None

    def _is_news(self, wanted: MeterStatus | None) -> bool:
        if wanted is None or wanted == self._memory.told:
            return False
        # Metering that nobody has ever set is nothing to start a charm for.
        never_set = self._memory.told is None and not self._sources and self._memory.isolated is None
        return not (never_set and self._model_says is not None and self._model_says.code == "NOT SET")

    async def _tell(self) -> None:
        async with self._guest.visiting():
            wanted = self._wanted()  # It may have changed while the charm's folder was closed.
            if wanted is None or not self._is_news(wanted):
                return
            environment = {"JUJU_METER_STATUS": wanted.code, "JUJU_METER_INFO": wanted.info}
            timeout = self._config.hook_timeout_seconds
            try:
                result = await self._hooks.run(HOOK, tools=TOOLS, environment=environment, timeout=timeout)
            except (UndercroftError, OSError, TimeoutError) as error:
                self._failed(wanted, str(error))
                return
        if result.returncode:
            self._failed(wanted, f"it exited with {result.returncode}")
            return
        self._failures = 0
        await self._keep(told=wanted)
        self._gauge.set(severity(wanted))
        _log.info("%s was told its meter status: %s", self._unit.unit, wanted.code)

    def _failed(self, wanted: MeterStatus, why: str) -> None:
        self._failures += 1
        _log.warning("hook %s of %s (%s) will be run again: %s", HOOK, self._unit.unit, wanted.code, why)

    async def _keep(self, **changes: MeterStatus | Moment | None) -> None:
        self._memory = msgspec.structs.replace(self._memory, **changes)
        async with self._writing:  # Two may have something to keep: what is written last has both.
            await keep(self._path, self._memory)


def meter_status_output(worker: Worker, kind: type) -> object:
    """The output function of the manifold `meter-status`: MeterSources alone."""
    if not isinstance(worker, MeterStatusWorker):
        raise OutputError(f"{type(worker).__name__} is not the worker of the meter status")
    if kind is not MeterSources:
        raise OutputError(f"meter-status puts out MeterSources, not {kind.__name__}")
    return worker
