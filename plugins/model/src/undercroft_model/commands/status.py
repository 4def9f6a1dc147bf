"""status, show-unit, show-application, machines, show-status-log."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from undercroft_model.commands.frame import FORMATS, at_desk, by_lines, command, tolerated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft_hookspecs.command import Session
    from undercroft_model.operator import Desk


_ONE_LINE_A_UNIT = ("short", "oneline", "line")


@command("status", example="undercroft status mysql --relations --watch", formats=())
@click.option(
    "--format",
    "form",
    type=click.Choice((*FORMATS, *_ONE_LINE_A_UNIT, "summary")),
    default="table",
    help="A table for people, a line for each unit, counts alone, or for programs.",
)
@click.argument("patterns", nargs=-1, metavar="[APPLICATION | UNIT]...")
@click.option("--relations", is_flag=True, help="Show the relations, too.")
@click.option("--storage", is_flag=True, help="Show the storage, too.")
@click.option(
    "--watch",
    is_flag=False,
    flag_value="changes",
    metavar="[DURATION]",
    help="Go on, and show it again whenever it changes, until Ctrl-C.",
)
@tolerated("--color", is_flag=True)
@tolerated("--no-color", is_flag=True)
@tolerated("--utc", is_flag=True)
@tolerated("--integrations", is_flag=True)
@tolerated("--retry-count")
@tolerated("--retry-delay")
@click.pass_obj
def status(
    session: Session, form: str, patterns: Sequence[str], relations: bool, storage: bool, watch: str | None
) -> None:
    """Show how the model stands: its applications, units and machines, or those that fit the patterns (`mysql/*`).

    With --watch and --format json each status is one line.
    """

    def show(document: Mapping[str, object]) -> None:
        def table() -> str:
            from undercroft_model.commands import statustable

            if form in _ONE_LINE_A_UNIT:
                return statustable.unit_lines(document)
            if form == "summary":
                return statustable.summary(document)
            return statustable.status_table(document, storage=storage)

        session.emit(document, table=table)

    async def once(desk: Desk) -> dict[str, object]:
        from undercroft_model.commands.statusdocument import read_status

        return await read_status(desk, patterns, relations=relations)

    async def follow(desk: Desk) -> None:
        from undercroft_model.commands.statusdocument import statuses

        async with contextlib.aclosing(statuses(desk, patterns, relations=relations)) as documents:
            async for document in documents:
                if session.format == "table":
                    click.clear()  # On a terminal only.
                show(document)

    if watch is None:
        show(at_desk(session, once))
    else:
        with contextlib.suppress(KeyboardInterrupt):  # The way to end it.
            at_desk(session, follow)


@command("show-unit", example="undercroft show-unit mysql/0 --format json")
@click.argument("units", nargs=-1, required=True)
@click.option("--app", "of_application", is_flag=True, help="Only what the applications say, not the units.")
@click.option("--endpoint", metavar="NAME", help="Only the relations of this endpoint.")
@click.option("--related-unit", "related", metavar="UNIT", help="Of the other side, only this unit.")
@click.pass_obj
def show_unit(
    session: Session, units: Sequence[str], of_application: bool, endpoint: str | None, related: str | None
) -> None:
    """Show units: what they run, where, and all data of their relations."""

    async def work(desk: Desk) -> dict[str, object]:
        from undercroft_model.commands.lookup import unit_called
        from undercroft_model.commands.statusdocument import pruned_unit
        from undercroft_model.showunit import show_unit as show

        found: dict[str, object] = {}
        for name in units:
            unit = await unit_called(desk, name)
            found |= await show(desk.store, desk.record, unit.name)
        return pruned_unit(found, of_application=of_application, endpoint=endpoint, related=related)

    document = at_desk(session, work)
    session.emit(document, table=lambda: by_lines(document))


@command("show-application", example="undercroft show-application mysql")
@click.argument("applications", nargs=-1, required=True)
@click.pass_obj
def show_application(session: Session, applications: Sequence[str]) -> None:
    """Show applications: their charm, bindings and whether they are exposed."""

    async def work(desk: Desk) -> dict[str, object]:
        from undercroft_model.commands.statusdocument import show_application as show

        return {name: await show(desk, name) for name in applications}

    document = at_desk(session, work)
    session.emit(document, table=lambda: by_lines(document))


@command("machines", example="undercroft machines --format json")
@tolerated("--utc", is_flag=True)
@tolerated("--color", is_flag=True)
@click.pass_obj
def machines(session: Session) -> None:
    """List the machines: the hosts that have units in the model, and under them the other hosts of the fleet."""

    async def work(desk: Desk) -> dict[str, object]:
        from undercroft_model.commands.statusdocument import machines_document

        return await machines_document(desk)

    document = at_desk(session, work)

    def table() -> str:
        from undercroft_model.commands.statustable import machines_table

        return machines_table(document)

    session.emit(document, table=table)


@command("show-status-log", example="undercroft show-status-log mysql/0")
@click.argument("entity")
@click.option("--type", "kind", default="unit", metavar="KIND", help="unit, application, machine or model.")
@click.option(
    "-n", "number", type=int, default=20, metavar="N", help="The last so many (default: 20, and no more are kept)."
)
@tolerated("--days")
@tolerated("--from-date")
@tolerated("--utc", is_flag=True)
@tolerated("--include-status-updates", is_flag=True)
@click.pass_obj
def show_status_log(session: Session, entity: str, kind: str, number: int) -> None:
    """Show the last statuses of a unit (of its agent and of its workload), an application, a machine or the model.

    Of each kind 20 are kept: a unit has 20 of its agent and 20 of its workload.
    """

    async def work(desk: Desk) -> list[dict[str, object]]:
        from undercroft_model.commands.statusdocument import status_log_document

        return await status_log_document(desk, entity, kind, number)

    document = at_desk(session, work)

    def table() -> str:
        from undercroft_model.commands.statustable import status_log_table

        return status_log_table(document)

    session.emit(document, table=table)
