"""export, import: a whole model as YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from undercroft_model.commands.frame import at_desk, command, operate, read_bytes, say

if TYPE_CHECKING:
    from undercroft_hookspecs.command import Session
    from undercroft_model.operator import Desk, Operator


@command("export", example="undercroft export --charms ./charms > staging.yaml")
@click.option("--charms", metavar="DIR", help="Put the charms' archives and the resources there, too.")
@click.option("-o", "--output", metavar="FILE", help="Write it there instead of to stdout.")
@click.pass_obj
def export(session: Session, charms: str | None, output: str | None) -> None:
    """Write down what is wanted of the model: settings, applications with their options, units and relations.

    It is a bundle with more in it. What units have said and done, and the content of secrets, are not part of it.
    """

    async def work(desk: Desk) -> dict[str, object]:
        from pathlib import Path

        from undercroft_model.commands.exporting import export_model

        return await export_model(desk, Path(charms) if charms is not None else None)

    document = at_desk(session, work)
    if session.format == "json":
        session.emit(document)
        return
    from undercroft_model.commands.frame import by_lines

    text = by_lines(document) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        from pathlib import Path

        Path(output).write_text(text)


@command("import", example="undercroft import staging.yaml production --charms ./charms", in_model=False)
@click.argument("file")
@click.argument("name", required=False)
@click.option("--charms", metavar="DIR", help="Where `export --charms` put the charms' archives and the resources.")
@click.pass_obj
def import_(session: Session, file: str, name: str | None, charms: str | None) -> None:
    """Make a new model of what `export` wrote; NAME is another name for it.

    The charms are taken from --charms, or from this store's blobs where they are there. If anything is wrong, the model
    is not made; if anything fails later, it is removed again.
    """
    data = read_bytes(file)

    async def work(operator: Operator) -> str:
        from pathlib import Path

        from undercroft_model.commands.importing import import_model

        return await import_model(operator, data, file, name, Path(charms) if charms is not None else None)

    say(f"Imported model '{operate(session, work)}'")
