"""How each sender of a unit fares: for the report, the agent's instruments, and the meter status.

What has to outlive the agent is kept in a file, which is written when something turns, not at each success: since when
a sender fails, when it last succeeded, what its receiver has said of the unit's metering, and its grace.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from undercroft.files import read_bytes, write_atomic
from undercroft_hookspecs import SenderHealth
from undercroft_hookspecs.state import MeterStatus

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_hookspecs import Clock, Meter
    from undercroft_metrics.seams import QueueStats

GRACE_SECONDS = 7 * 86400.0

_log = logging.getLogger(__name__)


class Kept(msgspec.Struct, kw_only=True):
    """What is known of one sender, as the file has it."""

    trying_since: datetime | None = None
    since: datetime | None = None
    last_success: datetime | None = None
    failures: int = 0
    error: str = ""
    grace: float = GRACE_SECONDS
    status: MeterStatus | None = None


class Health:
    """The health of one sender."""

    def __init__(self, name: str, board: HealthBoard, kept: Kept) -> None:
        self.name, self._board, self.kept = name, board, kept
        self.stats: QueueStats | None = None

    def snapshot(self) -> SenderHealth:
        """Its present state, for others."""
        kept, stats = self.kept, self.stats
        return SenderHealth(
            sender=self.name,
            failures=kept.failures,
            error=kept.error,
            trying_since=kept.trying_since,
            since=kept.since,
            last_success=kept.last_success,
            grace=kept.grace,
            waiting=stats.batches if stats is not None else 0,
            dead=stats.dead if stats is not None else 0,
            oldest=stats.oldest if stats is not None else None,
        )

    async def succeeded(self, stats: QueueStats, sent: int) -> None:
        """A try went through; `sent` batches have arrived by it."""
        now, kept = self._board.clock.now(), self.kept
        turned = kept.failures > 0 or kept.trying_since is None
        kept.trying_since = kept.trying_since or now
        kept.since, kept.failures, kept.error, kept.last_success = None, 0, "", now
        self.stats = stats
        self._board.count("sent_batches", sent, self.name)
        await self._board.changed(self, turned=turned)

    async def failed(self, error: str, stats: QueueStats | None) -> None:
        """A try failed."""
        now, kept = self._board.clock.now(), self.kept
        turned = kept.failures == 0
        kept.trying_since, kept.since = kept.trying_since or now, kept.since or now
        kept.failures, kept.error = kept.failures + 1, error
        self.stats = stats if stats is not None else self.stats
        self._board.count("send_failures", 1, self.name)
        await self._board.changed(self, turned=turned, tell=True)

    async def heard(self, *, status: MeterStatus | None, grace: float | None) -> bool:
        """The receiver has said how the unit's metering stands, or how patient it is; whether that is news."""
        kept = self.kept
        news = status is not None and status != kept.status
        patience = grace is not None and grace > 0 and grace != kept.grace
        if news:
            kept.status = status
        if patience and grace is not None:
            kept.grace = grace
        if news or patience:
            await self._board.changed(self, turned=True)
        return news

    def buried(self, stats: QueueStats) -> None:
        """A batch went to the dead letters."""
        self.stats = stats
        self._board.count("dead_letters", 1, self.name)


class HealthBoard:
    """The health of all senders of one unit: the output `SenderHealths`."""

    def __init__(self, path: Path, *, clock: Clock, meter: Meter) -> None:
        self._path, self.clock = path, clock
        self._found: dict[str, Kept] = {}
        self._healths: dict[str, Health] = {}
        self._told = asyncio.Event()
        self._gauges = {
            name: meter.gauge(f"sender_{name}", summary, ["sender"])
            for name, summary in (
                ("consecutive_failures", "How often a sender has failed since it last succeeded"),
                ("last_success_seconds", "When a sender last succeeded, in seconds since 1970; 0 if it never has"),
                ("waiting_batches", "How many batches wait for a sender"),
                ("oldest_seconds", "How old the oldest batch is that waits for a sender"),
            )
        }
        self._counters = {
            name: meter.counter(f"sender_{name}_total", summary, ["sender"])
            for name, summary in (
                ("sent_batches", "How many batches a sender has sent"),
                ("send_failures", "How often a sender has failed"),
                ("dead_letters", "How many batches of a sender went to the dead letters"),
            )
        }

    async def load(self) -> None:
        """Take up what the file has; one that cannot be read is as none, for nothing is lost with it but patience."""
        try:
            self._found = msgspec.json.decode(await read_bytes(self._path), type=dict[str, Kept])
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            _log.warning("the state of the metric senders in %s cannot be read, and begins anew: %s", self._path, error)

    def of(self, name: str) -> Health:
        """The health of one sender."""
        if name not in self._healths:
            self._healths[name] = Health(name, self, self._found.get(name, Kept()))
        return self._healths[name]

    def senders(self) -> Sequence[SenderHealth]:
        """Their present state, by name."""
        return tuple(health.snapshot() for _, health in sorted(self._healths.items()))

    def watch_senders(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[SenderHealth]]]:
        """Their state, and again whenever a try has succeeded after a failure, or failed."""
        return self._watching()

    def count(self, what: str, amount: int, sender: str) -> None:
        """Add to a counter."""
        self._counters[what].add(amount, sender)

    async def changed(self, health: Health, *, turned: bool, tell: bool = False) -> None:
        """Show how a sender fares; if something has turned, keep it, and tell who watches."""
        self._show(health)
        if turned or tell:
            told, self._told = self._told, asyncio.Event()
            told.set()
        if turned:
            document = {name: each.kept for name, each in sorted(self._healths.items())}
            try:
                await write_atomic(self._path, msgspec.json.encode(document))
            except OSError as error:
                _log.warning("the state of the metric senders cannot be kept in %s: %s", self._path, error)

    def _show(self, health: Health) -> None:
        found, sender = health.snapshot(), health.name
        age = (self.clock.now() - found.oldest).total_seconds() if found.oldest is not None else 0.0
        self._gauges["consecutive_failures"].set(found.failures, sender)
        self._gauges["last_success_seconds"].set(
            found.last_success.timestamp() if found.last_success is not None else 0.0, sender
        )
        self._gauges["waiting_batches"].set(found.waiting, sender)
        self._gauges["oldest_seconds"].set(max(age, 0.0), sender)

    @asynccontextmanager
    async def _watching(self) -> AsyncIterator[AsyncIterator[Sequence[SenderHealth]]]:
        states = self._states()
        try:
            yield states
        finally:
            await states.aclose()

    async def _states(self) -> AsyncGenerator[Sequence[SenderHealth], None]:
        while True:
            told = self._told
            yield self.senders()
            await told.wait()
