"""The agent's systemd unit file, which is shipped in this package."""

from __future__ import annotations

import shutil
import sys
from importlib.resources import files
from pathlib import Path


def unit_text(*, command: Path, data_dir: Path) -> str:
    """The unit file for an agent that is started as `command` and keeps its data in `data_dir`."""
    text = (files("undercroft.agent") / "undercroft.service").read_text("utf-8")
    # `$` begins a variable in a command, and only there.
    command_text = _escaped(command).replace("$", "$$")
    return text.replace("@UNDERCROFT@", command_text).replace("@DATA@", _escaped(data_dir))


def installed_command() -> Path:
    """Where the command `undercroft` of this installation is."""
    beside = Path(sys.executable).with_name("undercroft")
    found = beside if beside.exists() else Path(shutil.which("undercroft") or beside)
    return found.absolute()


def _escaped(path: Path) -> str:
    """Written so that systemd takes it as it is: `%` begins a specifier, and a space ends a word."""
    return str(path).replace("\\", "\\\\").replace("%", "%%").replace(" ", "\\x20").replace('"', '\\"')
