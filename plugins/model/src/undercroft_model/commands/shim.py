"""shim: programs called `juju` and `charmcraft`, so that charms' own test suites run unmodified."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from undercroft_model.commands.frame import Refusal, command, say

if TYPE_CHECKING:
    from undercroft_hookspecs.command import Session

_MARK = "written by `undercroft shim`"

_JUJU = """\
#!/bin/sh
# juju's commands on Undercroft, {mark}
case "$*" in
version | --version)
    exec {undercroft} version --format yaml | sed -n 's/^version: //p'
    ;;
esac
exec {undercroft} "$@"
"""

_CHARMCRAFT = """\
#!/bin/sh
# charmcraft's pack on Undercroft, {mark}
while [ $# -gt 0 ]; do
    case "$1" in
    -q | -v | --quiet | --verbose | --trace) shift ;;
    --verbosity) shift 2 ;;
    --verbosity=*) shift ;;
    *) break ;;
    esac
done
case "${{1-}}" in
pack)
    shift
    exec {undercroft} pack "$@"
    ;;
version | --version | -V)
    echo "charmcraft 3.5 (undercroft)"
    ;;
clean)
    ;;
*)
    echo "charmcraft ${{1-}} is not supported: of charmcraft there is only pack here" >&2
    exit 2
    ;;
esac
"""


@command("shim", example="undercroft shim ~/shim && PATH=~/shim:$PATH tox -e integration", in_model=False)
@click.argument("folder", metavar="DIR")
@click.pass_obj
def shim(session: Session, folder: str) -> None:
    """Write the programs `juju` and `charmcraft` (its pack) into DIR: with DIR first on PATH, both are Undercroft.

    They run the Python and the packages that run this command now.
    """
    undercroft = shlex.join([sys.executable, "-m", "undercroft"])
    programs = {Path(folder, name): text for name, text in (("juju", _JUJU), ("charmcraft", _CHARMCRAFT))}
    for path in programs:
        _check_ours(path)
    Path(folder).mkdir(parents=True, exist_ok=True)
    for path, text in programs.items():
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(text.format(undercroft=undercroft, mark=_MARK))
        fresh.chmod(0o755)
        fresh.replace(path)
        say(f"wrote {path}")


def _check_ours(path: Path) -> None:
    """Refuse to replace a program of somebody else."""
    try:
        is_ours = _MARK.encode() in path.read_bytes()
    except FileNotFoundError:
        return
    if not is_ours:
        raise Refusal(f"{path} is there already, and is not ours: give another folder")
