"""What entities say of themselves: the present status of each, and a bounded log of those before.

Kinds are `unit` (its workload), `agent` (a unit's), `application` (what its leader has set), `machine` and `model`. The
log is a record of its own, so that the status of a whole model is read without everybody's past.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, TypeAlias

from undercroft_hookspecs.errors import NotFoundError
from undercroft_hookspecs.state import Status
from undercroft_model.rows import StatusLog
from undercroft_model.tables import APPLICATIONS, MACHINES, STATUS, STATUS_LOG, UNITS, parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Application, Machine, Unit
    from undercroft_model.transaction import Transaction

StatusKind: TypeAlias = Literal["unit", "agent", "application", "machine", "model"]

KEPT_STATUSES = 20
"""How many statuses of one entity are remembered, the present one included."""


async def set_status(
    tx: Transaction,
    model: ModelId,
    kind: StatusKind,
    name: str,
    current: str,
    message: str = "",
    *,
    data: Mapping[str, object] | None = None,
    now: datetime,
) -> Status:
    """Set an entity's status; nothing is written, and `since` stays, if it is as it was.

    Raises:
        NotFoundError: there is no such entity.
    """
    parts = parts_of(name)
    await _check_owner(tx, model, kind, name)
    before = await tx.get(STATUS.of(model), kind, *parts)
    status = Status(current=current, message=message, data=data or {}, since=now)
    if before is not None and (before.current, before.message, before.data) == (current, message, status.data):
        return before
    log = await tx.get(STATUS_LOG.of(model), kind, *parts) or StatusLog()
    tx.put(STATUS.of(model), kind, *parts, record=status)
    tx.put(STATUS_LOG.of(model), kind, *parts, record=StatusLog(entries=(*log.entries, status)[-KEPT_STATUSES:]))
    return status


async def _check_owner(tx: Transaction, model: ModelId, kind: StatusKind, name: str) -> None:
    if kind == "model":
        return
    owner: Unit | Application | Machine | None
    if kind == "machine":
        owner = await tx.get(MACHINES.of(model), *parts_of(name))
    elif kind == "application":
        owner = await tx.get(APPLICATIONS.of(model), name)
    else:
        owner = await tx.get(UNITS.of(model), *parts_of(name))
    if owner is None:
        raise NotFoundError(name, f'{"unit" if kind == "agent" else kind} "{name}" not found')


async def get_status(tx: Transaction, model: ModelId, kind: StatusKind, name: str) -> Status | None:
    """An entity's status, or None if nobody has set one."""
    return await tx.get(STATUS.of(model), kind, *parts_of(name))


async def status_log(tx: Transaction, model: ModelId, kind: StatusKind, name: str) -> Sequence[Status]:
    """The last statuses of an entity, oldest first."""
    log = await tx.get(STATUS_LOG.of(model), kind, *parts_of(name))
    return () if log is None else log.entries
