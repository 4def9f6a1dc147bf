"""debug-log: the model's log, of its units and of the agent's workers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from undercroft_model.commands.frame import Refusal, at_desk, command, tolerated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.command import Session
    from undercroft_model.operator import Desk

LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR")


@command("debug-log", example="undercroft debug-log --include mysql/0 --level WARNING -f")
@click.option("-f", "--tail", "follow", is_flag=True, help="Go on, and show what is added, until Ctrl-C.")
@click.option("--no-tail", is_flag=True, help="Do not go on (the default).")
@click.option("--replay", is_flag=True, help="Show all that there is, and not the last lines only.")
@click.option("-n", "--lines", type=int, metavar="N", help="The last so many lines (default: 10).")
@click.option("--limit", type=int, metavar="N", help="At most so many lines; 0 for all that there are.")
@click.option("-i", "--include", "include", multiple=True, metavar="ENTITY", help="Only of these: mysql/0, mysql.")
@click.option("-x", "--exclude", "exclude", multiple=True, metavar="ENTITY", help="Not of these.")
@click.option("--include-module", multiple=True, metavar="MODULE", help="Only of these modules and those in them.")
@click.option("--exclude-module", multiple=True, metavar="MODULE", help="Not of these modules.")
@click.option("-l", "--level", metavar="LEVEL", help=f"At least this: {', '.join(LEVELS)}.")
@tolerated("--include-labels")
@tolerated("--exclude-labels")
@tolerated("--date", is_flag=True)
@tolerated("--ms", is_flag=True)
@tolerated("--utc", is_flag=True)
@tolerated("--location", is_flag=True)
@tolerated("--color", is_flag=True)
@tolerated("--retry", is_flag=True)
@click.pass_obj
def debug_log(
    session: Session,
    follow: bool,
    no_tail: bool,
    replay: bool,
    lines: int | None,
    limit: int | None,
    include: Sequence[str],
    exclude: Sequence[str],
    include_module: Sequence[str],
    exclude_module: Sequence[str],
    level: str | None,
) -> None:
    """Show the log of the model's units, as the agent on this host keeps it in the model's debug.log."""
    if level is not None and level.upper() not in LEVELS:
        raise Refusal(f'level value "{level}" is not one of {", ".join(LEVELS)}')

    async def work(desk: Desk) -> None:
        from undercroft_model.commands.logfile import Filter, show_log

        chosen = Filter(
            include=tuple(include),
            exclude=tuple(exclude),
            include_module=tuple(include_module),
            exclude_module=tuple(exclude_module),
            level=level.upper() if level is not None else "",
        )
        last = None if replay or limit is not None else (10 if lines is None else lines)
        file = session.data_dir / "models" / str(desk.model) / "debug.log"
        last = limit or last
        await show_log(file, chosen, last=last, follow=follow and not no_tail, write=click.echo)

    with contextlib.suppress(KeyboardInterrupt):  # The way to end it.
        at_desk(session, work)
