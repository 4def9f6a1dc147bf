"""Run one command line, and turn however it ends into a message and an exit code."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

import click

from undercroft.cli.exits import ExitCode, complain, exit_code, message
from undercroft.cli.root import root
from undercroft.cli.session import CommandSession

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAME = "undercroft"
_COMPLETION = "_UNDERCROFT_COMPLETE"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (default: the process's own) and return the exit code; no error leaves it."""
    arguments = sys.argv[1:] if arguments is None else arguments
    session = CommandSession(os.environ)
    try:
        code = _run(list(arguments), session)
        if sys.stdout is not None:  # It is None where the caller has closed it.
            sys.stdout.flush()
        return code
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    except click.ClickException as error:
        if session.debug or _wants_debug(arguments):
            _show_traceback(error)
        error.show()
        return error.exit_code
    # The edge to people: whatever a command raises ends as one message, and as its traceback only if asked for.
    except Exception as error:
        if isinstance(error, BrokenPipeError) and _has_no_reader():
            return _reader_left()
        if session.debug:
            _show_traceback(error)
        complain(message(error))
        return exit_code(error)


def _run(arguments: list[str], session: CommandSession) -> int:
    # Not click's own main(): that makes a failure of a reader that leaves early.
    command = root()
    if wanted := os.environ.get(_COMPLETION):
        from click.shell_completion import shell_complete

        return shell_complete(command, {"obj": session}, _NAME, _COMPLETION, wanted)
    try:
        with command.make_context(_NAME, arguments, obj=session) as context:
            command.invoke(context)
    except click.exceptions.Exit as end:
        return end.exit_code
    return ExitCode.DONE


def _has_no_reader() -> bool:
    """Whether it is our output that is broken, and not a pipe or socket of the command's own."""
    if sys.stdout is None:
        return False
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _reader_left() -> ExitCode:
    """Whoever read our output has had enough of it (`| head`): end in silence, as a success."""
    # What is still buffered would be flushed at exit, and complain there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.DONE


def _wants_debug(arguments: Sequence[str]) -> bool:
    """Whether --debug was given to a command that could not even be loaded."""
    words = list(arguments)
    return "--debug" in (words[: words.index("--")] if "--" in words else words)


def _show_traceback(error: BaseException) -> None:
    from undercroft.cli.tracebacks import show

    show(error)
