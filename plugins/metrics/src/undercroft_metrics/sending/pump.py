"""One sender's pump: claim the oldest batches, send them, do as the report says, and wait for what is next.

Everything is sent at least once, in its order, for as long as it takes; what gives up is the spool, by age. A sender
that raises, hangs or answers nonsense is waited out like a receiver that is down, and holds up no other sender.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from undercroft_hookspecs import (
    Accepted,
    BatchesRefusedError,
    Rejected,
    Retry,
    RetryLaterError,
    SendReport,
    TooMuchError,
)
from undercroft_metrics.sending.delays import asked, full_jitter
from undercroft_metrics.sending.poison import Suspects
from undercroft_metrics.sending.window import Window
from undercroft_metrics.sending.within import Within

if TYPE_CHECKING:
    import random

    from undercroft_hookspecs import Clock, MetricBatch, MetricDelivery, MetricSender
    from undercroft_metrics.seams import MeteredUnit, SpoolQueue, SpoolReader
    from undercroft_metrics.sending.health import Health

Heard = Callable[["Health", SendReport], Awaitable[None]]

BURIALS_AT_ONCE = 3
"""So many batches may be refused in a row before that slows the pump down: perhaps everything is refused."""
LONGEST_TEXT = 500

_log = logging.getLogger(__name__)


class Pump:
    """The pump of one sender of one unit. `run` ends by being cancelled only."""

    def __init__(
        self, name: str, sender: MetricSender, *, unit: MeteredUnit, spool: SpoolReader, health: Health, heard: Heard
    ) -> None:
        self.name, self._sender, self._unit, self._spool = name, sender, unit, spool
        self.health, self._heard = health, heard
        self._clock: Clock = unit.clock
        self._rng: random.Random = unit.rng
        self._window = Window(sender.max_batches)
        self._suspects = Suspects()
        self._arrived: set[str] = set()
        """What has arrived, and could not be taken out of the queue."""
        self._failures = self._burials = 0
        self._hurry, self._turn = asyncio.Event(), asyncio.Event()
        self._queue: SpoolQueue | None = None
        self.doing = "starting"

    async def run(self) -> None:
        """Pump until cancelled."""
        while True:
            try:
                async with self._spool.queue(self.name) as queue:
                    self._queue = queue
                    await self._follow(queue)
            except Exception as error:  # Plugins' code: whatever it raises is this sender's trouble alone.
                self._log_surprise(error)
                await self._wait_out(error)
            finally:
                self._queue = None

    async def flush(self) -> str:
        """Send what waits, now; the error if that fails, else nothing."""
        while (queue := self._queue) is not None and queue.stats().batches > 0:
            self._hurry.set()
            await self._turn.wait()
            if self._failures:
                return self.health.kept.error
        return "" if self._queue is not None else self.health.kept.error

    def report(self) -> dict[str, object]:
        """How it stands."""
        found = self.health.snapshot()
        return {
            "doing": self.doing,
            "waiting": self._queue.stats().batches if self._queue is not None else found.waiting,
            "oldest": found.oldest.isoformat() if found.oldest is not None else None,
            "dead_letters": found.dead,
            "last_success": found.last_success.isoformat() if found.last_success is not None else None,
            "consecutive_failures": found.failures,
            "error": found.error,
            "at_once": self._window.limit,
        }

    async def _follow(self, queue: SpoolQueue) -> None:
        """Open the sender when there is something to send, and keep it open; an error closes it."""
        while True:
            self.doing = "idle"
            await queue.wait()
            opening = self._sender.open(str(self._unit.model), str(self._unit.unit))
            async with opening as delivery:
                while True:
                    self.doing = "idle"
                    await queue.wait()
                    await self._try(queue, delivery)

    async def _try(self, queue: SpoolQueue, delivery: MetricDelivery) -> None:
        """Send once, and wait as long as what came of it asks for."""
        batches = await self._claim(queue)
        if not batches:
            # All were put away, or could not be taken out of the queue: nothing that a hurry would help.
            await self._pause(1.0)
            return
        try:
            report = await self._send(delivery, batches)
        except TooMuchError as error:
            await self._on_too_much(queue, batches, str(error))
        except BatchesRefusedError as error:
            await self._on_refused(queue, batches, str(error))
        except RetryLaterError as error:
            await self._on_failure(queue, delivery, batches, error, after=error.after)
        except OSError as error:
            await self._on_failure(queue, delivery, batches, error)
        except Exception as error:  # As above; the sender is closed and opened again, for who knows how it stands.
            await self._on_failure(queue, delivery, batches, error)
            raise Reopen from error
        else:
            await self._apply(queue, batches, report)
        finally:
            self._tell()

    async def _send(self, delivery: MetricDelivery, batches: Sequence[MetricBatch]) -> SendReport:
        self.doing = f"sending {len(batches)} batches"
        async with Within(self._clock, self._sender.timeout, f"sending by {self.name}"):
            report = await delivery.send(batches)
        if not isinstance(report, SendReport):
            raise TypeError(f"the sender {self.name} answered {type(report).__name__}, not a SendReport")
        return report

    async def _claim(self, queue: SpoolQueue) -> Sequence[MetricBatch]:
        """What to send next: the oldest, or the newest only where old ones do not count."""
        if self._arrived:
            await self._acknowledge(queue, list(self._arrived))
        if self._sender.keeps_history:
            return await queue.claim(max_batches=self._window.limit, max_bytes=self._sender.max_bytes)
        while True:
            claimed = await queue.claim(max_batches=self._sender.max_batches, max_bytes=self._sender.max_bytes)
            if not claimed or queue.stats().batches <= len(claimed):
                break
            await self._acknowledge(queue, [batch.id for batch in claimed])
        newest = claimed[-self._window.limit :]
        if old := claimed[: len(claimed) - len(newest)]:
            await self._acknowledge(queue, [batch.id for batch in old])
        return newest

    async def _apply(self, queue: SpoolQueue, batches: Sequence[MetricBatch], report: SendReport) -> None:
        sent = {batch.id for batch in batches}
        verdicts = {batch: verdict for batch, verdict in report.verdicts.items() if batch in sent}
        accepted = [batch.id for batch in batches if isinstance(verdicts.get(batch.id), Accepted)]
        rejected = {batch: verdict.reason for batch, verdict in verdicts.items() if isinstance(verdict, Rejected)}
        again = {batch: verdicts.get(batch) for batch in sent - set(accepted) - rejected.keys()}
        await self._acknowledge(queue, accepted)
        self._suspects.went(frozenset(accepted))
        await self._heard(self.health, report)
        if accepted:
            self._failures = self._burials = 0
            await self.health.succeeded(queue.stats(), len(accepted))
        for batch, reason in rejected.items():
            await self._bury(queue, batch, reason)
        self._window.went(len(accepted) + len(rejected))
        if again:
            await self._go_round(queue, again, progress=bool(accepted))
        elif rejected and not accepted:
            await self._slow_down(queue, next(iter(rejected.values())))

    async def _go_round(self, queue: SpoolQueue, again: Mapping[str, object], *, progress: bool) -> None:
        """Some batches are to be sent once more: wait for that."""
        asked_for, reason = None, "the receiver did not answer for a batch"
        for batch, verdict in again.items():
            if isinstance(verdict, Retry):
                reason = verdict.reason
                if verdict.after is not None:
                    asked_for = max(asked_for or 0.0, verdict.after)
                elif self._suspects.failed(batch, reason):
                    await self._bury(queue, batch, f"sent in vain while others arrived: {reason}")
        if not progress:
            await self._failed(reason, queue)
        await self._pause(self._delay(asked_for, max(self._failures, 1)))

    async def _on_too_much(self, queue: SpoolQueue, batches: Sequence[MetricBatch], reason: str) -> None:
        if len(batches) > 1:
            self._window.too_much(len(batches))
            return
        await self._bury(queue, batches[0].id, f"too large for the receiver: {reason}")
        await self._slow_down(queue, reason)

    async def _on_refused(self, queue: SpoolQueue, batches: Sequence[MetricBatch], reason: str) -> None:
        if len(batches) > 1:
            self._window.refused(len(batches))
            return
        await self._bury(queue, batches[0].id, reason)
        self._window.found()
        await self._slow_down(queue, reason)

    async def _on_failure(
        self,
        queue: SpoolQueue,
        delivery: MetricDelivery,
        batches: Sequence[MetricBatch],
        error: Exception,
        *,
        after: float | None = None,
    ) -> None:
        """Nothing went through. It may be the receiver, and if it is always the same batch, it may be that batch."""
        reason, head = _text(error), batches[0].id
        self._log_surprise(error)
        self._window.failed()
        if len(batches) == 1 and after is None:
            if self._suspects.failed(head, reason):
                await self._bury(queue, head, f"sent in vain while others arrived: {reason}")
                return
            if self._suspects.is_suspected(head):
                await self._try_next(queue, delivery, head)
        await self._failed(reason, queue)
        self._tell()
        await self._pause(self._delay(after, self._failures))

    async def _try_next(self, queue: SpoolQueue, delivery: MetricDelivery, head: str) -> None:
        """Send the batch behind a suspect, after the suspect has just failed: does it go through?"""
        claimed = await queue.claim(max_batches=2, max_bytes=2 * self._sender.max_bytes)
        others = [batch for batch in claimed if batch.id != head]
        if not others:
            return
        try:
            report = await self._send(delivery, others)
        except Exception as error:  # It is not this batch's turn: its failure means only that the suspect may be well.
            _log.debug("%s also fails with another batch: %s", self.name, error)
            return
        accepted = [batch.id for batch in others if isinstance(report.verdicts.get(batch.id), Accepted)]
        await self._acknowledge(queue, accepted)
        self._suspects.went(frozenset(accepted))

    async def _slow_down(self, queue: SpoolQueue, reason: str) -> None:
        """A batch was refused. If nothing else is going through, perhaps all are, and it is no batch's fault."""
        self._burials += 1
        await self._failed(reason, queue)
        if self._burials > BURIALS_AT_ONCE:
            await self._pause(self._delay(None, self._burials - BURIALS_AT_ONCE))

    async def _acknowledge(self, queue: SpoolQueue, ids: Sequence[str]) -> None:
        self._arrived.update(ids)
        if ids:
            await queue.acknowledge(ids)
        self._arrived.difference_update(ids)

    async def _bury(self, queue: SpoolQueue, batch: str, reason: str) -> None:
        _log.warning("%s puts batch %s to the dead letters: %s", self.name, batch, reason)
        await queue.bury(batch, reason[:LONGEST_TEXT])
        self._suspects.forget(batch)
        self.health.buried(queue.stats())

    async def _failed(self, reason: str, queue: SpoolQueue | None) -> None:
        self._failures += 1
        if self._failures == 1:
            _log.warning("%s cannot send, and tries again until it can: %s", self.name, reason)
        await self.health.failed(reason, queue.stats() if queue is not None else None)

    async def _wait_out(self, error: Exception) -> None:
        """Recover from what was raised outside of a `send`."""
        if isinstance(error, Reopen):
            return  # Waited out already.
        await self._failed(_text(error), self._queue)
        self._tell()
        await self._pause(self._delay(None, self._failures))

    def _delay(self, after: float | None, failures: int) -> float:
        return full_jitter(failures, self._rng) if after is None else asked(after, self._rng)

    async def _pause(self, delay: float) -> None:
        """Wait for so long, or until somebody is in a hurry."""
        self.doing = f"waiting {delay:.0f} s before the next try"
        sleeping = asyncio.ensure_future(self._clock.sleep(delay))
        hurrying = asyncio.ensure_future(self._hurry.wait())
        try:
            await asyncio.wait((sleeping, hurrying), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            hurrying.cancel()
            await asyncio.wait((sleeping, hurrying))
        self._hurry.clear()

    def _tell(self) -> None:
        turn, self._turn = self._turn, asyncio.Event()
        turn.set()

    def _log_surprise(self, error: Exception) -> None:
        if not isinstance(error, OSError | RetryLaterError | Reopen):
            _log.error("the metric sender %s failed as it should not", self.name, exc_info=error)


class Reopen(Exception):
    """The sender is to be closed and opened again; the failure has been dealt with."""


def _text(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text[:LONGEST_TEXT]
