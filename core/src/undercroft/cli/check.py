"""`undercroft check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from undercroft.cli.exits import ExitCode, complain
from undercroft.cli.session import hidden_commands
from undercroft.cli.tracebacks import show_broken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft.cli.session import CommandSession
    from undercroft.cli.survey import Survey


@click.command(epilog="Example: undercroft check -c ./undercroft.toml")
@click.pass_context
def check(ctx: click.Context) -> None:
    """Check the config and the plugins without running them.

    Says what is wrong with the config, what became of each plugin, and what this host lacks for the active ones. Exits
    78 if the config is bad, and 1 if a plugin that the config requires is not active.
    """
    session: CommandSession = ctx.obj
    from undercroft.cli.survey import survey
    from undercroft.plugins import RequiredPluginError
    from undercroft.plugins.status import plugin_rows

    found = survey(session.settings, session.data_dir)
    problem = ""
    try:
        found.registry.check_required()
    except RequiredPluginError as error:
        problem = str(error)
    file = session.settings.file
    document: dict[str, Any] = {
        "config": str(file) if file else None,
        "data": str(session.data_dir),
        "plugins": plugin_rows(found.registry, found.manifolds()),
        "lacks": _lacks(found),
        "notes": [*found.registry.notes, *hidden_commands()],
        "problem": problem,
    }
    if session.debug:
        show_broken(found.registry)
    session.emit(document, table=lambda: _text(document))
    if problem:
        complain(problem)
        ctx.exit(ExitCode.FAILED)


def _lacks(found: Survey) -> list[dict[str, str]]:
    return [
        {"plugin": name, "what": sentence}
        for name in found.registry.active()
        for sentence in found.registry.hooks.check(name, found.handles.top(name))
    ]


# Any: the document of one form that is made above.
def _text(document: Mapping[str, Any]) -> str:
    from undercroft.cli.output import rows_table

    lines = [f"config: {document['config'] or 'none, so all is at its default'}", f"data: {document['data']}"]
    if document["plugins"]:
        lines += ["", rows_table(document["plugins"], ("name", "state", "version", "why"))]
    if document["lacks"]:
        lines += ["", *(f"{each['plugin']}: {each['what']}" for each in document["lacks"])]
    if document["notes"]:
        lines += ["", *(f"Note: {note}" for note in document["notes"])]
    return "\n".join(lines)
