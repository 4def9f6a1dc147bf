"""Statuses, as a hook sets and sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_uniter.context.firstread import FirstRead

if TYPE_CHECKING:
    from undercroft_hookspecs.state import Status
    from undercroft_hookspecs.unit_facades import ApplicationStatuses, StatusFacade, UnitFacade
    from undercroft_uniter.context.leadership import HookLeadership


class HookStatus:
    """The part `StatusContext`."""

    def __init__(self, statuses: StatusFacade, unit: UnitFacade, leadership: HookLeadership) -> None:
        self._statuses, self._unit, self._leadership = statuses, unit, leadership
        self._own = FirstRead(statuses.workload_status)
        self.is_set = False
        """The charm has said how its workload is."""

    async def unit_status(self) -> Status:
        """What the charm had last said when this hook first asked, whatever the hook has said since."""
        return await self._own.get()

    async def set_unit_status(self, current: str, message: str) -> None:
        """Say how the workload is, at once."""
        await self._statuses.set_workload_status(current, message)
        self.is_set = True

    async def application_statuses(self) -> ApplicationStatuses:
        """The application's status and its units'. Raises NotLeaderError."""
        await self._leadership.require()
        return await self._statuses.application_statuses()

    async def set_application_status(self, current: str, message: str) -> None:
        """Say how the application is, at once. Raises NotLeaderError."""
        await self._leadership.require()
        await self._statuses.set_application_status(current, message)

    async def set_workload_version(self, version: str) -> None:
        """Say which version of the software runs, at once."""
        await self._unit.set_workload_version(version)
