"""What --debug shows: where an error came from."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from undercroft.plugins import Registry


def show(error: BaseException) -> None:
    """Write an error's traceback to stderr."""
    click.echo("".join(traceback.format_exception(error)), err=True, nl=False)


def show_broken(registry: Registry) -> None:
    """Write the traceback of each broken plugin."""
    for plugin in registry.plugins:
        if plugin.error is not None:
            click.echo(f"plugin {plugin.name!r} is broken:", err=True)
            show(plugin.error)
