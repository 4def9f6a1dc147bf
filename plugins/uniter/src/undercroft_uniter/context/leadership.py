"""Leadership as a hook sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs import NotLeaderError
from undercroft_uniter.context.firstread import FirstRead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.relation_facades import LeadershipFacade
    from undercroft_uniter.seams import Leadership


class HookLeadership:
    """The part `LeadershipContext`. Once no leader, never a leader in the same hook."""

    def __init__(self, unit: str, leadership: Leadership, facade: LeadershipFacade) -> None:
        self._unit, self._leadership, self._facade = unit, leadership, facade
        self._is_minion = False
        self._settings = FirstRead(facade.leader_settings)

    async def is_leader(self) -> bool:
        """Whether the unit leads for 30 s at least."""
        if not self._is_minion:
            self._is_minion = not await self._leadership.guarantee()
        return not self._is_minion

    async def require(self) -> None:
        """See that the unit leads. Raises NotLeaderError."""
        if not await self.is_leader():
            application = self._unit.partition("/")[0]
            raise NotLeaderError(f"unit {self._unit} is not the leader of {application}")

    async def leader_settings(self) -> Mapping[str, str]:
        """What the leader has said, as it was when the hook first asked, or last said something itself."""
        return dict(await self._settings.get())

    async def merge_leader_settings(self, changes: Mapping[str, str]) -> None:
        """Say something. Raises NotLeaderError."""
        await self.require()
        self._settings.forget()
        await self._facade.merge_leader_settings(changes)
