"""Keep the service manager informed of one agent: that it is ready, how its workers are, and that it makes progress."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from undercroft.agent.systemd import Notifier
    from undercroft_hookspecs import Clock

_log = logging.getLogger(__name__)

STOP_STEP_SECONDS = 5.0


class Announcer:
    """What one agent tells the service manager; `report` is its engine's."""

    def __init__(self, notifier: Notifier, report: Callable[[], Mapping[str, object]], clock: Clock) -> None:
        self._notifier, self._report, self._clock = notifier, report, clock
        self._told = ""
        self._is_due = False

    def on_event(self, _: object) -> None:
        """Note that something happened to a worker; the status line follows, once for all that happens in one turn."""
        if self._notifier.is_connected and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._tell)

    def ready(self) -> None:
        """The agent is up, or a reload has ended."""
        self._told = summary(self._report())
        self._notifier.ready(self._told)

    def reloading(self) -> None:
        """A reload has begun."""
        self._notifier.reloading(self._clock.monotonic())

    async def ping(self) -> None:
        """Ping until cancelled, if the service manager waits for it: at half its patience.

        A loop that stands still sends nothing. Nor does an engine that has broken: it can no longer report.
        """
        patience = self._notifier.watchdog_seconds
        if patience is None or not self._notifier.is_connected:
            return
        while True:
            self._report()
            self._notifier.ping()
            await self._clock.sleep(patience / 2)

    async def stopping(self) -> None:
        """Say that the agent stops, and until cancelled who is waited for: how long it may take, the agent decides."""
        self._notifier.stopping()
        while True:
            self._notifier.extend_timeout(3 * STOP_STEP_SECONDS)
            self._notifier.ping()
            await self._clock.sleep(STOP_STEP_SECONDS)
            self._tell()
            _log.info("still stopping: %s", summary(self._report()))

    def _tell(self) -> None:
        self._is_due = False
        text = summary(self._report())
        if text != self._told:
            self._told = text
            self._notifier.status(text)


def summary(report: Mapping[str, object]) -> str:
    """One line on an engine: how many workers are up, and which are not."""
    manifolds = report.get("manifolds")
    entries = manifolds if isinstance(manifolds, Mapping) else {}
    states = {name: entry.get("state") for name, entry in entries.items() if isinstance(entry, Mapping)}
    up = sum(state == "started" for state in states.values())
    rest = [f"{name} {state}" for name, state in states.items() if state != "started"]
    return f"{up} of {len(states)} workers up" + (f"; {', '.join(rest)}" if rest else "")
