"""The options that every leaf command has: where the data and the config are, which model, how to answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

FORMATS = ("table", "json", "yaml")

# What a command's own option of the same flag tells the session too: it means the same thing there.
_SHARED = {"--model": "model", "--format": "format", "--debug": "debug"}

_ADOPTED = "_undercroft_adopted"


def adopt(command: click.Command) -> click.Command:
    """Give a command core's options, or each of its subcommands if it is a group; doing it again changes nothing.

    An option that the command declares itself replaces core's of the same flag.
    """
    if getattr(command, _ADOPTED, False):
        return command
    setattr(command, _ADOPTED, True)
    if isinstance(command, click.Group):
        # On the object: a group of others may find its subcommands in a way of its own.
        command.get_command = partial(_adopted, command.get_command)  # type: ignore[method-assign]
        return command
    taken = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}
    for parameter in command.params:
        for flag in parameter.opts:
            if flag in _SHARED:
                parameter.callback = _observed(parameter.callback, _SHARED[flag])
    command.params.extend(_core_options(taken))
    return command


def _adopted(
    get: Callable[[click.Context, str], click.Command | None], ctx: click.Context, name: str
) -> click.Command | None:
    found = get(ctx, name)
    return adopt(found) if found else None


# Any: the keyword arguments of click.Option, which have many types.
_CORE: Mapping[tuple[str, ...], Mapping[str, Any]] = {
    ("--data",): {"metavar": "DIR", "help": "The data folder (else $UNDERCROFT_DATA, else the usual place)."},
    ("-c", "--config"): {
        "metavar": "FILE",
        "help": "The config (else $UNDERCROFT_CONFIG, else undercroft.toml in the data folder).",
    },
    ("--model",): {"metavar": "NAME", "help": "The model (else $UNDERCROFT_MODEL, else the current one)."},
    ("--format",): {
        "type": click.Choice(FORMATS),
        "help": "A table for people (the default), or for programs.",
    },
    ("--debug",): {"is_flag": True, "help": "Show the traceback of an error."},
}


def _core_options(taken: Collection[str]) -> Iterator[click.Option]:
    for flags, settings in _CORE.items():
        free = [flag for flag in flags if flag not in taken]
        name = flags[-1].removeprefix("--")
        if free:
            yield click.Option([*free, f"core_{name}"], expose_value=False, callback=_observed(None, name), **settings)


# Any: a parameter's callback takes and returns whatever its type makes of the command line.
def _observed(inner: Callable[..., Any] | None, name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that tells the session the value, after the option's own callback has seen it."""

    def callback(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if inner is not None:
            value = inner(ctx, parameter, value)
        if value and ctx.obj is not None:
            ctx.obj.options[name] = value
        return value

    return callback
