"""A unit's view of its host and machine, its resources, its metering, and its tasks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotFoundError
from undercroft_hookspecs.state import Life, MeterStatus
from undercroft_hookspecs.unit_facades import AttachedResource, NetworkInfo
from undercroft_model.actions import begin_action, finish_action, log_action
from undercroft_model.hosts import LOOPBACK
from undercroft_model.meters import check_settable
from undercroft_model.patience import through_outages
from undercroft_model.ports import machine_ports
from undercroft_model.relations import JUJU_INFO
from undercroft_model.rows import UnitActions
from undercroft_model.tables import ACTIONS, HOSTS, METER, PORTS, RESOURCES, UNIT_ACTIONS
from undercroft_model.unitside.config import charm_of_unit
from undercroft_model.unitside.relation import subnet_of
from undercroft_model.watching import record

if TYPE_CHECKING:
    from undercroft_hookspecs.state import Action, PortRange
    from undercroft_model.transaction import Transaction
    from undercroft_model.unitside.standpoint import Standpoint

"""The meter statuses that can be set; the others stand for there being none."""


class OwnNetwork:
    """The facade `NetworkFacade`."""

    def __init__(self, here: Standpoint) -> None:
        self._here = here

    async def network_info(self, binding: str) -> NetworkInfo:
        """How the unit is reached by an endpoint or an extra binding."""
        tx = self._here.look()
        charm = await charm_of_unit(tx, self._here)
        if binding not in charm.endpoints and binding not in charm.extra_bindings and binding not in ("", JUJU_INFO):
            raise NotFoundError(binding, f'no network config found for binding "{binding}"')
        host = await tx.get(HOSTS, str(self._here.host), "host")
        addresses = host.addresses if host is not None and host.addresses else (LOOPBACK,)
        return NetworkInfo(
            bind_addresses=addresses,
            ingress_addresses=addresses[:1],
            egress_subnets=(subnet_of(addresses[0]),),
            hostname=host.hostname if host is not None else "",
        )

    async def opened_ports(self) -> Sequence[PortRange]:
        """What the unit has opened, sorted."""
        found = await self._here.look().get(PORTS.of(self._here.model), *self._here.parts)
        return found.ranges if found is not None else ()

    async def machine_ports(self) -> Mapping[str, Sequence[PortRange]]:
        """What the units on the unit's machine have opened, by unit."""
        tx = self._here.look()
        unit = await self._here.need_unit(tx)
        return await machine_ports(tx, self._here.model, unit.machine)


class OwnResources:
    """The facade `ResourceFacade`."""

    def __init__(self, here: Standpoint) -> None:
        self._here = here

    async def resource(self, name: str) -> AttachedResource:
        """A resource."""
        found = await self._here.look().get(RESOURCES.of(self._here.model), self._here.application, name)
        if found is None:
            raise NotFoundError(name, f'resource "{name}" of {self._here.application} not found')
        return AttachedResource(
            sha256=found.sha256, size_bytes=found.size_bytes, filename=found.filename, revision=found.revision
        )


class OwnMeter:
    """The facades `MeterFacade` and `MeterStatusFacade`."""

    def __init__(self, here: Standpoint) -> None:
        self._here = here

    async def meter_status(self) -> MeterStatus:
        """The unit's own meter status, else its application's."""
        tx, table = self._here.look(), METER.of(self._here.model)
        own = await tx.get(table, *self._here.parts)
        return own or await tx.get(table, self._here.application) or MeterStatus()

    def watch_meter_status(self) -> AbstractAsyncContextManager[AsyncIterator[MeterStatus]]:
        """The meter status, and again whenever it has changed."""
        table = METER.of(self._here.model)
        own, shared = record(table, *self._here.parts), record(table, self._here.application)
        return self._here.watch([own, shared], lambda: own.one() or shared.one() or MeterStatus())

    async def set_meter_status(self, status: MeterStatus) -> None:
        """The unit's own meter status; nothing if it is that already, or if the unit is dying."""
        check_settable(status)
        table = METER.of(self._here.model)

        async def decide(tx: Transaction) -> None:
            unit = await self._here.need_unit(tx)
            if unit.life is Life.ALIVE and await tx.get(table, *self._here.parts) != status:
                tx.put(table, *self._here.parts, record=status)

        await self._here.change(decide)


class OwnActions:
    """The facade `ActionFacade`."""

    def __init__(self, here: Standpoint) -> None:
        self._here = here

    @asynccontextmanager
    async def watch_pending(self) -> AsyncIterator[AsyncIterator[Sequence[Action]]]:
        """The tasks that are not finished, the oldest first."""
        waiting = record(UNIT_ACTIONS.of(self._here.model), *self._here.parts)

        def build() -> UnitActions:
            return waiting.one() or UnitActions()

        async with self._here.watch([waiting], build) as states, aclosing(self._actions(states)) as actions:
            yield actions

    async def begin(self, action: int) -> Action:
        """Mark a task as running."""
        return await self._here.run(begin_action, self._here.unit, action, now=self._here.clock.now())

    async def log(self, action: int, message: str) -> None:
        """Add a line to a running task's progress."""
        await self._here.run(log_action, self._here.unit, action, message, now=self._here.clock.now())

    async def finish(
        self, action: int, status: str, *, message: str = "", results: Mapping[str, object] | None = None
    ) -> None:
        """End a task; nothing if it has ended before."""
        now = self._here.clock.now()
        await self._here.run(
            finish_action, self._here.unit, action, status, message=message, results=results or {}, now=now
        )

    async def _actions(self, states: AsyncIterator[UnitActions]) -> AsyncGenerator[Sequence[Action], None]:
        async for waiting in states:

            async def read(numbers: Sequence[int] = waiting.pending) -> Sequence[Action]:
                tx = self._here.look()
                found = [await tx.get(ACTIONS.of(self._here.model), str(number)) for number in numbers]
                return tuple(action for action in found if action is not None)

            here, what = self._here, f"the list of tasks of {self._here.unit}"
            yield await through_outages(read, what=what, clock=here.clock, rng=here.rng)
