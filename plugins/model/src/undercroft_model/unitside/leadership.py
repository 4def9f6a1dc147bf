"""A unit's view of who leads its application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from undercroft_hookspecs.state import Settings
from undercroft_model.bags import merged
from undercroft_model.leadership import LeadershipClaim
from undercroft_model.tables import LEADER_SETTINGS, LEADERS
from undercroft_model.watching import record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from undercroft_model.transaction import Transaction
    from undercroft_model.unitside.standpoint import Standpoint


class OwnLeadership:
    """The facade `LeadershipFacade`."""

    def __init__(self, here: Standpoint) -> None:
        self._here = here
        self._claim = LeadershipClaim(here.store, here.model, here.unit, clock=here.clock)

    async def claim(self) -> bool:
        """Become leader, or stay it."""
        return await self._claim.claim()

    def certain_seconds(self) -> float:
        """For how much longer the unit leads for certain."""
        return self._claim.certain_seconds()

    async def wait_released(self) -> None:
        """Return when nobody else leads."""
        leader = record(LEADERS.of(self._here.model), self._here.application)

        def is_free() -> bool:
            present = leader.one()
            return present is None or present.unit == self._here.unit

        async with self._here.watch([leader], is_free) as states:
            async for free in states:
                if free:
                    return

    async def resign(self) -> None:
        """Lead no longer, at once."""
        await self._claim.resign()

    async def leader_settings(self) -> Mapping[str, str]:
        """What the leaders of the application have said to its units."""
        found = await self._here.look().get(LEADER_SETTINGS.of(self._here.model), self._here.application)
        return found.values if found is not None else {}

    async def merge_leader_settings(self, changes: Mapping[str, str]) -> None:
        """Say something to the application's units."""
        here, table = self._here, LEADER_SETTINGS.of(self._here.model)

        async def decide(tx: Transaction) -> None:
            await here.need_leadership(tx)
            before = await tx.get(table, here.application)
            bag = merged(before, changes)
            if bag.values or before is not None:
                tx.put(table, here.application, record=bag)

        await here.change(decide)

    def watch_leader_settings(self) -> AbstractAsyncContextManager[AsyncIterator[Mapping[str, str]]]:
        """What the leaders have said, and again whenever it has changed."""
        bag = record(LEADER_SETTINGS.of(self._here.model), self._here.application)
        return self._here.watch([bag], lambda: (bag.one() or Settings()).values)
