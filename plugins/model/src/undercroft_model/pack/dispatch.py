"""The `dispatch` script that a packed charm is entered by."""

from __future__ import annotations

import shlex

FLAT = """\
#!/bin/sh
# Runs the charm's code with the packages in venv/, for the Python that they were installed for.
charm=$(dirname "$(realpath "$0")")
python=$(command -v {python} || command -v python3) || {{ echo "there is no {python} here" >&2; exit 127; }}
JUJU_DISPATCH_PATH="${{JUJU_DISPATCH_PATH:-$0}}" PYTHONPATH="$charm/lib:$charm/venv" exec "$python" "$charm"/{entry}
"""

VENV = """\
#!/bin/sh
# Runs the charm's code in venv/. Which interpreter that is of depends on the machine: it is settled at the first run.
charm=$(dirname "$(realpath "$0")")
python=$charm/venv/bin/python
if ! [ -x "$python" ]; then
    found=$(command -v {python} || command -v python3) || {{ echo "there is no {python} here" >&2; exit 127; }}
    found=$("$found" -c 'import sys; print(sys._base_executable or sys.executable)') || exit
    mkdir -p "$charm/venv/bin" &&
        printf 'home = %s\\ninclude-system-site-packages = false\\n' "$(dirname "$found")" >"$charm/venv/pyvenv.cfg" &&
        ln -sf "$found" "$python" && ln -sf python "$charm/venv/bin/python3" || exit
fi
JUJU_DISPATCH_PATH="${{JUJU_DISPATCH_PATH:-$0}}" PYTHONPATH="$charm/lib:$charm/src" exec "$python" "$charm"/{entry}
"""


def dispatch_script(*, entry: str, version: str, is_venv: bool) -> str:
    """The script that runs the charm's `entry` with Python `version` (3.11), be its packages in a venv or a folder."""
    return (VENV if is_venv else FLAT).format(entry=shlex.quote(entry), python=f"python{version}")
