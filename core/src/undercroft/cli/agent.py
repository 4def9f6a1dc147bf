"""`undercroft agent`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from undercroft.cli.exits import ExitCode

if TYPE_CHECKING:
    from undercroft.cli.session import CommandSession
    from undercroft.config import Config


@click.command(epilog="Example: undercroft agent --data ./data -c ./undercroft.toml")
@click.option("--strict", is_flag=True, help="Refuse to run if a plugin is broken, incompatible or shadowed.")
@click.option("--print-unit", is_flag=True, help="Print a systemd unit file for this installation, and run nothing.")
@click.pass_context
def agent(ctx: click.Context, strict: bool, print_unit: bool) -> None:
    """Run the agent in the foreground, until SIGTERM or Ctrl-C.

    It logs to stderr: for people on a terminal, one JSON object a line otherwise. A second SIGTERM or Ctrl-C stops it
    by force; SIGHUP has it read its config again. Exits 75 if it wants to be started again.
    """
    session: CommandSession = ctx.obj
    if print_unit:
        from undercroft.agent.unit_file import installed_command, unit_text

        click.echo(unit_text(command=installed_command(), data_dir=session.data_dir), nl=False)
        return
    import logging

    from undercroft.agent import logs
    from undercroft.agent.ending import Ending
    from undercroft.agent.main import run

    logs.configure(level=logging.DEBUG if session.debug else logging.INFO)
    ending = run(session.data_dir, read_config=lambda: _read(session), environment=session.environ, strict=strict)
    codes = {Ending.DONE: ExitCode.DONE, Ending.FAILED: ExitCode.FAILED, Ending.RESTART: ExitCode.RESTART}
    ctx.exit(codes[ending])


def _read(session: CommandSession) -> Config:
    """The config as it is now: at a reload it is another than the session's."""
    from undercroft.config import config_file, load

    option = session.options.get("config")
    return load(config_file(str(option) if option else None, session.environ, session.data_dir), session.environ)
