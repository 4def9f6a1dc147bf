"""integrate (and relate), remove-relation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from undercroft_model.commands.frame import Refusal, at_desk, command, say, tidy, tolerated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.command import Session
    from undercroft_hookspecs.state import Relation
    from undercroft_model.operator import Desk


@command("integrate", example="undercroft integrate wordpress mysql:db")
@click.argument("first")
@click.argument("second")
@tolerated("--via")
@click.pass_obj
def integrate(session: Session, first: str, second: str) -> None:
    """Relate two applications, each given as APPLICATION or APPLICATION:ENDPOINT. `relate` is the same."""
    for end in (first, second):
        _check_end(end)

    async def work(desk: Desk) -> Relation:
        from undercroft_model.relations import integrate as relate

        return await desk.run(relate, first, second, now=desk.operator.clock.now())

    at_desk(session, work)


@command("remove-relation", example="undercroft remove-relation wordpress mysql")
@click.argument("ends", nargs=-1, required=True, metavar="FIRST SECOND | ID")
@click.option("--force", is_flag=True, help="Do not wait for units to leave it.")
@click.pass_obj
def remove_relation(session: Session, ends: Sequence[str], force: bool) -> None:
    """Remove a relation, given by its two ends or by its number."""
    if not (len(ends) == 2 or (len(ends) == 1 and ends[0].isdecimal())):
        raise Refusal("a relation must involve two applications")

    async def work(desk: Desk) -> None:
        from undercroft_model.relations import find_relation
        from undercroft_model.relations import remove_relation as remove

        number = int(ends[0]) if len(ends) == 1 else (await desk.look(find_relation, *ends)).id
        await desk.run(remove, number, force=force)
        await tidy(desk)

    at_desk(session, work)
    say(f"will remove relation {' '.join(ends)}")


def _check_end(end: str) -> None:
    application, colon, endpoint = end.partition(":")
    if not application or (colon and not endpoint) or ":" in endpoint or "/" in end:
        raise Refusal(f'invalid endpoint "{end}": one looks like "mysql" or "mysql:db"')
