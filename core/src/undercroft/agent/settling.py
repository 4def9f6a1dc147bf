"""Know when an engine has come to rest: every manifold is up, waits for an input, has failed, or is done."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from undercroft.agent.events import Events

FAILED_SECONDS = 0.5
"""A delay as long as this follows a failure; a bounce takes a small part of it."""


def is_settled(report: Mapping[str, object]) -> bool:
    """Whether nothing in the report is on its way. What failed and will be tried again counts as settled."""
    manifolds = report.get("manifolds")
    entries = manifolds.values() if isinstance(manifolds, Mapping) else ()
    return not any(isinstance(entry, Mapping) and _is_on_its_way(entry) for entry in entries)


async def settled(report: Callable[[], Mapping[str, object]], events: Events) -> None:
    """Return when the engine of that report has come to rest; looked at whenever something happens to it."""
    loop = asyncio.get_running_loop()
    happened = asyncio.Event()

    def look(_: object) -> None:
        # In the next turn: an event is told while what it leads to is still being done.
        loop.call_soon(happened.set)

    forget = events.observe(look)
    try:
        while not is_settled(report()):
            await happened.wait()
            happened.clear()
    finally:
        forget()


def _is_on_its_way(entry: Mapping[str, object]) -> bool:
    delay = entry.get("delay")
    if isinstance(delay, (int, float)):
        return delay < FAILED_SECONDS
    return entry.get("state") in ("starting", "stopping")
