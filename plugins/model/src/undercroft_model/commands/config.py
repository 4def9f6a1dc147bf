"""config, trust, expose, unexpose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from undercroft_model.commands.frame import (
    Refusal,
    at_desk,
    by_lines,
    command,
    listed,
    pairs,
    read_bytes,
    tolerated,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft_hookspecs.command import Session
    from undercroft_model.operator import Desk


@command("config", example="undercroft config mysql dataset-size=80% --reset flavor")
@click.argument("application")
@click.argument("words", nargs=-1, metavar="[KEY | KEY=VALUE...]")
@click.option("--file", "file", metavar="FILE", help="A YAML file of options, `-` for stdin.")
@click.option("--reset", "resets", multiple=True, metavar="KEY,...", help="Give options their defaults again.")
@click.pass_obj
def config(session: Session, application: str, words: Sequence[str], file: str | None, resets: Sequence[str]) -> None:
    """Show an application's options or one of them, or set some: all that are given, or none if one is wrong."""
    reset = [key for text in resets for key in listed(text)]
    wanted = words[0] if len(words) == 1 and "=" not in words[0] and not reset and file is None else None
    values = pairs(words, what="option") if wanted is None else {}
    data = read_bytes(file) if file is not None else None

    async def work(desk: Desk) -> Mapping[str, object]:
        from undercroft_model.commands.configviews import change_config, config_document

        if values or reset or data is not None:
            await desk.run(change_config, application, values=values, reset=reset, data=data, file=file or "")
            return {}
        return await desk.look(config_document, application)

    document = at_desk(session, work)
    if document:
        _show(session, application, document, wanted)


@command("trust", example="undercroft trust mysql")
@click.argument("application")
@click.option("--remove", is_flag=True, help="Trust it no longer.")
@tolerated("--scope")
@click.pass_obj
def trust(session: Session, application: str, remove: bool) -> None:
    """Trust an application with the host's credentials."""

    async def work(desk: Desk) -> None:
        from undercroft_model.applications import set_trust

        await desk.run(set_trust, application, not remove)

    at_desk(session, work)


@command("expose", example="undercroft expose wordpress")
@click.argument("application")
@tolerated("--endpoints")
@tolerated("--to-cidrs")
@tolerated("--to-spaces")
@click.pass_obj
def expose(session: Session, application: str) -> None:
    """Mark an application as reachable from outside. No firewall is touched: ports are opened where units listen."""
    _set_exposed(session, application, exposed=True)


@command("unexpose", example="undercroft unexpose wordpress")
@click.argument("application")
@tolerated("--endpoints")
@click.pass_obj
def unexpose(session: Session, application: str) -> None:
    """Mark an application as no longer reachable from outside."""
    _set_exposed(session, application, exposed=False)


def _set_exposed(session: Session, application: str, *, exposed: bool) -> None:
    async def work(desk: Desk) -> None:
        from undercroft_model.applications import set_exposed

        await desk.run(set_exposed, application, exposed)

    at_desk(session, work)


def _show(session: Session, application: str, document: Mapping[str, object], wanted: str | None) -> None:
    if wanted is None:
        session.emit(document, table=lambda: by_lines(document))
        return
    settings, of_application = document["settings"], document["application-config"]
    assert isinstance(settings, dict)
    assert isinstance(of_application, dict)
    option = settings.get(wanted) or of_application.get(wanted)
    if option is None:
        raise Refusal(f'key "{wanted}" not found in "{application}" application config or charm settings.')
    if session.format != "table":
        session.emit({wanted: option})
        return
    value = option.get("value", "")
    click.echo(str(value).lower() if isinstance(value, bool) else value)
