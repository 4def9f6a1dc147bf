"""The worker of `metric-sender`: a pump for each sender, none of which can stop another."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from undercroft import SimpleWorker
from undercroft.dependency import OutputError
from undercroft_hookspecs import SenderHealths
from undercroft_metrics.sending.feedback import Feedback, settable, worst
from undercroft_metrics.sending.health import HealthBoard
from undercroft_metrics.sending.pump import Pump

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft import Stop
    from undercroft_hookspecs import MetricSender, SendReport, Worker
    from undercroft_hookspecs.state import MeterStatus
    from undercroft_hookspecs.unit_facades import MeterStatusFacade
    from undercroft_metrics.seams import MeteredUnit, SpoolReader
    from undercroft_metrics.sending.health import Health

STATE_FILE = "senders.json"


class MetricSending:
    """Runs until killed; what is being sent is cancelled then, and sent again after the next start."""

    def __init__(
        self,
        unit: MeteredUnit,
        *,
        spool: SpoolReader,
        senders: Mapping[str, MetricSender],
        meter: MeterStatusFacade | None = None,
    ) -> None:
        self._unit, self._spool, self._senders = unit, spool, senders
        self.healths = HealthBoard(unit.data_dir / STATE_FILE, clock=unit.clock, meter=unit.meter)
        self._feedback = Feedback(meter, clock=unit.clock, rng=unit.rng) if meter is not None else None
        self._pumps: dict[str, Pump] = {}
        self._worker = SimpleWorker(self._run, name="metric-sender", grace=0, clock=unit.clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once."""
        self._worker.kill()

    async def wait(self) -> None:
        """Return when the worker is dead, or raise the error that it died of."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """How each sender stands."""
        return {name: pump.report() for name, pump in self._pumps.items()}

    async def flush(self, sender: str = "") -> Mapping[str, str]:
        """Have one sender or all of them send now, whatever they wait for: by sender, the error, or nothing if all of
        its batches have arrived.
        """
        chosen = {name: pump for name, pump in self._pumps.items() if sender in ("", name)}
        return dict(zip(chosen, await asyncio.gather(*(pump.flush() for pump in chosen.values())), strict=True))

    async def _run(self, _: Stop) -> None:
        await self.healths.load()
        async with asyncio.TaskGroup() as group:
            for name, sender in sorted(self._senders.items()):
                pump = self._pumps[name] = Pump(
                    name,
                    sender,
                    unit=self._unit,
                    spool=self._spool,
                    health=self.healths.of(name),
                    heard=self._on_heard,
                )
                group.create_task(pump.run(), name=f"metric sender {name} of {self._unit.unit}")
            if self._feedback is not None:
                self._feedback.offer(self._said())
                group.create_task(self._feedback.run(), name=f"meter status of {self._unit.unit}")
            await asyncio.Event().wait()  # With no sender at all, too, until killed.

    async def _on_heard(self, health: Health, report: SendReport) -> None:
        own = report.statuses.get(str(self._unit.unit), report.model_status)
        if await health.heard(status=settable(own), grace=report.grace) and self._feedback is not None:
            self._feedback.offer(self._said())

    def _said(self) -> MeterStatus | None:
        healths = [self.healths.of(name) for name in sorted(self._senders)]
        return worst(each.kept.status for each in healths if each.kept.status is not None)


def sending_output(worker: Worker, kind: type) -> object:
    """The output function of the manifold `metric-sender`: SenderHealths, and for this plugin the worker itself."""
    if not isinstance(worker, MetricSending):
        raise OutputError(f"{type(worker).__name__} is not the worker of the metric senders")
    if kind is SenderHealths:
        return worker.healths
    if kind is MetricSending:
        return worker
    raise OutputError(f"metric-sender puts out SenderHealths, not {kind.__name__}")
