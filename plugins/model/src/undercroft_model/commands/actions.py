"""run, exec, actions, operations, show-operation, show-task, cancel-task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from undercroft_model.commands.frame import Refusal, at_desk, command, listed, tolerated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.command import Session
    from undercroft_model.commands.running import Outcome
    from undercroft_model.operator import Desk

RUN_SECONDS = 60.0
EXEC_SECONDS = 300.0


@command("run", example="undercroft run mysql/0 backup path=/srv/dump --wait 10m")
@click.argument("words", nargs=-1, required=True, metavar="UNIT... ACTION [KEY=VALUE...]")
@click.option("--params", "params", metavar="FILE", help="A YAML file of parameters, `-` for stdin.")
@click.option("--string-args", is_flag=True, help="Take the values as text, and not as YAML.")
@click.option("--wait", metavar="DURATION", help="How long to wait (default: 60s).")
@click.option("--background", is_flag=True, help="Do not wait.")
@click.option("-o", "--output", metavar="FILE", help="Write the results there.")
@tolerated("--color", is_flag=True)
@tolerated("--no-color", is_flag=True)
@tolerated("--utc", is_flag=True)
@click.pass_obj
def run(
    session: Session,
    words: Sequence[str],
    params: str | None,
    string_args: bool,
    wait: str | None,
    background: bool,
    output: str | None,
) -> None:
    """Run an action of the units' charm, and show its results. `mysql/leader` is the leader.

    It runs once an agent runs on the unit's host. Values are YAML, and KEY may be a path: `when.day=1`.
    """
    units = _until_action(words)
    if not units:
        raise click.UsageError("no unit specified: expected UNIT... ACTION")
    if len(words) == len(units):
        raise click.UsageError("no action specified: expected UNIT... ACTION")
    seconds = _seconds(wait, RUN_SECONDS)

    async def work(desk: Desk) -> Outcome:
        from undercroft_model.commands.parameters import given_parameters
        from undercroft_model.commands.running import run_action

        parameters = given_parameters(words[len(units) + 1 :], file=params, as_text=string_args)
        return await run_action(desk, units, words[len(units)], parameters, seconds=None if background else seconds)

    _report(session, at_desk(session, work), output)


@command("exec", example="undercroft exec --unit mysql/0 -- systemctl status mysql")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
@click.option("-u", "--unit", "units", multiple=True, metavar="UNIT,...", help="On these units.")
@click.option(
    "-a", "--application", "--app", "applications", multiple=True, metavar="APP,...", help="On all of its units."
)
@click.option("--machine", "machines", multiple=True, metavar="MACHINE", help="On a machine, outside of any unit.")
@click.option("--all", "everywhere", is_flag=True, help="On all units.")
@click.option("--wait", metavar="DURATION", help="How long to wait (default: 5m).")
@click.option("--background", is_flag=True, help="Do not wait.")
@click.option(
    "--parallel/--no-parallel", default=True, help="Beside the unit's hooks and other tasks (the default), or in turn."
)
@click.option("--execution-group", metavar="NAME", help="In turn with those of the same group.")
@tolerated("--operator", is_flag=True)
@tolerated("--timeout")
@tolerated("--color", is_flag=True)
@tolerated("--utc", is_flag=True)
@click.pass_obj
def exec_(
    session: Session,
    words: Sequence[str],
    units: Sequence[str],
    applications: Sequence[str],
    machines: Sequence[str],
    everywhere: bool,
    wait: str | None,
    background: bool,
    parallel: bool,
    execution_group: str | None,
) -> None:
    """Run a command in the context of units, where it can use the hook tools, or on this host as a machine."""
    if not (units or applications or machines or everywhere):
        raise click.UsageError("you must specify a target with --unit, --application, --machine or --all")
    seconds = None if background else _seconds(wait, EXEC_SECONDS)

    async def work(desk: Desk) -> Outcome:
        from undercroft_model.commands.running import run_command, run_on_machine

        if machines:
            return await run_on_machine(desk, listed(",".join(machines)), words, seconds=seconds or EXEC_SECONDS)
        return await run_command(
            desk,
            words,
            units=listed(",".join(units)),
            applications=listed(",".join(applications)),
            everywhere=everywhere,
            parallel=parallel,
            group=execution_group or "",
            seconds=seconds,
        )

    _report(session, at_desk(session, work), None)


@command("actions", example="undercroft actions mysql --schema --format json")
@click.argument("application")
@click.option("--schema", is_flag=True, help="Show what parameters they take.")
@click.pass_obj
def actions(session: Session, application: str, schema: bool) -> None:
    """List the actions of an application's charm."""

    async def work(desk: Desk) -> dict[str, object]:
        from undercroft_model.commands.tasks import actions_document

        return await actions_document(desk, application, schema=schema)

    document = at_desk(session, work)

    def table() -> str:
        from undercroft_model.commands.tasks import actions_table

        return actions_table(document)

    session.emit(document, table=None if schema else table)


@command("operations", example="undercroft operations --status running")
@click.option("--status", "statuses", multiple=True, metavar="STATUS,...", help="Only those that are so.")
@click.option("--units", "units", multiple=True, metavar="UNIT,...", help="Only those of these units.")
@click.option(
    "--applications", "--apps", "applications", multiple=True, metavar="APP,...", help="Only those of its units."
)
@click.option("--actions", "names", multiple=True, metavar="ACTION,...", help="Only of these actions.")
@click.option("--limit", type=int, default=50, metavar="N", help="At most so many (default: 50).")
@tolerated("--offset")
@tolerated("--machines")
@tolerated("--utc", is_flag=True)
@click.pass_obj
def operations(
    session: Session,
    statuses: Sequence[str],
    units: Sequence[str],
    applications: Sequence[str],
    names: Sequence[str],
    limit: int,
) -> None:
    """List the operations: what was run and executed, the newest last."""

    async def work(desk: Desk) -> dict[str, object]:
        from undercroft_model.commands.tasks import Wanted, operations_document

        wanted = Wanted(
            statuses=listed(",".join(statuses)),
            units=listed(",".join(units)),
            applications=listed(",".join(applications)),
            names=listed(",".join(names)),
        )
        return await operations_document(desk, wanted, limit=limit)

    document = at_desk(session, work)

    def table() -> str:
        from undercroft_model.commands.tasks import operations_table

        return operations_table(document)

    session.emit(document, table=table)


@command("show-operation", example="undercroft show-operation 1 --format yaml")
@click.argument("number", type=int)
@tolerated("--wait")
@tolerated("--watch", is_flag=True)
@tolerated("--utc", is_flag=True)
@click.pass_obj
def show_operation(session: Session, number: int) -> None:
    """Show an operation and its tasks."""

    async def work(desk: Desk) -> dict[str, object]:
        from undercroft_model.commands.tasks import show_operation as show

        return await show(desk, number)

    session.emit(at_desk(session, work))


@command("show-task", example="undercroft show-task 2 --wait 1m")
@click.argument("number", type=int)
@click.option("--wait", metavar="DURATION", help="Wait for its end, at most so long.")
@tolerated("--watch", is_flag=True)
@tolerated("--utc", is_flag=True)
@click.pass_obj
def show_task(session: Session, number: int, wait: str | None) -> None:
    """Show a task: how it stands, what it said, and its results."""
    seconds = _seconds(wait, 0.0)

    async def work(desk: Desk) -> dict[str, object]:
        from undercroft_model.commands.tasks import show_task as show

        return await show(desk, number, seconds=seconds)

    session.emit(at_desk(session, work))


@command("cancel-task", example="undercroft cancel-task 2")
@click.argument("numbers", nargs=-1, required=True, type=int)
@click.pass_obj
def cancel_task(session: Session, numbers: Sequence[int]) -> None:
    """Take back tasks that wait, and ask those to stop that run."""

    async def work(desk: Desk) -> dict[str, object]:
        from undercroft_model.actions import cancel

        now = desk.operator.clock.now()
        return {str(number): {"status": (await desk.run(cancel, number, now=now)).status} for number in numbers}

    session.emit(at_desk(session, work))


def _until_action(words: Sequence[str]) -> Sequence[str]:
    """The units at the beginning: an action's name has no slash."""
    for index, word in enumerate(words):
        if "/" not in word:
            return words[:index]
    return words


def _seconds(text: str | None, otherwise: float) -> float:
    if text is None:
        return otherwise
    from undercroft_model.commands.waiting import seconds_of

    return seconds_of(text)


def _report(session: Session, outcome: Outcome, output: str | None) -> None:
    """Show the results, and end as they did."""
    if outcome.results:
        if output is not None:
            from pathlib import Path

            from undercroft_model.commands.frame import by_lines

            Path(output).write_text(by_lines(outcome.results) + "\n")
        else:
            session.emit(outcome.results, table=outcome.table)
    if outcome.failure:
        raise Refusal(outcome.failure)
