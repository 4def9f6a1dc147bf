"""Actions: what operators ask of units, one task for each unit, and how the units' agents work them off.

An operation and its tasks are numbered from one sequence. What a unit has not finished is listed in a record of its
own, so that it follows that alone. A task that is done stays until its unit goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, cast

import msgspec

from undercroft_hookspecs.errors import NotFoundError, NotValidError
from undercroft_hookspecs.state import Action
from undercroft_model.rows import Operation, UnitActions
from undercroft_model.rows import Sequence as Counter
from undercroft_model.sweep import batches
from undercroft_model.tables import ACTIONS, OPERATIONS, SEQUENCES, UNIT_ACTIONS, UNITS, parts_of
from undercroft_model.transaction import change
from undercroft_model.units import need_unit

if TYPE_CHECKING:
    import random
    from datetime import datetime

    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.store import Store
    from undercroft_hookspecs.worker import Clock
    from undercroft_model.transaction import Transaction

TASKS_AT_ONCE = 20
"""How many tasks fit into one transaction, of which each takes up to four operations."""
RESULT_BYTES = 512 * 1024
LOG_BYTES = 256 * 1024
LINE_BYTES = 16 * 1024

Ended = Literal["completed", "failed", "aborted", "cancelled"]
_ENDED = ("completed", "failed", "aborted", "cancelled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What each unit of an operation is to do: an action of its charm, or `juju-exec` with a command."""

    name: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    parallel: bool = False
    execution_group: str = ""


async def enqueue(
    store: Store,
    model: ModelId,
    units: Sequence[str],
    task: Task,
    *,
    summary: str = "",
    clock: Clock,
    rng: random.Random,
) -> Operation:
    """Ask units to do something, and give the operation, whose tasks are in the order of the units.

    Raises:
        NotFoundError: there is no such unit. Nothing is asked of any then.
    """
    now = clock.now()

    async def begin(tx: Transaction) -> Operation:
        for unit in units:
            await need_unit(tx, model, unit)
            # Each is looked at again with its task: all of them would be too many for one transaction.
            tx.unwatched(UNITS.of(model), *parts_of(unit))
        first = await _numbers(tx, model, len(units) + 1)
        tasks = tuple(range(first + 1, first + 1 + len(units)))
        operation = Operation(id=first, summary=summary, enqueued=now, tasks=tasks)
        tx.put(OPERATIONS.of(model), str(first), record=operation)
        return operation

    operation = await change(store, begin, clock=clock, rng=rng)
    for batch in batches(list(zip(operation.tasks, units, strict=True)), TASKS_AT_ONCE):

        async def add(tx: Transaction, batch: Sequence[tuple[int, str]] = batch) -> None:
            for number, unit in batch:
                await _add(tx, model, _new(number, operation.id, unit, task, now))

        await change(store, add, clock=clock, rng=rng)
    return operation


async def cancel(tx: Transaction, model: ModelId, number: int, *, now: datetime) -> Action:
    """Take back a task that nobody has begun; ask for the stop of one that runs; nothing if it has ended.

    Raises:
        NotFoundError: there is no such task.
    """
    action = await need_action(tx, model, number)
    if action.status == "pending":
        return await _end(tx, model, action, "cancelled", message="", results={}, now=now)
    if action.status == "running":
        waiting = await tx.get(UNIT_ACTIONS.of(model), *parts_of(action.unit)) or UnitActions()
        told = msgspec.structs.replace(waiting, aborting=(*waiting.aborting, number))
        tx.put(UNIT_ACTIONS.of(model), *parts_of(action.unit), record=told)
        return _put(tx, model, msgspec.structs.replace(action, status="aborting"))
    return action


async def need_action(tx: Transaction, model: ModelId, number: int) -> Action:
    """The task. Raises NotFoundError."""
    found = await tx.get(ACTIONS.of(model), str(number))
    if found is None:
        raise NotFoundError(str(number), f'task "{number}" not found')
    return found


async def begin_action(tx: Transaction, model: ModelId, unit: str, number: int, *, now: datetime) -> Action:
    """Mark a unit's task as running.

    Raises:
        NotFoundError: the unit has no such task.
        NotValidError: it is not pending.
    """
    action = await _of_unit(tx, model, unit, number)
    if action.status != "pending":
        raise NotValidError(f"task {number} is not pending but {action.status}", field="action")
    return _put(tx, model, msgspec.structs.replace(action, status="running", started=now))


async def log_action(tx: Transaction, model: ModelId, unit: str, number: int, line: str, *, now: datetime) -> None:
    """Add a line to a task's progress; the oldest ones go when there is too much.

    Raises:
        NotFoundError: the unit has no such task.
        NotValidError: it does not run.
    """
    action = await _of_unit(tx, model, unit, number)
    if action.status not in ("running", "aborting"):
        raise NotValidError(f"task {number} does not run: it is {action.status}", field="action")
    log = [*action.log, (now, _shortened(line))]
    size = sum(len(text.encode()) for _, text in log)
    while size > LOG_BYTES:
        size -= len(log.pop(0)[1].encode())
    _put(tx, model, msgspec.structs.replace(action, log=tuple(log)))


async def finish_action(
    tx: Transaction,
    model: ModelId,
    unit: str,
    number: int,
    status: str,
    *,
    message: str,
    results: Mapping[str, object],
    now: datetime,
) -> Action:
    """End a unit's task; nothing if it has ended before. Results that are too large make it fail.

    Raises:
        NotFoundError: the unit has no such task.
        NotValidError: tasks do not end so.
    """
    if status not in _ENDED:
        raise NotValidError(f"a task does not end as {status!r} but as one of {', '.join(_ENDED)}", field="status")
    action = await _of_unit(tx, model, unit, number)
    if action.status in _ENDED:
        return action
    if len(msgspec.json.encode(results)) > RESULT_BYTES:
        status, results = "failed", {}
        message = f"the results are larger than {RESULT_BYTES // 1024} KiB"
    return await _end(tx, model, action, cast("Ended", status), message=message, results=results, now=now)


async def _numbers(tx: Transaction, model: ModelId, count: int) -> int:
    """The first of so many new numbers."""
    table = SEQUENCES.of(model)
    first = (await tx.get(table, "action") or Counter(next=1)).next
    tx.put(table, "action", record=Counter(next=first + count))
    return first


def _new(number: int, operation: int, unit: str, task: Task, now: datetime) -> Action:
    return Action(
        id=number,
        operation=operation,
        unit=unit,
        name=task.name,
        parameters=task.parameters,
        parallel=task.parallel,
        execution_group=task.execution_group,
        enqueued=now,
    )


async def _add(tx: Transaction, model: ModelId, action: Action) -> None:
    await need_unit(tx, model, action.unit)
    waiting = await tx.get(UNIT_ACTIONS.of(model), *parts_of(action.unit)) or UnitActions()
    listed = msgspec.structs.replace(waiting, pending=(*waiting.pending, action.id))
    tx.put(UNIT_ACTIONS.of(model), *parts_of(action.unit), record=listed)
    _put(tx, model, action)


async def _of_unit(tx: Transaction, model: ModelId, unit: str, number: int) -> Action:
    action = await need_action(tx, model, number)
    if action.unit != unit:
        raise NotFoundError(str(number), f"unit {unit} has no task {number}")
    return action


async def _end(
    tx: Transaction,
    model: ModelId,
    action: Action,
    status: Ended,
    *,
    message: str,
    results: Mapping[str, object],
    now: datetime,
) -> Action:
    waiting = await tx.get(UNIT_ACTIONS.of(model), *parts_of(action.unit))
    if waiting is not None:
        left = UnitActions(
            pending=tuple(number for number in waiting.pending if number != action.id),
            aborting=tuple(number for number in waiting.aborting if number != action.id),
        )
        if left.pending:
            tx.put(UNIT_ACTIONS.of(model), *parts_of(action.unit), record=left)
        else:
            tx.delete(UNIT_ACTIONS.of(model), *parts_of(action.unit))
    ended = msgspec.structs.replace(action, status=status, message=_shortened(message), results=results, completed=now)
    return _put(tx, model, ended)


def _put(tx: Transaction, model: ModelId, action: Action) -> Action:
    tx.put(ACTIONS.of(model), str(action.id), record=action)
    return action


def _shortened(text: str) -> str:
    encoded = text.encode()
    return text if len(encoded) <= LINE_BYTES else encoded[:LINE_BYTES].decode(errors="ignore") + "..."
