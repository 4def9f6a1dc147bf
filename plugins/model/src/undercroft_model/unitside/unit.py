"""A unit's view of itself, of what it says of itself, and of its application."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.state import Status
from undercroft_hookspecs.unit_facades import ApplicationStatuses
from undercroft_model.charmrecords import need_application
from undercroft_model.goals import goal_state
from undercroft_model.statuses import set_status
from undercroft_model.tables import APPLICATIONS, STATUS, UNITS, parts_of
from undercroft_model.units import clear_resolved, remove_subordinates, take_up_charm, unit_dead, unit_dying
from undercroft_model.watching import record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager

    from undercroft_hookspecs.relation_facades import LeadershipFacade
    from undercroft_hookspecs.state import Application, Unit
    from undercroft_model.transaction import Transaction
    from undercroft_model.unitside.standpoint import Standpoint

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class OwnUnit:
    """The facade `UnitFacade`."""

    def __init__(self, here: Standpoint, leadership: LeadershipFacade) -> None:
        self._here, self._leadership = here, leadership

    async def unit(self) -> Unit:
        """The unit. Raises NotFoundError when it has been removed."""
        return await self._here.need_unit(self._here.look())

    def watch_unit(self) -> AbstractAsyncContextManager[AsyncIterator[Unit]]:
        """The unit, and again whenever it has changed."""
        unit = record(UNITS.of(self._here.model), *self._here.parts)
        return self._here.watch([unit], unit.need)

    async def take_up_charm(self, *, url: str, sha256: str) -> None:
        """The unit runs this charm from now on."""
        await self._here.run(take_up_charm, self._here.unit, url=url, sha256=sha256)

    async def clear_resolved(self) -> None:
        """The unit has done as `resolved` told it."""
        await self._here.run(clear_resolved, self._here.unit)

    async def set_workload_version(self, version: str) -> None:
        """The version of the software that the charm runs."""

        async def decide(tx: Transaction) -> None:
            unit = await self._here.need_unit(tx)
            changed = msgspec.structs.replace(unit, workload_version=version)
            tx.put(UNITS.of(self._here.model), *self._here.parts, record=changed)

        await self._here.change(decide)

    async def destroy(self) -> None:
        """Let the unit die; nothing if it is dying."""
        await self._here.run(unit_dying, self._here.unit)

    async def remove_subordinates(self) -> None:
        """Let all of the unit's subordinates die."""
        await self._here.run(remove_subordinates, self._here.unit)

    async def ensure_dead(self) -> None:
        """The unit has run its last hook. Raises UnitHasSubordinates while there are any."""
        await self._here.run(unit_dead, self._here.unit)
        await self._leadership.resign()  # Whoever is left should not have to wait for the lease to end.


class OwnStatus:
    """The facade `StatusFacade`."""

    def __init__(self, here: Standpoint) -> None:
        self._here = here

    async def workload_status(self) -> Status:
        """What the charm has said last."""
        tx = self._here.look()
        unit = await self._here.need_unit(tx)
        found = await tx.get(STATUS.of(self._here.model), "unit", *self._here.parts)
        return found or Status(current="unknown", since=unit.created or BEGINNING)

    async def set_workload_status(
        self, current: str, message: str = "", *, data: Mapping[str, object] | None = None
    ) -> None:
        """Say how the workload is."""
        now = self._here.clock.now()
        await self._here.run(set_status, "unit", self._here.unit, current, message, data=data, now=now)

    async def set_agent_status(
        self, current: str, message: str = "", *, data: Mapping[str, object] | None = None
    ) -> None:
        """Say what the unit's agent is at."""
        now = self._here.clock.now()
        await self._here.run(set_status, "agent", self._here.unit, current, message, data=data, now=now)

    async def application_statuses(self) -> ApplicationStatuses:
        """The statuses of the application. Raises NotLeaderError."""
        tx, model, name = self._here.look(), self._here.model, self._here.application
        await self._here.need_leadership(tx)
        units = await tx.look(STATUS.of(model), "unit", name)
        found = await tx.get(STATUS.of(model), "application", name)
        return ApplicationStatuses(
            application=found or Status(current="unknown", since=BEGINNING),
            units={"/".join(parts[1:]): status for parts, status in units.items()},
        )

    async def set_application_status(
        self, current: str, message: str = "", *, data: Mapping[str, object] | None = None
    ) -> None:
        """Say how the application is. Raises NotLeaderError."""
        here, now = self._here, self._here.clock.now()

        async def decide(tx: Transaction) -> None:
            await here.need_leadership(tx)
            await set_status(tx, here.model, "application", here.application, current, message, data=data, now=now)

        await here.change(decide)


class OwnApplication:
    """The facade `ApplicationFacade`."""

    def __init__(self, here: Standpoint) -> None:
        self._here = here

    async def application(self) -> Application:
        """The application. Raises NotFoundError when it has been removed."""
        return await need_application(self._here.look(), self._here.model, parts_of(self._here.unit)[0])

    def watch_application(self) -> AbstractAsyncContextManager[AsyncIterator[Application]]:
        """The application, and again whenever it has changed."""
        application = record(APPLICATIONS.of(self._here.model), self._here.application)
        return self._here.watch([application], application.need)

    async def goal_state(self) -> Mapping[str, object]:
        """What there is to be."""
        return await goal_state(self._here.look(), self._here.model, self._here.unit)
