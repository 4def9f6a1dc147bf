"""What all of the operator's commands have in common: juju's options, juju's way to refuse, and the way to the model.

Juju's clients read stderr: what failed is `ERROR` and one line, `(not found)` behind it where there is no such thing.
Exit codes are juju's: 0, 1 where it failed, 2 for a command line that is not understood.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from undercroft_hookspecs.command import Session
    from undercroft_model.operator import Desk, Operator

T = TypeVar("T")
# Any: a command's function takes whatever its parameters are.
F = TypeVar("F", bound="Callable[..., Any]")

FORMATS = ("table", "tabular", "json", "yaml")
NOT_FOUND = "(not found)"


class Refusal(click.ClickException):
    """A command failed, and says why in one message."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Write it to stderr, as juju does."""
        mark = click.style("ERROR", fg="red", bold=True)
        color = False if os.environ.get("NO_COLOR") else None
        click.echo(f"{mark} {self.message}", file=file, err=file is None, color=color)


class OperatorCommand(click.Command):
    """A command whose errors are refusals in juju's words."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        try:
            return super().invoke(ctx)
        # The edge to people: what the model refuses is a message, with its cause for --debug.
        except Exception as error:
            refusal = _refused(error)
            if refusal is None:
                raise
            raise refusal from error


# Any: the attributes of click.command, which have many types.
def command(
    name: str, *, example: str, in_model: bool = True, formats: Sequence[str] = FORMATS, **attrs: Any
) -> Callable[[F], OperatorCommand]:
    """Make a function one of the operator's commands; `example` is how its help ends.

    Without `formats` it declares `--format` itself.
    """

    def decorate(function: F) -> OperatorCommand:
        options = [*(_MODEL if in_model else ()), *([_format(formats)] if formats else []), *_TOLERATED]
        for option in reversed(options):
            function = option(function)
        return click.command(name, cls=OperatorCommand, epilog=f"Example: {example}", **attrs)(function)

    return decorate


def tolerated(*flags: str, is_flag: bool = False) -> Callable[[F], F]:
    """An option that is taken for the sake of clients of juju, and means nothing here."""
    return click.option(*flags, is_flag=is_flag, multiple=not is_flag, expose_value=False, hidden=True)


def operate(session: Session, work: Callable[[Operator], Coroutine[object, object, T]]) -> T:
    """Open the model and do some work on it."""

    async def main() -> T:
        from undercroft_model.operator import Operator

        async with session.open("model", Operator) as operator:
            return await work(operator)

    return session.run(main())


def at_desk(session: Session, work: Callable[[Desk], Coroutine[object, object, T]]) -> T:
    """Do some work on the chosen model."""

    async def main(operator: Operator) -> T:
        return await work(await operator.desk())

    return operate(session, main)


async def tidy(desk: Desk) -> None:
    """Remove what can be removed by now."""
    from undercroft_model.commands.progress import progress

    async with progress("Removing", clock=desk.operator.clock):
        await desk.reap()


def say(text: str) -> None:
    """Tell a person what is done, on stderr, where it is in no program's way."""
    click.echo(text, err=True)


def pairs(words: Sequence[str], *, what: str) -> dict[str, str]:
    """Words of the form KEY=VALUE; `=@FILE` takes the value from a file."""
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise click.UsageError(f'expected {what} as "key=value", got "{word}"')
        found[key] = read_text(value[1:]) if value.startswith("@") else value
    return found


def attached_storage(texts: Sequence[str], units: int) -> list[str]:
    """What `--attach-storage` names, for the one unit that it is for."""
    names = [name for text in texts for name in listed(text)]
    if names and units != 1:
        raise Refusal("--attach-storage cannot be used with -n")
    return names


def listed(text: str | None) -> list[str]:
    """The parts of a list with commas."""
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def read_bytes(path: str) -> bytes:
    """The content of a file, `-` being stdin."""
    if path == "-":
        return sys.stdin.buffer.read()
    return Path(path).expanduser().read_bytes()


def read_text(path: str) -> str:
    """The content of a file of text."""
    try:
        return read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise Refusal(f"{path}: is not UTF-8 at byte {error.start}") from error


def by_lines(document: Mapping[str, object]) -> str:
    """A document as YAML, for what juju shows as YAML to people, too."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(dict(document), Dumper=dumper, sort_keys=False, allow_unicode=True, default_flow_style=False)
    return text.rstrip("\n")


def _format(formats: Sequence[str]) -> Callable[[F], F]:
    return click.option(
        "--format", expose_value=False, type=click.Choice(formats), help="A table for people, or for programs."
    )


_MODEL = (
    click.option(
        "-m",
        "--model",
        expose_value=False,
        metavar="NAME",
        help="The model (else $UNDERCROFT_MODEL, else the current one).",
    ),
)
_TOLERATED = (
    tolerated("-q", "--quiet", is_flag=True),
    tolerated("-v", "--verbose", is_flag=True),
    tolerated("--show-log", is_flag=True),
    tolerated("--logging-config"),
    tolerated("-B", "--no-browser-login", is_flag=True),
)


def _refused(error: Exception) -> Refusal | None:
    """What is said of an error that was to be expected; None for all others."""
    from undercroft_hookspecs.errors import (
        AlreadyExistsError,
        NotFoundError,
        NotValidError,
        UndercroftError,
    )

    if isinstance(error, NotFoundError):
        return Refusal(f"{error} {NOT_FOUND}")
    if isinstance(error, NotValidError | AlreadyExistsError):
        return Refusal(str(error))
    # What other packages make of their own errors (a config that cannot be used, an agent that is not there) is core's.
    if isinstance(error, UndercroftError) and type(error).__module__.startswith("undercroft_"):
        return Refusal(str(error) or type(error).__name__)
    if isinstance(error, OSError) and error.strerror and not isinstance(error, TimeoutError | BrokenPipeError):
        return Refusal(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    return None
