"""The command `undercroft host-setup`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from undercroft_hookspecs.command import Session


@click.command("host-setup", epilog="Example: sudo undercroft host-setup")
@click.option("--remove", "is_removal", is_flag=True, help="Take away what was put in place.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="The root folder of another machine, as of an image, instead of this one's.",
)
@click.pass_context
def host_setup(ctx: click.Context, is_removal: bool, root: Path | None) -> None:
    """Put in place what charms expect of a Juju installation on their machine.

    These are /usr/bin/juju-exec and /usr/bin/juju-run, with which charms call themselves from cron and from systemd
    timers, and a stand-in for jujud, which tells them its version. No file of anybody else's is overwritten, and
    `--remove` undoes it all. On this machine it takes root.
    """
    session: Session = ctx.obj
    # Late: other commands should not pay for it.
    from undercroft_uniter.hostsetup import placing
    from undercroft_uniter.hostsetup.programs import programs

    if root is None and os.geteuid() != 0:
        raise click.ClickException("only root can change /usr/bin: try `sudo undercroft host-setup`")
    base = Path("/") if root is None else root.absolute()
    if not is_removal:
        put = placing.put(base, programs(session.data_dir.absolute()))
        session.emit({"put": [str(path) for path in put]}, table=lambda: _lines("put", put))
        return
    gone, left = placing.remove(base)
    document = {"removed": [str(path) for path in gone], "left": [str(path) for path in left]}
    what = "left, for somebody has changed it:"
    session.emit(document, table=lambda: _lines("removed", gone) + _lines(what, left) or "nothing was there\n")
    if left:
        ctx.exit(1)


def _lines(verb: str, paths: list[Path]) -> str:
    return "".join(f"{verb} {path}\n" for path in paths)
