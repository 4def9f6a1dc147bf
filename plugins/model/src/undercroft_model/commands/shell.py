"""ssh, scp: for units on this host, without any SSH."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from undercroft_model.commands.frame import Refusal, at_desk, command, tolerated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.command import Session
    from undercroft_model.operator import Desk

# Of OpenSSH's client: those that take a value in a word of its own.
_WITH_VALUE = frozenset("bcDEeFIiJLlmOopQRSWw")


@command(
    "ssh",
    example="undercroft ssh mysql/0 'df -h'",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("target")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[OPENSSH OPTIONS] [COMMAND...]")
@tolerated("--no-host-key-checks", is_flag=True)
@tolerated("--proxy", is_flag=True)
@tolerated("--pty")
@tolerated("--container")
@tolerated("--remote", is_flag=True)
@click.pass_obj
def ssh(session: Session, target: str, words: Sequence[str]) -> None:
    """Run a command where a unit or machine is, or a shell. It has to be this host; a user (ubuntu@...) is passed over.

    The command is run by /bin/sh in the home folder, as the user that runs this.
    """
    _check_here(session, target.rpartition("@")[2])
    command_words = _without_options(words)
    os.chdir(Path.home())
    if command_words:
        # As ssh has it: the words are one line for the shell at the other end.
        _become(["/bin/sh", "-c", " ".join(command_words)])
    _become([os.environ.get("SHELL", "/bin/sh"), "-i"])


@command(
    "scp",
    example="undercroft scp mysql/0:/var/log/mysql/error.log .",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, required=True, metavar="[SCP OPTIONS] SOURCE... TARGET")
@tolerated("--no-host-key-checks", is_flag=True)
@tolerated("--proxy", is_flag=True)
@tolerated("--container")
@click.pass_obj
def scp(session: Session, words: Sequence[str]) -> None:
    """Copy files from or to where a unit or machine is: [[USER@]TARGET:]PATH. It has to be this host."""
    paths = _without_options(words)
    if len(paths) < 2:
        raise Refusal("expected at least two paths: the sources and the target")
    recursive = any(word.startswith("-") and "r" in word for word in words[: len(words) - len(paths)])
    for place in {path.partition(":")[0] for path in paths if _is_remote(path)}:
        _check_here(session, place.rpartition("@")[2])
    local = [_home(path.partition(":")[2]) if _is_remote(path) else path for path in paths]
    _become(["cp", *(["-r"] if recursive else []), "--", *local])


def _is_remote(path: str) -> bool:
    """`mysql/0:path`: a colon, and what is before it is no path."""
    place, colon, _ = path.partition(":")
    return bool(colon) and not place.startswith((".", "/"))


def _home(path: str) -> str:
    """A path at the other end is meant from the home folder there."""
    return str(Path.home() / path)


def _without_options(words: Sequence[str]) -> Sequence[str]:
    """The words behind OpenSSH's options."""
    rest = list(words)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option == "--":
            break
        if len(option) == 2 and option[1] in _WITH_VALUE and rest:
            rest.pop(0)
    return rest


def _check_here(session: Session, target: str) -> None:
    async def work(desk: Desk) -> tuple[str, str]:
        from undercroft_model.commands.lookup import host_of, unit_called

        machine = target if "/" not in target else (await unit_called(desk, target)).machine
        return await host_of(desk, machine), str(desk.operator.host)

    there, here = at_desk(session, work)
    if there != here:
        raise Refusal(f"{target} is on another host ({there}): log in there and run this again")


def _become(argv: Sequence[str]) -> NoReturn:
    """Be that program from here on: so its exit code, its terminal and its signals are its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606 - argv lists, and no process of ours is left to supervise it.
    except OSError as error:
        raise Refusal(f"{shlex.join(argv)}: {error.strerror}") from error
