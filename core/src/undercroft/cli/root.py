"""The command `undercroft`: finds its subcommands by name, and imports the one that is run."""

from __future__ import annotations

from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING

import click

from undercroft.cli.options import adopt
from undercroft.cli.summaries import summaries
from undercroft.cli.table import CORE_COMMANDS
from undercroft.plugins.discovery import COMMANDS, EntryPoint, Installed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Root(click.Group):
    """Core's commands by a table, and those of the group `undercroft.commands` by what the metadata of the installed
    distributions says. A name that is taken keeps its first owner: core, then the first distribution by name."""

    @cached_property
    def installed(self) -> Installed:
        """What is installed, scanned once for each run."""
        return Installed.scan()

    @cached_property
    def added(self) -> Mapping[str, EntryPoint]:
        """The commands that distributions add, by name."""
        points = reversed(self.installed.entry_points(COMMANDS))
        return {point.name: point for point in points if point.name not in CORE_COMMANDS}

    def hidden_claims(self) -> Sequence[str]:
        """A sentence for each claim of a command that is somebody else's."""
        sentences = []
        for point in self.installed.entry_points(COMMANDS):
            owner = "core" if point.name in CORE_COMMANDS else self.added[point.name].distribution
            if owner != point.distribution:
                sentences.append(f"the command {point.name!r} of {point.distribution} is hidden: {owner} has that name")
        return sentences

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return sorted({*CORE_COMMANDS, *self.added})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name."""
        if core := CORE_COMMANDS.get(cmd_name):
            found: object = getattr(import_module(core.module), core.attribute)
        elif point := self.added.get(cmd_name):
            found = _load(point)
        else:
            return None
        assert isinstance(found, click.Command)
        return adopt(found)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with a suggestion for a name that is near: click looks for one among loaded commands only."""
        name = args[0]
        known = self.list_commands(ctx)
        if not name.startswith("-") and name not in known and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1)
            ctx.fail(f"there is no command {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in sorted(CORE_COMMANDS.items())])
        said = summaries(self.added.values())
        for distribution in sorted({point.distribution for point in self.added.values()}):
            names = sorted(name for name, point in self.added.items() if point.distribution == distribution)
            told = [(name, said[name]) for name in names if name in said]
            untold = [name for name in names if name not in said]
            with formatter.section(f"Commands of {distribution}"):
                if told:
                    formatter.write_dl(told)
                if untold:
                    formatter.write_text(f"{'and ' if told else ''}{', '.join(untold)}")

    def invoke(self, ctx: click.Context) -> None:
        """Run the subcommand. What it returns is of no consequence: it exits with `ctx.exit` or by an error."""
        super().invoke(ctx)


def root() -> Root:
    """Make the command."""
    return Root(
        name="undercroft",
        help="The host agent that you extend with pip.",
        epilog="Each command explains itself: undercroft COMMAND --help",
        context_settings={"help_option_names": ["-h", "--help"]},
        params=[
            click.Option(
                ["--version"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_show_version,
                help="Show the version, as `undercroft version` does.",
            )
        ],
    )


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from undercroft.cli.version import our_version

        click.echo(f"undercroft {our_version()}")
        ctx.exit()


def _load(point: EntryPoint) -> click.Command:
    try:
        found = point.load()
    # This is the edge to code of others: a command that cannot be imported must say whose it is.
    except Exception as error:
        raise click.ClickException(
            f"the command {point.name!r} of {point.distribution} cannot be loaded ({point.value}): "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, click.Command):
        raise click.ClickException(
            f"the command {point.name!r} of {point.distribution} is not a click command but a {type(found).__name__}"
        )
    return found
