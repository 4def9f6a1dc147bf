"""Ask units to run something, wait for it, and make of it what juju would."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undercroft.process import SystemProcess
from undercroft_hookspecs.errors import NotFoundError
from undercroft_model.actions import Task, enqueue
from undercroft_model.charmrecords import charm_of, need_application
from undercroft_model.commands.frame import Refusal, by_lines, say
from undercroft_model.commands.lookup import all_units, host_of, unit_called
from undercroft_model.commands.parameters import fitted
from undercroft_model.commands.progress import progress
from undercroft_model.commands.tasks import ENDED, ended, task_document
from undercroft_model.hosts import read_hosts

if TYPE_CHECKING:
    from undercroft_hookspecs.state import Action
    from undercroft_model.operator import Desk
    from undercroft_model.rows import Operation

EXEC = "juju-exec"
_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of an operation: the results by unit, and what to say if it failed."""

    results: Mapping[str, object] = field(default_factory=dict)
    table: Callable[[], str] | None = None
    failure: str = ""


async def run_action(
    desk: Desk, names: Sequence[str], action: str, parameters: Mapping[str, object], *, seconds: float | None
) -> Outcome:
    """Run an action on units; `seconds` None does not wait.

    Raises:
        NotFoundError: there is no such unit, or its charm has no such action. Nothing is run then.
        NotValidError: the parameters do not fit the action.
    """
    units = [(await unit_called(desk, name)).name for name in names]
    specs = {}
    for application in dict.fromkeys(unit.partition("/")[0] for unit in units):
        charm = await desk.look(charm_of, await desk.look(need_application, application))
        if action not in charm.actions:
            unit = next(unit for unit in units if unit.startswith(f"{application}/"))
            raise NotFoundError(action, f'action "{action}" not defined for unit "{unit}"')
        specs[application] = charm.actions[action]
    spec = specs[units[0].partition("/")[0]]
    task = Task(
        name=action,
        parameters=fitted(action, parameters, spec.parameters),
        parallel=spec.parallel,
        execution_group=spec.execution_group,
    )
    summary = f"{action} run on {', '.join(units)}"
    return await _run(desk, units, task, summary, seconds=seconds)


async def run_command(
    desk: Desk,
    words: Sequence[str],
    *,
    units: Sequence[str],
    applications: Sequence[str],
    everywhere: bool,
    parallel: bool,
    group: str,
    seconds: float | None,
) -> Outcome:
    """Run a command of the shell in the context of units; where there are none, that is said, and is no failure."""
    try:
        chosen = await _chosen(desk, units, applications, everywhere=everywhere)
    except NotFoundError as error:
        # As juju has it, on whose exit code 0 and silence on stdout clients rely.
        say(f"Operation failed to schedule any tasks:\n{error} (not found)")
        return Outcome()
    timeout = int((seconds if seconds is not None else 0) * _NANOSECONDS)
    parameters = {"command": " ".join(words), "timeout": timeout, "workload-context": False}
    task = Task(name=EXEC, parameters=parameters, parallel=parallel, execution_group=group)
    return await _run(desk, chosen, task, f"{EXEC} on {', '.join(chosen)}", seconds=seconds)


async def run_on_machine(desk: Desk, machines: Sequence[str], words: Sequence[str], *, seconds: float) -> Outcome:
    """Run a command of the shell on this host, as one or more of the model's machines.

    Raises:
        NotFoundError: there is no such machine.
        Refusal: one of them is another host, or the command takes too long.
    """
    results: dict[str, object] = {}
    failed = []
    for machine in machines:
        if await host_of(desk, machine) != str(desk.operator.host):
            raise Refusal(f"machine {machine} is another host: log in there and run this again")
        argv = ["/bin/sh", "-c", " ".join(words)]
        try:
            done = await SystemProcess().run(argv, timeout=seconds, check=False)
        except TimeoutError as error:
            raise Refusal(f"timed out waiting for results from: machine {machine}") from error
        texts = {"stdout": done.stdout.decode(errors="replace"), "stderr": done.stderr.decode(errors="replace")}
        outputs = {"return-code": done.returncode, **{name: text for name, text in texts.items() if text}}
        results[machine] = {"id": "0", "status": "completed", "results": outputs, "machine": machine}
        if done.returncode:
            failed.append((0, done.returncode))
    return Outcome(results=results, table=lambda: _shown(results), failure=_failure(failed))


async def _chosen(desk: Desk, units: Sequence[str], applications: Sequence[str], *, everywhere: bool) -> list[str]:
    found = [(await unit_called(desk, name)).name for name in units]
    for name in applications:
        await desk.look(need_application, name)
        found += [unit.name for unit in await all_units(desk, name)]
    if everywhere:
        found += [unit.name for unit in await all_units(desk)]
    if not found:
        raise NotFoundError("unit", "there are no units")
    return list(dict.fromkeys(found))


async def _run(desk: Desk, units: Sequence[str], task: Task, summary: str, *, seconds: float | None) -> Outcome:
    clock, rng = desk.operator.clock, desk.operator.rng
    operation = await enqueue(desk.store, desk.model, units, task, summary=summary, clock=clock, rng=rng)
    _announce(operation, units, waits=seconds is not None)
    if seconds is None:
        return Outcome()
    await _warn_of_absent(desk, units)
    async with progress(f"Waiting for operation {operation.id}", clock=clock):
        tasks = await ended(desk, operation.tasks, seconds=seconds)
    results: dict[str, object] = {each.unit: _result(each) for each in tasks}
    late = [each.unit for each in tasks if each.status not in ENDED]
    if late:
        waited = ", ".join(f"unit {unit}" for unit in late)
        finished = {each.unit: results[each.unit] for each in tasks if each.status in ENDED}
        why = f"timed out waiting for results from: {waited}"
        hint = f"look later with `undercroft show-operation {operation.id}`"
        return Outcome(results=finished, table=lambda: _shown(finished), failure=f"{why}; {hint}")
    failed = [(each.id, _code(each)) for each in tasks if each.status != "completed" or _code(each)]
    return Outcome(results=results, table=lambda: _shown(results), failure=_failure(failed))


async def _warn_of_absent(desk: Desk, units: Sequence[str]) -> None:
    """Say whose host has no agent running: nobody will run anything there."""
    hosts = await read_hosts(desk.store)
    absent = []
    for name in units:
        host = await host_of(desk, (await unit_called(desk, name)).machine)
        if host not in hosts or not hosts[host].present:
            absent.append(name)
    if absent:
        say(f"note: no agent is running on the host of {', '.join(absent)}: start it with `undercroft agent`")


def _announce(operation: Operation, units: Sequence[str], *, waits: bool) -> None:
    plural = "s" if len(units) > 1 else ""
    verb = "Running" if waits else "Scheduled"
    say(f"{verb} operation {operation.id} with {len(units)} task{plural}")
    for number, unit in zip(operation.tasks, units, strict=True):
        say(f"  - task {number} on unit-{unit.replace('/', '-')}")
    if not waits:
        say(f"Check operation status with 'undercroft show-operation {operation.id}'")


def _result(task: Action) -> dict[str, object]:
    return task_document(task)


def _code(task: Action) -> int:
    code = task.results.get("return-code", 0)
    return code if isinstance(code, int) else 0


def _failure(failed: Sequence[tuple[int, int]]) -> str:
    if not failed:
        return ""
    plural = "s" if len(failed) > 1 else ""
    lines = [f' - id "{number}" with return code {code}' for number, code in failed]
    return "\n".join(
        [f"the following task{plural} failed:", *lines, "", "use 'undercroft show-task' to inspect the failure"]
    )


def _shown(results: Mapping[str, object]) -> str:
    """What people see: the output of a command as it is, the results of an action as YAML."""
    if len(results) != 1:
        return by_lines(results)
    (entry,) = results.values()
    assert isinstance(entry, dict)
    outputs = dict(entry.get("results") or {})
    lines = [str(outputs.pop(name)).rstrip("\n") for name in ("stdout", "stderr") if outputs.get(name)]
    outputs.pop("return-code", None)
    if outputs:
        lines.insert(0, by_lines(outputs))
    if entry.get("message"):
        lines.insert(0, str(entry["message"]))
    return "\n".join([*(str(line) for line in entry.get("log", ())), *lines])
