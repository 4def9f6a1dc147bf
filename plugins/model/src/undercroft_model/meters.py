"""Meter statuses, as an operator sets them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.identity import UnitName
from undercroft_model.charmrecords import need_application
from undercroft_model.tables import METER, parts_of
from undercroft_model.units import need_unit

if TYPE_CHECKING:
    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import MeterStatus
    from undercroft_model.transaction import Transaction

SETTABLE = ("GREEN", "AMBER", "RED")


def check_settable(status: MeterStatus) -> None:
    """Refuse what cannot be set.

    Raises:
        NotValidError: the code is not GREEN, AMBER or RED.
    """
    if status.code not in SETTABLE:
        message = f"meter status {status.code!r} cannot be set: it is one of {', '.join(SETTABLE)}"
        raise NotValidError(message, field="status")


async def set_meter_status(tx: Transaction, model: ModelId, entity: str, status: MeterStatus) -> None:
    """How the metering of a unit, or of all units of an application that have none of their own, stands.

    Raises:
        NotFoundError: there is no such unit or application.
        NotValidError: the code is not GREEN, AMBER or RED.
    """
    check_settable(status)
    if UnitName.form.fullmatch(entity):
        await need_unit(tx, model, entity)
        parts = parts_of(entity)
    else:
        await need_application(tx, model, entity)
        parts = (entity,)
    table = METER.of(model)
    if await tx.get(table, *parts) != status:
        tx.put(table, *parts, record=status)
