"""The programs that charms expect of a Juju installation: what is put where."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from undercroft_uniter.hostsetup import jujuexec
from undercroft_uniter.machinelock import LOCK_FILE
from undercroft_uniter.runner.environment import JUJU_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

MARK: Final = "written by `undercroft host-setup`"

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64el"}

# A shell reads the first lines, and starts Python with the file; to Python they are a string.
_JUJU_EXEC = """\
#!/bin/sh
''':' # {mark}
exec {python} -ISE "$0" "$@"
'''
{text}

if __name__ == "__main__":
    import sys

    raise SystemExit(main(sys.argv[1:], data={data!r}, lock={lock!r}, undercroft={undercroft!r}))
"""

_JUJUD = """\
#!/bin/sh
# Says which Juju this is, {mark}
case "${{1-}}" in
version | --version)
    echo {version}
    ;;
*)
    echo "ERROR this is Undercroft's stand-in for jujud: it only knows its version" >&2
    exit 2
    ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Program:
    """A file to be put in place, executable; `path` is below the root of the machine."""

    path: PurePosixPath
    content: bytes


def programs(data_dir: Path, *, python: Path | None = None, lock: Path = LOCK_FILE) -> Sequence[Program]:
    """All of them, for the units in that data folder."""
    interpreter = Path(sys.executable) if python is None else python
    undercroft = [str(interpreter), "-m", "undercroft"]
    text = Path(jujuexec.__file__).read_text("utf-8")
    juju_exec = _JUJU_EXEC.format(
        mark=MARK,
        # Without its virtual environment, which it needs nothing of: it starts faster.
        python=shlex.quote(os.path.realpath(interpreter)),
        text=text,
        data=str(data_dir),
        lock=str(lock),
        undercroft=undercroft,
    ).encode()
    jujud = _JUJUD.format(mark=MARK, version=shlex.quote(juju_version())).encode()
    return (
        Program(PurePosixPath("usr/bin/juju-exec"), juju_exec),
        Program(PurePosixPath("usr/bin/juju-run"), juju_exec),
        Program(PurePosixPath("var/lib/juju/tools/machine-0/jujud"), jujud),
    )


def juju_version() -> str:
    """The version of the Juju that we stand for, as jujud writes it."""
    machine = os.uname().machine
    return f"{JUJU_VERSION}-ubuntu-{_ARCHITECTURES.get(machine, machine)}"
