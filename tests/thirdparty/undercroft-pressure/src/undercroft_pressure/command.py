"""`undercroft pressure`: what the kernel measures now. It needs no agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from undercroft_hookspecs import Session


@click.command()
@click.pass_obj
def pressure(session: Session) -> None:
    """Show how much of the time this machine's work waits, and for what."""
    from pathlib import Path

    from undercroft_pressure.kernel import read
    from undercroft_pressure.plugin import Config

    stalled = read(Path(session.config(Config).folder))

    def table() -> str:
        lines = [f"{resource:<8}  {percent:6.1f}%" for resource, percent in stalled.items()]
        return "\n".join(["resource  stalled", *lines])

    session.emit(dict(stalled), table=table)
