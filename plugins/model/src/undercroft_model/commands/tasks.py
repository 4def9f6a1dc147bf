"""Actions, operations and tasks as documents in the JSON shapes of juju, and as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from undercroft_hookspecs.errors import NotFoundError
from undercroft_model.charmrecords import charm_of, need_application
from undercroft_model.commands.columns import columns
from undercroft_model.commands.waiting import until
from undercroft_model.tables import ACTIONS, OPERATIONS

if TYPE_CHECKING:
    from datetime import datetime

    from undercroft_hookspecs.state import Action
    from undercroft_model.operator import Desk
    from undercroft_model.rows import Operation

ENDED = ("completed", "failed", "cancelled", "aborted")
# From the one that says most about all to the one that says least.
_OF_ALL = ("running", "aborting", "pending", "failed", "aborted", "cancelled", "completed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which operations are asked for; nothing named is all of them."""

    statuses: Sequence[str] = ()
    units: Sequence[str] = ()
    applications: Sequence[str] = ()
    names: Sequence[str] = ()

    def fits(self, status: str, tasks: Sequence[Action]) -> bool:
        """Whether an operation is among them."""
        units = {task.unit for task in tasks}
        applications = {unit.partition("/")[0] for unit in units}
        return (
            (not self.statuses or status in self.statuses)
            and (not self.units or bool(units & set(self.units)))
            and (not self.applications or bool(applications & set(self.applications)))
            and (not self.names or any(task.name in self.names for task in tasks))
        )


async def read_tasks(desk: Desk, numbers: Sequence[int]) -> list[Action]:
    """The tasks that are there, in order."""
    table = ACTIONS.of(desk.model)
    entries = [await desk.store.get(table.key(str(number))) for number in numbers]
    return [table.decode(entry) for entry in entries if entry is not None]


async def ended(desk: Desk, numbers: Sequence[int], *, seconds: float) -> list[Action]:
    """The tasks once all of them have ended, or as they are after so many seconds."""
    tasks: list[Action] = []

    async def settled() -> bool:
        tasks[:] = await read_tasks(desk, numbers)
        return all(task.status in ENDED for task in tasks)

    await until(desk, ACTIONS.of(desk.model).prefix, settled, seconds=seconds)
    return tasks


def task_document(task: Action) -> dict[str, object]:
    """A task, as `run` and `show-task` have it."""
    entry: dict[str, object] = {"id": str(task.id), "status": task.status}
    if task.results:
        entry["results"] = dict(task.results)
    if task.message:
        entry["message"] = task.message
    if task.log:
        entry["log"] = [f"{_moment(when)} {text}" for when, text in task.log]
    return {**entry, "timing": timing(task), "unit": task.unit}


def timing(task: Action) -> dict[str, str]:
    """When a task was asked for, begun and ended."""
    moments = {"enqueued": task.enqueued, "started": task.started, "completed": task.completed}
    return {name: _moment(moment) for name, moment in moments.items() if moment is not None}


async def show_task(desk: Desk, number: int, *, seconds: float) -> dict[str, object]:
    """A task; with `seconds`, once it has ended or after so long.

    Raises:
        NotFoundError: there is no such task.
    """
    tasks = await ended(desk, [number], seconds=seconds)
    if not tasks:
        raise NotFoundError(str(number), f'task "{number}" not found')
    return task_document(tasks[0])


async def show_operation(desk: Desk, number: int) -> dict[str, object]:
    """An operation with its tasks.

    Raises:
        NotFoundError: there is no such operation.
    """
    entry = await desk.store.get(OPERATIONS.of(desk.model).key(str(number)))
    if entry is None:
        raise NotFoundError(str(number), f'operation "{number}" not found')
    operation = OPERATIONS.of(desk.model).decode(entry)
    tasks = await read_tasks(desk, operation.tasks)
    shown = {}
    for task in tasks:
        document = task_document(task)
        shown[str(document.pop("id"))] = {"host": document.pop("unit"), **document}
    return {**_operation(operation, tasks), "tasks": shown}


async def operations_document(desk: Desk, wanted: Wanted, *, limit: int) -> dict[str, object]:
    """The last operations that are wanted, by number."""
    table, tasks = OPERATIONS.of(desk.model), ACTIONS.of(desk.model)
    every = {action.id: action for action in map(tasks.decode, (await desk.store.list(tasks.prefix)).entries)}
    found = {}
    operations = map(table.decode, (await desk.store.list(table.prefix)).entries)
    for operation in sorted(operations, key=lambda each: each.id):
        mine = [every[number] for number in operation.tasks if number in every]
        entry = _operation(operation, mine)
        if wanted.fits(str(entry["status"]), mine):
            found[str(operation.id)] = entry
    return dict(list(found.items())[-limit:] if limit > 0 else found.items())


def operations_table(document: Mapping[str, object]) -> str:
    """The same for people."""
    if not document:
        return "no matching operations"
    rows = []
    for number, entry in cast("Mapping[str, Mapping[str, object]]", document).items():
        times = cast("Mapping[str, str]", entry["timing"])
        summary = str(entry["summary"])
        cells = (number, str(entry["status"]), times.get("started", ""), times.get("completed", ""), summary)
        rows.append(cells)
    return columns(("ID", "Status", "Started", "Finished", "Summary"), rows)


async def actions_document(desk: Desk, application: str, *, schema: bool) -> dict[str, object]:
    """The actions of an application's charm.

    Raises:
        NotFoundError: there is no such application.
    """
    charm = await desk.look(charm_of, await desk.look(need_application, application))
    if not schema:
        return {name: spec.description for name, spec in sorted(charm.actions.items())}
    return {
        name: {"description": spec.description, **dict(spec.parameters)} for name, spec in sorted(charm.actions.items())
    }


def actions_table(document: Mapping[str, object]) -> str:
    """The same for people."""
    if not document:
        return "No actions defined for the application."
    return columns(("Action", "Description"), [(name, str(text)) for name, text in document.items()])


def _operation(operation: Operation, tasks: Sequence[Action]) -> dict[str, object]:
    statuses = {task.status for task in tasks}
    status = next((each for each in _OF_ALL if each in statuses), "completed")
    times = {"enqueued": _moment(operation.enqueued)}
    if started := [task.started for task in tasks if task.started is not None]:
        times["started"] = _moment(min(started))
    if status in ENDED and (completed := [task.completed for task in tasks if task.completed is not None]):
        times["completed"] = _moment(max(completed))
    return {"summary": operation.summary, "status": status, "timing": times}


def _moment(when: datetime) -> str:
    """A time as juju's tasks have it."""
    return f"{when:%Y-%m-%d %H:%M:%S} +0000 UTC"
