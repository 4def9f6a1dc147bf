"""`undercroft version`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from undercroft.plugins.discovery import Installed

if TYPE_CHECKING:
    from undercroft.cli.session import CommandSession

JUJU_VERSION = "3.6.9"
"""The Juju whose commands, hook tools and hook environment ours stand for."""

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64el"}


def juju_version() -> str:
    """The Juju version that we stand for, as its own client writes it."""
    machine = os.uname().machine
    return f"{JUJU_VERSION}-ubuntu-{_ARCHITECTURES.get(machine, machine)}"


def our_version() -> str:
    """The version of the distribution `undercroft`."""
    return Installed.scan().version("undercroft") or "unknown"


@click.command(epilog="Example: undercroft version --format json")
@click.option("--all", "everything", is_flag=True, help="For Juju's clients, which ask so; it adds nothing.")
@click.pass_obj
def version(session: CommandSession, everything: bool) -> None:
    """Show the version of Undercroft.

    With --format json or yaml: `version` is the Juju version that Undercroft stands for, as clients of Juju expect it,
    and `undercroft` is our own beside it.
    """
    if session.format == "table":
        click.echo(f"undercroft {our_version()}")
    else:
        session.emit({"version": juju_version(), "undercroft": our_version()})
