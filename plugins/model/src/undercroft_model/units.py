"""Units: added with the next number and placed, marked for removal, resolved.

    alive ── remove_unit ──> dying ── the uniter: unit_dead ──> dead ── its host: unit_gone ──> removed by `lifecycle`

A unit that has never run anything (it has taken up no charm) and one that is removed with force are dead at once, and
removed without anybody's help. Numbers are never given twice within an application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.errors import NotFoundError, NotValidError, UnitHasSubordinates
from undercroft_hookspecs.identity import UnitName
from undercroft_hookspecs.state import Application, Life, Unit
from undercroft_model.charmrecords import need_application
from undercroft_model.cleanups import ask_cleanup, note_loss
from undercroft_model.machines import place
from undercroft_model.models import living_model
from undercroft_model.statuses import get_status
from undercroft_model.storage.mountpoints import check_apart
from undercroft_model.tables import APPLICATIONS, UNITS, parts_of
from undercroft_model.transaction import change

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence
    from datetime import datetime

    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Host
    from undercroft_hookspecs.store import Store
    from undercroft_hookspecs.worker import Clock
    from undercroft_model.transaction import Transaction

MAX_UNITS_AT_ONCE = 25
"""So many fit into one transaction, wherever they are placed."""

OPERATIONS_PER_UNIT = 3
"""The unit; at the worst, its machine is looked up and made, too."""


async def need_unit(tx: Transaction, model: ModelId, unit: str) -> Unit:
    """The unit.

    Raises:
        NotFoundError: there is none of that name.
        NotValidError: no unit can be called so.
    """
    if UnitName.form.fullmatch(unit) is None:
        raise NotValidError(f'invalid unit name "{unit}": one looks like "mysql/0"', field="unit")
    record = await tx.get(UNITS.of(model), *parts_of(unit))
    if record is None:
        raise NotFoundError(unit, f'unit "{unit}" not found')
    return record


async def add_units(
    tx: Transaction,
    model: ModelId,
    application: str,
    count: int = 1,
    *,
    to: Sequence[str] = (),
    here: Host | None,
    now: datetime,
) -> list[Unit]:
    """Add units to an application, each placed as `machines.place` has it; at most MAX_UNITS_AT_ONCE.

    Raises:
        NotFoundError: there is no such application, machine or host.
        NotValidError: it is a subordinate, on its way out, or a placement cannot be met.
    """
    record = await need_application(tx, model, application)
    if record.subordinate:
        message = f'cannot add units to application "{application}": application is a subordinate'
        raise NotValidError(message, field="application")
    return await add_to(tx, model, record, count, to=to, here=here, now=now)


async def add_to(
    tx: Transaction,
    model: ModelId,
    application: Application,
    count: int,
    *,
    to: Sequence[str] = (),
    here: Host | None,
    now: datetime,
) -> list[Unit]:
    """Add units to an application whose record is at hand, and write that; its charm's is in the model already."""
    await living_model(tx, model)
    _check_count(application, count)
    table = UNITS.of(model)
    units = []
    machines = await place(tx, model, count, to=to, here=here, now=now)
    await check_apart(tx, model, application, machines)
    for number, machine in enumerate(machines, application.next_unit):
        unit = Unit(name=f"{application.name}/{number}", machine=machine, created=now)
        tx.put(table, *parts_of(unit.name), record=unit)
        units.append(unit)
    grown = msgspec.structs.replace(application, next_unit=application.next_unit + count)
    tx.put(APPLICATIONS.of(model), application.name, record=grown)
    return units


async def add_units_in_batches(
    store: Store,
    model: ModelId,
    application: str,
    count: int,
    *,
    to: Sequence[str] = (),
    here: Host | None,
    clock: Clock,
    rng: random.Random,
) -> list[Unit]:
    """Add any number of units, as many at once as a transaction takes."""
    units: list[Unit] = []
    while len(units) < count:
        size = min(MAX_UNITS_AT_ONCE, count - len(units))
        directives = to[len(units) : len(units) + size]

        async def add(tx: Transaction, size: int = size, directives: Sequence[str] = directives) -> list[Unit]:
            return await add_units(tx, model, application, size, to=directives, here=here, now=clock.now())

        units += await change(store, add, clock=clock, rng=rng)
    return units


async def remove_unit(tx: Transaction, model: ModelId, unit: str, *, force: bool = False) -> None:
    """Let a unit die, as an operator asks for it; with `force` without waiting for it.

    Raises:
        NotFoundError: there is no such unit.
        NotValidError: it is a subordinate: those go with their relation, or with their principal.
    """
    record = await need_unit(tx, model, unit)
    if record.principal and not force:
        application = parts_of(unit)[0]
        message = (
            f'unit "{unit}" is a subordinate, to remove use remove-relation. '
            f'Note: this will remove all units of "{application}" from "{parts_of(record.principal)[0]}"'
        )
        raise NotValidError(message, field="unit")
    await unit_dying(tx, model, unit, force=force)


async def unit_dying(tx: Transaction, model: ModelId, unit: str, *, force: bool = False) -> None:
    """Let a unit die, whatever it is; nothing if it is on its way already, or gone."""
    record = await tx.get(UNITS.of(model), *parts_of(unit))
    if record is None:
        return
    if force or not record.charm_url:
        _write(tx, model, record, Life.DEAD)
        await ask_cleanup(tx, model, "unit", *parts_of(unit), force=force)
    elif record.life is Life.ALIVE:
        _write(tx, model, record, Life.DYING)


async def remove_subordinates(tx: Transaction, model: ModelId, principal: str) -> None:
    """Let all subordinates of a unit die; it asks for that when it is dying itself."""
    record = await need_unit(tx, model, principal)
    for subordinate in record.subordinates:
        await unit_dying(tx, model, subordinate)


async def unit_dead(tx: Transaction, model: ModelId, unit: str) -> None:
    """The unit has run its last hook.

    Raises:
        UnitHasSubordinates: they have to go first.
    """
    record = await need_unit(tx, model, unit)
    if record.subordinates:
        names = ", ".join(record.subordinates)
        raise UnitHasSubordinates(f"unit {unit} cannot be dead while it has subordinates: {names}")
    if record.life is not Life.DEAD:
        _write(tx, model, record, Life.DEAD)


async def unit_gone(tx: Transaction, model: ModelId, unit: str) -> None:
    """The host has nothing left of a dead unit: its records can be removed.

    Raises:
        NotValidError: it is not dead.
    """
    record = await tx.get(UNITS.of(model), *parts_of(unit))
    if record is None:
        return
    if record.life is not Life.DEAD:
        raise NotValidError(f"unit {unit} is not dead but {record.life}", field="unit")
    await ask_cleanup(tx, model, "unit", *parts_of(unit))


async def take_up_charm(tx: Transaction, model: ModelId, unit: str, *, url: str, sha256: str) -> None:
    """The unit runs this charm from now on.

    Raises:
        NotFoundError: there is no such unit.
        NotValidError: it is dead.
    """
    record = await need_unit(tx, model, unit)
    if record.life is Life.DEAD:
        raise NotValidError(f"unit {unit} is dead", field="unit")
    tx.put(UNITS.of(model), *parts_of(unit), record=msgspec.structs.replace(record, charm_url=url, charm=sha256))
    if record.charm and record.charm != sha256:
        note_loss(tx, model, "charm", record.charm)


async def resolve(tx: Transaction, model: ModelId, unit: str, *, retry: bool = True) -> None:
    """Let a unit in error go on: run the failed hook again, or with `retry` false as if it had succeeded.

    Raises:
        NotFoundError: there is no such unit.
        NotValidError: it is not in error, or has been told already.
    """
    record = await need_unit(tx, model, unit)
    status = await get_status(tx, model, "agent", unit)
    if status is None or status.current != "error":
        raise NotValidError(f'unit "{unit}" is not in an error state', field="unit")
    if record.resolved:
        raise NotValidError(f'cannot set resolved mode for unit "{unit}": already resolved', field="unit")
    mode = "retry-hooks" if retry else "no-hooks"
    tx.put(UNITS.of(model), *parts_of(unit), record=msgspec.structs.replace(record, resolved=mode))


async def clear_resolved(tx: Transaction, model: ModelId, unit: str) -> None:
    """The unit has done as it was told."""
    record = await need_unit(tx, model, unit)
    tx.put(UNITS.of(model), *parts_of(unit), record=msgspec.structs.replace(record, resolved=""))


def _write(tx: Transaction, model: ModelId, unit: Unit, life: Life) -> None:
    tx.put(UNITS.of(model), *parts_of(unit.name), record=msgspec.structs.replace(unit, life=life))


def _check_count(application: Application, count: int) -> None:
    name = application.name
    if application.life is not Life.ALIVE:
        raise NotValidError(f'cannot add units to application "{name}": it is being removed', field="application")
    if not 0 <= count <= MAX_UNITS_AT_ONCE:
        message = f'cannot add {count} units to application "{name}" at once: at most {MAX_UNITS_AT_ONCE}'
        raise NotValidError(message, field="units")
