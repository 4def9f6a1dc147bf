"""The commands `metrics` and `collect-metrics`."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from undercroft_hookspecs.command import Session
    from undercroft_hookspecs.state import Model


class _WithDefault(click.Group):
    """A group whose first subcommand is meant where none is named."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, with that subcommand's name put in."""
        default = next(iter(self.commands))
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [default, *args]
        return super().parse_args(ctx, args)


@click.group(
    "metrics",
    cls=_WithDefault,
    short_help="Show what charms have measured.",
    epilog="Example: undercroft metrics mysql/0 --watch",
)
def metrics() -> None:
    """Show what charms have measured, from the embedded store on this machine, or look after what waits to be sent."""


@metrics.command("show")
@click.argument("names", nargs=-1, metavar="[UNIT | APPLICATION]...")
@click.option("--all", "_all", is_flag=True, help="All units of the model, which is what is shown without names, too.")
@click.option("--watch", is_flag=True, help="Go on, and show it again every two seconds, until Ctrl-C.")
@click.pass_obj
def show(session: Session, names: Sequence[str], _all: bool, watch: bool) -> None:
    """Show the newest value of each metric; on a terminal, with how it went before that."""
    if names and _all:
        raise click.UsageError("names and --all do not go together")
    from undercroft_metrics.board import Board

    board = Board.of(session, _model(session).uuid, names)

    async def follow() -> None:
        from undercroft.clock import SystemClock
        from undercroft.files import in_thread

        clock = SystemClock()
        while True:
            if session.format == "table":
                click.clear()  # On a terminal only.
            rows = await in_thread(board.rows)
            session.emit(rows, table=partial(board.table, rows))
            await clock.sleep(2.0)

    if watch:
        with contextlib.suppress(KeyboardInterrupt):  # The way to end it.
            session.run(follow())
        return
    rows = board.rows()
    if rows or session.format != "table":
        session.emit(rows, table=lambda: board.table(rows))


@metrics.group("spool", cls=_WithDefault, short_help="Look after what waits to be sent.")
def spool() -> None:
    """Look after what waits to be sent, and after what was refused."""


@spool.command("inspect")
@click.argument("units", nargs=-1, metavar="[UNIT]...")
@click.option("--sender", default="", metavar="NAME", help="Of this sender alone.")
@click.pass_obj
def inspect(session: Session, units: Sequence[str], sender: str) -> None:
    """Show what waits for each sender, what was dropped, and what was refused, and why."""
    document = {
        unit: _asked(session, folder, {"op": "inspect", "sender": sender}) for unit, folder in _folders(session, units)
    }

    def table() -> str:
        from undercroft_metrics.board import spool_table

        return spool_table(document)

    session.emit(document, table=table)


@spool.command("requeue")
@click.argument("unit")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--sender", default="", metavar="NAME", help="Of this sender alone.")
@click.pass_obj
def requeue(session: Session, unit: str, ids: Sequence[str], sender: str) -> None:
    """Have dead letters sent again, these or all."""
    ((_, folder),) = _folders(session, [unit])
    session.emit(_asked(session, folder, {"op": "requeue", "ids": ids, "sender": sender}))


@spool.command("purge")
@click.argument("unit")
@click.argument("ids", nargs=-1, metavar="[ID | FILE]...")
@click.option("--sender", default="", metavar="NAME", help="Of this sender alone.")
@click.option("--quarantine", is_flag=True, help="Remove what is in quarantine, not dead letters.")
@click.pass_obj
def purge(session: Session, unit: str, ids: Sequence[str], sender: str, quarantine: bool) -> None:
    """Remove dead letters, these or all."""
    ((_, folder),) = _folders(session, [unit])
    request = {"op": "purge", "ids": ids, "sender": sender, "quarantine": quarantine}
    session.emit(_asked(session, folder, request))


@spool.command("import")
@click.argument("unit")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, resolve_path=True))
@click.pass_obj
def import_spool(session: Session, unit: str, folder: str) -> None:
    """Take over what a Juju agent has spooled for the unit in FOLDER (/var/lib/juju/metricspool)."""
    ((_, own),) = _folders(session, [unit])
    session.emit(_asked(session, own, {"op": "import", "folder": folder}))


@click.command("collect-metrics", epilog="Example: undercroft collect-metrics mysql/0")
@click.argument("name", metavar="UNIT | APPLICATION")
@click.pass_obj
def collect_metrics(session: Session, name: str) -> None:
    """Have a unit, or all units of an application on this machine, collect their metrics now.

    What goes wrong is printed; as with juju, it changes no exit code.
    """
    folders = _folders(session, [name])

    async def collect() -> None:
        from undercroft_metrics.sockets import ask

        for unit, folder in folders:
            try:
                answer = (await ask(folder / "metrics-collect.socket", b"")).decode().strip()
            except OSError as error:
                answer = f"no agent collects its metrics: {error.strerror or error}"
            if answer != "ok":
                click.echo(f"failed to collect metrics for unit {unit}: {answer.removeprefix('error: ')}", err=True)

    session.run(collect())


def _asked(session: Session, folder: Path, request: Mapping[str, object]) -> Mapping[str, object]:
    """What the spool of the unit in `folder` answers: its agent's, or without one, as it is on the disk."""
    import msgspec

    from undercroft_metrics.board import asked
    from undercroft_metrics.plugin import Config

    answer = session.run(asked(folder, msgspec.json.encode(request), session.config(Config).spool))
    if "error" in answer:
        raise click.ClickException(str(answer["error"]))
    return answer


def _folders(session: Session, names: Sequence[str]) -> list[tuple[str, Path]]:
    """The units that are meant, and their folders on this machine."""
    from undercroft_hookspecs import ApplicationName, NotValidError, UnitName
    from undercroft_metrics.places import SPOOLS, unit_name

    model = _model(session)
    agents = session.data_dir / "models" / model.uuid / "agents"
    # What a unit that is no more has left is looked after by its name, too.
    left = session.data_dir / "plugins" / "metrics" / SPOOLS / model.uuid
    names_there = {path.name for folder in (agents, left) for path in folder.glob("unit-*") if path.is_dir()}
    there = {unit_name(each): agents / each for each in sorted(names_there)}
    found: dict[str, Path] = {}
    for name in names:
        try:
            own = [UnitName.parse(name).text] if "/" in name else []
            application = "" if own else ApplicationName.parse(name).text
        except NotValidError as error:
            raise click.UsageError(str(error)) from error
        own = own or [unit for unit in there if unit.rpartition("/")[0] == application]
        missing = [unit for unit in own if unit not in there] if own else [name]
        if missing:
            raise click.ClickException(f'"{missing[0]}" of model "{model.name}" not found on this machine, in {agents}')
        found |= {unit: there[unit] for unit in own}
    return list((found if names else there).items())


def _model(session: Session) -> Model:
    from undercroft_hookspecs import NotFoundError

    try:
        return session.run(_read_model(session))
    except NotFoundError as error:
        raise click.ClickException(str(error)) from error


async def _read_model(session: Session) -> Model:
    from undercroft_hookspecs.unit_facades import ModelFacade

    async with session.open("model", ModelFacade) as models:
        return await models.model()
