"""The commands that ask the running agent about its workers, or have one restarted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft.cli.session import CommandSession

_COMPLETION_SECONDS = 0.2


def _worker_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """The running agent's workers, for the shell's completion."""
    from undercroft.cli.control import ask

    session: CommandSession = ctx.obj
    try:
        answer = ask(session.data_dir, {"request": "graph"}, patience=_COMPLETION_SECONDS)
    # The edge to the shell: whatever is the matter, a completion that fails completes nothing, and says nothing.
    except Exception:
        return []
    manifolds = answer.get("manifolds")
    return [name for name in manifolds if name.startswith(incomplete)] if isinstance(manifolds, dict) else []


@click.command(epilog="Example: undercroft report disk-manager --format json")
@click.argument("name", required=False, shell_complete=_worker_names)
@click.pass_obj
def report(session: CommandSession, name: str | None) -> None:
    """Show what the running agent's workers report, or one of them: its state, its last error, its own words."""
    answer = session.ask({"request": "report"})
    document: object = answer if name is None else _one(answer, name)
    session.emit(document, table=lambda: _readable(document))


@click.command(epilog="Example: undercroft explain disk-manager")
@click.argument("name", shell_complete=_worker_names)
@click.pass_obj
def explain(session: CommandSession, name: str) -> None:
    """Say why a worker is in the state that it is in: what it waits for, what went wrong, when it is tried again."""
    answer = session.ask({"request": "explain", "name": name})
    sentences = answer.get("sentences")
    lines = sentences if isinstance(sentences, list) else []
    session.emit(answer, table=lambda: "\n".join(map(str, lines)) or f"{name} is {answer.get('state')}.")


@click.command(epilog="Example: undercroft transitions --format json")
@click.pass_obj
def transitions(session: CommandSession) -> None:
    """Show the last hundred things that happened to the agent's workers, the newest last."""
    from undercroft.cli.output import rows_table

    found = session.ask({"request": "transitions"}).get("transitions")
    rows = found if isinstance(found, list) else []
    session.emit(rows, table=lambda: rows_table(rows, ("at", "path", "kind", "error")))


@click.command(epilog="Example: undercroft restart disk-manager")
@click.argument("name", shell_complete=_worker_names)
@click.pass_obj
def restart(session: CommandSession, name: str) -> None:
    """Stop a worker of the running agent and start it again, out of quarantine too."""
    session.ask({"request": "restart", "name": name})
    session.emit({"restarted": name}, table=lambda: f"{name} was restarted.")


def _one(answer: Mapping[str, object], name: str) -> object:
    from undercroft.settings import suggestion
    from undercroft_hookspecs.errors import NotFoundError

    manifolds = answer.get("manifolds")
    known = manifolds if isinstance(manifolds, dict) else {}
    if name not in known:
        raise NotFoundError(name, f"the agent has no worker called {name!r}{suggestion(name, known)}")
    return known[name]


def _readable(document: object) -> str:
    from undercroft.cli.output import rendered

    return rendered(document, "yaml")
