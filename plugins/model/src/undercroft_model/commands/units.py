"""add-unit, remove-unit, remove-application, resolved."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from undercroft_model.commands.frame import Refusal, at_desk, attached_storage, command, listed, say, tidy, tolerated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.command import Session
    from undercroft_model.operator import Desk
    from undercroft_model.transaction import Transaction


@command("add-unit", example="undercroft add-unit mysql -n 2 --to 0,host=db2")
@click.argument("application")
@click.option("-n", "--num-units", default=1, metavar="N", type=int, help="How many (default: 1).")
@click.option("--to", "to", multiple=True, metavar="MACHINE,...", help="Where the first of them go.")
@click.option(
    "--attach-storage", "attach", multiple=True, metavar="STORAGE,...", help="Detached storage that the unit is given."
)
@click.pass_obj
def add_unit(session: Session, application: str, num_units: int, to: Sequence[str], attach: Sequence[str]) -> None:
    """Add units to an application, on the least loaded hosts or where --to says: machines (0) or hosts (by name)."""
    if num_units < 1:
        raise Refusal("--num-units must be a positive integer")
    storage = attached_storage(attach, num_units)
    directives = [directive for text in to for directive in listed(text)]

    async def work(desk: Desk) -> list[str]:
        from undercroft_model.commands.progress import progress
        from undercroft_model.units import add_units_in_batches

        here, clock, rng = await desk.operator.here(), desk.operator.clock, desk.operator.rng
        if storage:
            return [await _add_with(desk, application, storage, directives)]
        async with progress(f"Adding {num_units} units of {application}", clock=clock):
            units = await add_units_in_batches(
                desk.store, desk.model, application, num_units, to=directives, here=here, clock=clock, rng=rng
            )
        return [unit.name for unit in units]

    for name in at_desk(session, work):
        say(f"added unit {name}")


async def _add_with(desk: Desk, application: str, storage: Sequence[str], to: Sequence[str]) -> str:
    """Add one unit that is given storage which is there."""
    from undercroft_model.storage.attaching import give_to_new, where_it_is
    from undercroft_model.units import add_units

    here, now = await desk.operator.here(), desk.operator.clock.now()

    async def decide(tx: Transaction) -> str:
        place = to or await where_it_is(tx, desk.model, storage)
        (unit,) = await add_units(tx, desk.model, application, to=place, here=here, now=now)
        await give_to_new(tx, desk.model, unit.name, storage)
        return unit.name

    return await desk.operator.change(decide)


@command("remove-unit", example="undercroft remove-unit mysql/1 mysql/2 --no-prompt")
@click.argument("units", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Do not wait for the unit: remove its records at once.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed.")
@tolerated("-y", "--no-prompt", "--yes", is_flag=True)
@tolerated("--destroy-storage", is_flag=True)
@tolerated("--no-wait", is_flag=True)
@tolerated("-n", "--num-units")
@click.pass_obj
def remove_unit(session: Session, units: Sequence[str], force: bool, dry_run: bool) -> None:
    """Remove units: each runs its last hooks, and is gone then."""

    async def work(desk: Desk) -> None:
        from undercroft_model.units import need_unit
        from undercroft_model.units import remove_unit as remove

        for unit in units:
            await desk.look(need_unit, unit)  # Nothing is removed where one of them is wrong.
        for unit in units:
            if not dry_run:
                await desk.run(remove, unit, force=force)
            say(f"will remove unit {unit}")
        await tidy(desk)

    at_desk(session, work)


@command("remove-application", example="undercroft remove-application mysql --no-prompt")
@click.argument("applications", nargs=-1, required=True)
@click.option("--force", is_flag=True, help="Do not wait for its units: remove their records at once.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed.")
@tolerated("-y", "--no-prompt", "--yes", is_flag=True)
@tolerated("--destroy-storage", is_flag=True)
@tolerated("--no-wait", is_flag=True)
@click.pass_obj
def remove_application(session: Session, applications: Sequence[str], force: bool, dry_run: bool) -> None:
    """Remove applications, with their units and relations."""

    async def work(desk: Desk) -> None:
        from undercroft_model.applications import remove_application as remove
        from undercroft_model.charmrecords import need_application

        for name in applications:
            await desk.look(need_application, name)
        for name in applications:
            if not dry_run:
                await desk.run(remove, name, force=force)
            say(f"will remove application {name}")
        await tidy(desk)

    at_desk(session, work)


@command("resolved", example="undercroft resolved mysql/0 --no-retry")
@click.argument("units", nargs=-1)
@click.option("--no-retry", is_flag=True, help="Go on as if the hook that failed had succeeded.")
@click.option("--all", "everybody", is_flag=True, help="All units in error.")
@click.pass_obj
def resolved(session: Session, units: Sequence[str], no_retry: bool, everybody: bool) -> None:
    """Let units in error go on: they run the hook again that failed."""
    if bool(units) == everybody:
        raise Refusal("name the units, or give --all")

    async def work(desk: Desk) -> None:
        from undercroft_hookspecs.errors import NotValidError
        from undercroft_model.commands.lookup import units_in_error
        from undercroft_model.units import resolve

        for unit in units:
            await desk.run(resolve, unit, retry=not no_retry)
        for unit in await units_in_error(desk) if everybody else ():
            with suppress(NotValidError):  # It is resolved already, or goes on by itself meanwhile.
                await desk.run(resolve, unit, retry=not no_retry)

    at_desk(session, work)
