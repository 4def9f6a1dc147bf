"""The commands `debug-hooks` and `debug-code`."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from undercroft_hookspecs.command import Session
    from undercroft_hookspecs.state import Model


@click.command("debug-hooks", epilog="Example: undercroft debug-hooks mysql/0 config-changed")
@click.argument("unit")
@click.argument("hooks", nargs=-1)
@click.pass_obj
def debug_hooks(session: Session, unit: str, hooks: Sequence[str]) -> None:
    """Run a unit's hooks by hand, in tmux.

    In the place of each hook (of those named, or of all) a window is opened that has the hook's environment and its
    tools. The hook has ended when its shell has, as well as that says; leaving tmux ends the session.
    """
    _open(session, unit, hooks, at="")


@click.command("debug-code", epilog="Example: undercroft debug-code mysql/0 --at=all config-changed")
@click.option("--at", default="all", show_default=True, help="Where to break: JUJU_DEBUG_AT, which ops reads.")
@click.argument("unit")
@click.argument("hooks", nargs=-1)
@click.pass_obj
def debug_code(session: Session, unit: str, hooks: Sequence[str], at: str) -> None:
    """Run a unit's hooks in tmux, where their breakpoints find a terminal."""
    _open(session, unit, hooks, at=at)


def _open(session: Session, unit: str, hooks: Sequence[str], *, at: str) -> None:
    # Late: other commands should not pay for it.
    import msgspec

    from undercroft_uniter.debug.session import session_of
    from undercroft_uniter.debug.window import attach

    folder = _folder(session, unit)
    if shutil.which("tmux") is None:
        raise click.ClickException("there is no tmux here: `apt-get install tmux`")
    file = folder / "debug.json"
    file.write_bytes(msgspec.json.encode(session_of(hooks, at=at)))
    argv = attach(unit, file, folder / "charm")
    for name in ("TMUX", "TMUX_TMPDIR"):
        os.environ.pop(name, None)
    os.execv(argv[0], argv)  # noqa: S606 - Its terminal and its signals are the person's own.


def _folder(session: Session, unit: str) -> Path:
    from undercroft_hookspecs import NotFoundError, NotValidError, UnitName

    try:
        UnitName.parse(unit)
        model = session.run(_model(session))
    except NotValidError as error:
        raise click.UsageError(str(error)) from error
    except NotFoundError as error:
        raise click.ClickException(str(error)) from error
    folder = session.data_dir / "models" / model.uuid / "agents" / f"unit-{unit.replace('/', '-')}"
    if not folder.is_dir():
        raise click.ClickException(f'unit "{unit}" of model "{model.name}" not found on this machine, in {folder}')
    return folder


async def _model(session: Session) -> Model:
    from undercroft_hookspecs.unit_facades import ModelFacade

    async with session.open("model", ModelFacade) as models:
        return await models.model()
