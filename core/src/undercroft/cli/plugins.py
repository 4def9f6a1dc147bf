"""`undercroft plugins`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from undercroft.cli.exits import ExitCode, NotRunningError, RefusedError
from undercroft.cli.session import hidden_commands
from undercroft.cli.tracebacks import show_broken

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft.cli.session import CommandSession

    Row = Mapping[str, object]


@click.command(epilog="Example: undercroft plugins --strict --format json")
@click.option("--strict", is_flag=True, help="Exit 1 if a plugin is broken, incompatible or shadowed.")
@click.pass_context
def plugins(ctx: click.Context, strict: bool) -> None:
    """List the plugins and what became of each.

    A running agent is asked for what it has loaded; without one the plugins are loaded in this process, and nothing is
    started.
    """
    session: CommandSession = ctx.obj
    rows, notes = _rows(session)
    session.emit(rows, table=lambda: _table(rows))
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    if strict and any(row["state"] not in ("active", "disabled") for row in rows):
        ctx.exit(ExitCode.FAILED)


def _rows(session: CommandSession) -> tuple[Sequence[Row], Sequence[str]]:
    hidden = hidden_commands()
    try:
        answer = session.ask({"request": "plugins"})
    except (NotRunningError, RefusedError):
        pass
    else:
        rows = answer.get("plugins")
        return (rows if isinstance(rows, list) else []), hidden
    from undercroft.cli.survey import survey
    from undercroft.plugins.status import plugin_rows

    found = survey(session.settings, session.data_dir)
    if session.debug:
        show_broken(found.registry)
    return plugin_rows(found.registry, found.manifolds()), (*found.registry.notes, *hidden)


def _table(rows: Sequence[Row]) -> str:
    from undercroft.cli.output import rows_table

    if not rows:
        return "No plugin is installed; try: pip install undercroft-diskmanager"
    return rows_table(rows, ("name", "state", "distribution", "version", "manifolds", "why"))
