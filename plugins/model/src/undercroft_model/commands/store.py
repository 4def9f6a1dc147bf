"""store: back up, restore and check the SQLite file that the state is kept in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from undercroft_model.commands.frame import OperatorCommand, Refusal, command, say

if TYPE_CHECKING:
    from undercroft_hookspecs.command import Session


class StoreGroup(OperatorCommand, click.Group):
    """Several commands under one name."""


@click.group("store", cls=StoreGroup, epilog="Example: undercroft store backup ~/undercroft.backup")
def store() -> None:
    """Back up, restore and check the state, where it is kept in SQLite."""


@command("backup", example="undercroft store backup ~/undercroft.backup", in_model=False)
@click.argument("file", metavar="FILE")
@click.option("--force", is_flag=True, help="Replace FILE if it is there.")
@click.pass_obj
def backup(session: Session, file: str, force: bool) -> None:
    """Copy the state, as it is at one moment, into FILE; with the agent up or down.

    The copy is complete in that one file, checked, and for its owner alone: it holds what the models hold. The key that
    secrets are encrypted with, charms and resources are not in it.
    """
    from undercroft_model import upkeep

    path = _path(session)
    verdict = upkeep.backup(path, Path(file).absolute(), force=force)
    say(f"{file} has the {verdict.entries} entries of revision {verdict.revision} of {path}")


@command("restore", example="undercroft store restore ~/undercroft.backup", in_model=False)
@click.argument("file", metavar="FILE")
@click.pass_obj
def restore(session: Session, file: str) -> None:
    """Put the state of a backup in place of the present one, which is kept beside it.

    The agent has to be stopped, and FILE is checked before anything is touched.
    """
    from undercroft.clock import SystemClock
    from undercroft_model import upkeep

    path = _path(session)
    source = Path(file).absolute()
    verdict, kept = upkeep.restore(path, source, data_dir=session.data_dir, now=SystemClock().now())
    say(f"{path} has the {verdict.entries} entries of revision {verdict.revision} of {file}")
    if kept is not None:
        say(f"what was there before is {kept}")


@command("check", example="undercroft store check", in_model=False)
@click.pass_obj
def check(session: Session) -> None:
    """Look for damage in the state, with the agent up or down; exits 1 if there is any."""
    from undercroft_model import upkeep

    path = _path(session)
    verdict = upkeep.check(path)
    document = {
        "path": str(path),
        "problems": list(verdict.problems),
        "revision": verdict.revision,
        "entries": verdict.entries,
        "leases": verdict.leases,
    }
    if session.format != "table":
        session.emit(document)
    if verdict.problems:
        listed = "".join(f"\n  {problem}" for problem in verdict.problems)
        remedy = "stop the agent and restore a backup with `undercroft store restore FILE`; the damaged file is kept"
        raise Refusal(f"{path} is damaged:{listed}\n{remedy}")
    if session.format == "table":
        session.emit(document, table=lambda: f"{path} is sound: {verdict.entries} entries, revision {verdict.revision}")


def _path(session: Session) -> Path:
    """Where the state is.

    Raises:
        Refusal: it is not in SQLite.
    """
    scheme = session.store.partition(":")[0]
    if scheme != "sqlite":
        remedy = "`etcdctl snapshot save FILE` backs it up" if scheme == "etcd" else "see what its own tools offer"
        raise Refusal(f"the state is kept by {session.store!r}, and not in SQLite: {remedy}")
    from undercroft_model.sqlite_store import store_path

    return store_path(session.store, session.data_dir)


store.add_command(backup)
store.add_command(restore)
store.add_command(check)
