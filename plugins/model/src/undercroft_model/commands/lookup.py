"""What commands look for in a model: units by the many names that they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotFoundError
from undercroft_model.charmrecords import need_application
from undercroft_model.tables import LEADERS, MACHINES, STATUS, UNITS
from undercroft_model.units import need_unit

if TYPE_CHECKING:
    from undercroft_hookspecs.state import Unit
    from undercroft_model.operator import Desk

LEADER = "leader"


async def units_in_error(desk: Desk) -> list[str]:
    """The names of the units that have to be resolved."""
    table = STATUS.of(desk.model)
    entries = (await desk.store.list(table.under("agent"))).entries
    return ["/".join(table.parts(entry.key)[1:]) for entry in entries if table.decode(entry).current == "error"]


async def unit_called(desk: Desk, name: str) -> Unit:
    """The unit of that name, or the leader, for `mysql/leader`.

    Raises:
        NotFoundError: there is none.
        NotValidError: no unit can be called so.
    """
    application, slash, number = name.partition("/")
    if slash and number == LEADER:
        await desk.look(need_application, application)
        entry = await desk.store.get(LEADERS.of(desk.model).key(application))
        if entry is None:
            raise NotFoundError(name, f'could not determine leader for "{application}"')
        name = LEADERS.of(desk.model).decode(entry).unit
    return await desk.look(need_unit, name)


async def all_units(desk: Desk, application: str | None = None) -> list[Unit]:
    """The units of the model, or of an application, in order."""
    table = UNITS.of(desk.model)
    prefix = table.prefix if application is None else table.under(application)
    units = [table.decode(entry) for entry in (await desk.store.list(prefix)).entries]
    return sorted(units, key=lambda unit: (unit.name.partition("/")[0], int(unit.name.partition("/")[2])))


async def host_of(desk: Desk, machine: str) -> str:
    """The id of the host that a machine is.

    Raises:
        NotFoundError: there is no such machine.
    """
    entry = await desk.store.get(MACHINES.of(desk.model).key(machine))
    if entry is None:
        raise NotFoundError(machine, f"machine {machine} not found")
    return MACHINES.of(desk.model).decode(entry).host
