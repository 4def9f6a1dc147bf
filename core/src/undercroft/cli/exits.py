"""What a command's end means: the exit codes, and how an error becomes one of them and a message for people."""

from __future__ import annotations

import os
import sys
from enum import IntEnum

import click

from undercroft_hookspecs.errors import NotFoundError, UndercroftError


class ExitCode(IntEnum):
    """The exit codes of the agent's own commands."""

    DONE = 0
    FAILED = 1
    MISUSED = 2
    NOT_RUNNING = 3
    NO_SUCH_THING = 4
    TIMED_OUT = 5
    RESTART = 75  # The agent asks systemd to start it again.
    BAD_CONFIG = 78
    INTERRUPTED = 130  # As a shell reports a command that SIGINT ended.


class NotRunningError(UndercroftError):
    """No agent answers on this data folder."""


class RefusedError(UndercroftError):
    """The agent answered with an error; `kind` is its class there."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def exit_code(error: BaseException) -> ExitCode:
    """The exit code for an error that ended a command."""
    kind = error.kind if isinstance(error, RefusedError) else ""
    if isinstance(error, NotRunningError):
        return ExitCode.NOT_RUNNING
    if isinstance(error, NotFoundError) or kind == "NotFoundError":
        return ExitCode.NO_SUCH_THING
    if isinstance(error, TimeoutError) or kind == "TimeoutError":
        return ExitCode.TIMED_OUT
    if _is_config_error(error):
        return ExitCode.BAD_CONFIG
    return ExitCode.FAILED


def message(error: BaseException) -> str:
    """What happened, for people. An error that nobody foresaw says how to learn more."""
    if isinstance(error, TimeoutError) and not error.strerror:
        return str(error) or "it took too long and was given up"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, UndercroftError):
        return str(error) or type(error).__name__
    said = f": {error}" if str(error) else ""
    return f"{type(error).__name__}{said} (a defect; with --debug the command shows where)"


def complain(said: str) -> None:
    """Write an error to stderr; in colour on a terminal, unless $NO_COLOR is set."""
    mark = click.style("Error", fg="red", bold=True)
    click.echo(f"{mark}: {said}", err=True, color=False if os.environ.get("NO_COLOR") else None)


def _is_config_error(error: BaseException) -> bool:
    # By way of sys.modules: who has not read a config has not paid for msgspec either.
    settings = sys.modules.get("undercroft.settings")
    return settings is not None and isinstance(error, settings.ConfigError)
