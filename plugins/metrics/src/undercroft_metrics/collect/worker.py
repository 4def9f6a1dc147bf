"""The worker of `metric-collect`: runs the charm's collect-metrics from time to time, or when somebody asks."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from undercroft import AbortedError, SimpleWorker
from undercroft.clock import boot_seconds
from undercroft.files import in_thread
from undercroft_hookspecs import UndercroftError
from undercroft_hookspecs.metrics import MetricSample
from undercroft_metrics import declarations
from undercroft_metrics.collect import recording
from undercroft_metrics.collect.batches import SeriesBudget, batches_of
from undercroft_metrics.identity import new_id
from undercroft_metrics.seams import SpoolFullError
from undercroft_metrics.sockets import serving
from undercroft_metrics.uncut import to_the_end

if TYPE_CHECKING:
    import random
    from collections.abc import Coroutine, Iterator

    from undercroft import Stop
    from undercroft.fortress import Guest
    from undercroft_hookspecs import CharmFacade, HookRunner, MetricBatch, UnitAgent
    from undercroft_hookspecs.charm import Charm
    from undercroft_hookspecs.unit_facades import UnitFacade
    from undercroft_metrics.plugin import Config
    from undercroft_metrics.seams import SpoolWriter

_log = logging.getLogger(__name__)

HOOK: Final = "collect-metrics"
TOOLS: Final = ("add-metric", "juju-log", "config-get", "network-get", "unit-get")
SOCKET: Final = "metrics-collect.socket"
KILLED: Final = 137
"""The exit status of a hook that was killed, as a shell has it."""


class NothingToCollectError(UndercroftError):
    """The charm declares no metrics."""


class MetricCollect:
    """Collects until killed. A collection that a kill interrupts is published by the next start, or discarded."""

    def __init__(
        self,
        unit: UnitAgent,
        config: Config,
        *,
        spool: SpoolWriter,
        guest: Guest,
        hooks: HookRunner,
        charms: CharmFacade,
        units: UnitFacade,
    ) -> None:
        self._unit, self._config = unit, config
        self._spool, self._guest, self._hooks = spool, guest, hooks
        self._charms, self._units = charms, units
        self._file = unit.data_dir / recording.FILE
        self._budget = SeriesBudget(config.max_series)
        self._turn = asyncio.Lock()
        self._collections = unit.meter.counter("collections", "collections, by how they ended", ["outcome"])
        self._dropped = unit.meter.counter("dropped_samples", "samples beyond a metric's budget of series", ["metric"])
        self._seconds = unit.meter.gauge("collect_seconds", "how long the last collection took")
        self._last: dict[str, object] = {}
        self._worker = SimpleWorker(self._run, name="metric-collect", grace=0, clock=unit.clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once."""
        self._worker.kill()

    async def wait(self) -> None:
        """Return when the worker is dead, or raise the error that it died of."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """How the last collection went, and which metrics have had too many sets of labels."""
        return {**self._last, "collecting": self._turn.locked(), "over_budget": dict(self._budget.dropped)}

    async def collect(self, stop: Stop | None = None) -> int:
        """Collect once, when it is its turn and the workload allows it: how many samples were spooled.

        Raises:
            NothingToCollectError: the charm declares no metrics.
            SpoolFullError: a queue is full, and its policy is to wait.
            AbortedError: `stop` fired before the workload allowed it.
        """
        async with self._turn:
            began = self._unit.clock.monotonic()
            await self._spool.check_room()
            await self._finish(None)
            self._metrics(await self._charm())
            async with self._guest.visiting(abort=stop):
                count = await self._visit()
            self._seconds.set(self._unit.clock.monotonic() - began)
            return count

    async def _run(self, stop: Stop) -> None:
        path = self._unit.unit_dir / SOCKET
        async with serving(path, self._answer, asks=False, clock=self._unit.clock):
            await self._tick(self._leftover())
            config, unit = self._config, self._unit
            for pause in pauses(f"{unit.model} {unit.unit}", config.period_seconds, config.jitter, unit.rng):
                await unit.clock.sleep(pause)
                await self._tick(self.collect(stop))

    async def _leftover(self) -> int:
        """Publish, or discard, what a process that was killed has left."""
        async with self._turn:
            return await self._finish(None)

    async def _tick(self, work: Coroutine[object, object, int]) -> None:
        try:
            await work
        except NothingToCollectError:
            self._last = {"outcome": "nothing declared"}
        except SpoolFullError as error:
            self._end("spool full")
            _log.warning("no metrics of %s are collected: %s", self._unit.unit, error)
        except AbortedError:
            _log.debug("the workload of %s went away before its metrics were collected", self._unit.unit)
        except OSError as error:
            self._end("disk error")
            _log.warning(
                "the metrics of %s could not be spooled, and wait in %s: %s", self._unit.unit, self._file, error
            )

    async def _answer(self, _: bytes) -> bytes:
        try:
            await self.collect()
        except (UndercroftError, OSError, TimeoutError) as error:
            return f"error: {' '.join(str(error).split())}\n".encode()
        return b"ok\n"

    async def _charm(self) -> Charm | None:
        unit = await self._units.unit()
        return await self._charms.charm(unit.charm) if unit.charm else None

    def _metrics(self, charm: Charm | None) -> Charm:
        if charm is None or not declarations.declared(charm):
            raise NothingToCollectError(f"the charm of unit {self._unit.unit} declares no metrics")
        return charm

    async def _visit(self) -> int:
        charm = self._metrics(await self._charm())
        for name in declarations.unusable(charm):
            _log.warning("the charm of %s declares a metric whose name cannot be used: %r", self._unit.unit, name)
        await self._begin(charm)
        status = await self._hook()
        return await to_the_end(self._finish(status, is_over=True))

    async def _begin(self, charm: Charm) -> None:
        now = self._unit.clock.now()
        metrics = declarations.declared(charm)
        header = recording.Header(
            id=new_id(now, self._unit.rng), charm=f"{charm.name}-{charm.revision}", created=now, metrics=metrics
        )
        units = MetricSample(key=declarations.UNITS, value="1", time=now)
        builtin = [units] if declarations.UNITS in metrics else []
        await in_thread(recording.begin, self._file, header, builtin)

    async def _hook(self) -> int | None:
        """Run the hook: its exit status, None if the charm has none."""
        timeout = min(self._config.hook_timeout_seconds, self._config.period_seconds)
        tag = "unit-" + str(self._unit.unit).replace("/", "-")
        try:
            result = await self._hooks.run(HOOK, tools=TOOLS, environment={"JUJU_UNIT_TAG": tag}, timeout=timeout)
        except TimeoutError as error:
            _log.warning("%s", error)
            self._end("timeout")
            return KILLED
        except (UndercroftError, OSError) as error:
            _log.warning("%s of %s could not be run: %s", HOOK, self._unit.unit, error)
            self._end("not run")
            return KILLED
        self._end("no hook" if result.missing else "ok" if result.returncode == 0 else "failed")
        if result.returncode:
            _log.warning("%s of %s failed with exit status %d", HOOK, self._unit.unit, result.returncode)
        return None if result.missing else result.returncode

    def _end(self, outcome: str) -> None:
        self._collections.add(1, outcome)
        self._last = {"outcome": outcome, "at": self._unit.clock.now().isoformat()}

    async def _finish(self, status: int | None, *, is_over: bool = False) -> int:
        """Publish a recording, or discard it, as the policy says: how many samples went.

        One whose hook did not live to its end (not `is_over`) is that of a process that was killed.
        """
        found = await in_thread(recording.read, self._file)
        count = 0
        if found is not None:
            failed = not is_over or bool(status)
            if failed and self._config.on_failure == "discard":
                self._end("discarded")
            else:
                count = await self._publish(found, status if is_over else KILLED)
        with suppress(FileNotFoundError):
            await in_thread(self._file.unlink)
        return count

    async def _publish(self, found: recording.Recording, status: int | None) -> int:
        before = dict(self._budget.dropped)
        batches = await in_thread(self._batches, found, status)  # There may be very many samples.
        for key, dropped in self._budget.dropped.items():
            if more := dropped - before.get(key, 0):
                self._dropped.add(more, key)
                _log.warning("%d samples of %s are dropped: it has too many sets of labels", more, key)
        if batches:
            await self._spool.publish(batches)
        else:
            self._collections.add(1, "empty")
        return sum(len(batch.samples) for batch in batches)

    def _batches(self, found: recording.Recording, status: int | None) -> list[MetricBatch]:
        unit = self._unit
        samples = self._budget.within(found.samples, boot_seconds(unit.clock))
        most = self._config.max_samples
        return batches_of(found, samples, model=str(unit.model), unit=str(unit.unit), status=status, most=most)


def pauses(unit: str, period: float, jitter: float, rng: random.Random) -> Iterator[float]:
    """How long a unit waits before each collection, without end.

    The first is a part of its own of a pause, so that units which start together are spread evenly from then on.
    """

    def long(share: float) -> float:
        return period * (1 + jitter * (2 * share - 1))

    digest = hashlib.sha256(unit.encode()).digest()
    part, share = (int.from_bytes(digest[begin : begin + 8]) / 2**64 for begin in (0, 8))
    yield part * long(share)
    while True:
        yield long(rng.random())
