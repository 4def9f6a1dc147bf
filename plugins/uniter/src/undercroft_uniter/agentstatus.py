"""What a unit's agent says of itself, written when it is news."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.unit_facades import StatusFacade


class DeduplicatedStatus:
    """The seam `AgentStatus`. What only differs in its data is not news."""

    def __init__(self, status: StatusFacade) -> None:
        self._status = status
        self._last: tuple[str, str] | None = None
        self._writing = asyncio.Lock()

    async def set(self, current: str, message: str = "", *, data: Mapping[str, object] | None = None) -> None:
        """Say it, unless it was said last."""
        async with self._writing:
            if self._last == (current, message):
                return
            self._last = None  # Whether a write that fails was done is not known.
            await self._status.set_agent_status(current, message, data=data)
            self._last = (current, message)
