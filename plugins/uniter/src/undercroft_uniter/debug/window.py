"""Run a hook in a window of a debug session.

In the hook's place a small script is run, with the hook's environment and its tools. It opens a window, and waits until
that has ended: the window holds a FIFO open for as long as it lives, and writes its exit status there at the end.
"""

from __future__ import annotations

import shlex
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from undercroft.files import in_thread
from undercroft_uniter.debug.session import TMUX, is_open
from undercroft_uniter.runner.process import Command

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft_hookspecs import UnitAgent
    from undercroft_uniter.debug.session import DebugSession
    from undercroft_uniter.paths import UnitPaths

_SERVER: Final = r"""
set -u
folder=$1 unit=$2 name=$3
unset LS_COLORS LESSOPEN LESSCLOSE
export -n PWD OLDPWD SHLVL
mkfifo -m 600 "$folder/ended" || exit 1
( umask 077; export -p > "$folder/environment" ) || exit 1
printf -v window 'exec /bin/bash %q' "$folder/window"
tmux -L undercroft new-window -t "=$unit:" -n "$name" "$window" || exit 1
read -r status < "$folder/ended" || { echo "the window of the debug session was closed" >&2; exit 1; }
exit "$status"
"""
_BEGIN: Final = r"""
exec 9> "${0%/*}/ended"
. "${0%/*}/environment"
export JUJU_DEBUG="${0%/*}"
cd "$CHARM_DIR" || exit 1
"""
_SHELL: Final = r"""
cat "$JUJU_DEBUG/welcome"
/bin/bash --noprofile --rcfile "$JUJU_DEBUG/rc" -i 9>&-
echo "$?" >&9
"""
_RC: Final = r"""
[ -f ~/.bashrc ] && . ~/.bashrc
. "$JUJU_DEBUG/environment"
PS1="$JUJU_UNIT_NAME:${JUJU_DISPATCH_PATH##*/} % "
"""
_WELCOME: Final = """\
This is a debug session of {unit}, in the place of its {name}, which is
{what}

Its environment is set, and its tools can be called. To run it:

    {run}

Changes are kept when the shell ends with status 0, and dropped with another
(`exit 1`): then the unit is in error, and `undercroft resolved` runs it again.

"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Debugger:
    """Puts windows in the place of scripts, while somebody is there to see them."""

    agent: UnitAgent
    paths: UnitPaths

    @asynccontextmanager
    async def window(
        self, session: DebugSession | None, name: str, script: Path | None, command: Command
    ) -> AsyncIterator[Command | None]:
        """What to run in the place of `command`; None: it is not for that session, or nobody looks at it.

        A hook that the charm has not got has a window too, unless the session is for breakpoints.
        """
        unit = str(self.agent.unit)
        is_wanted = session is not None and session.matches(name) and not (session.at and script is None)
        if session is None or not is_wanted or not await is_open(self.agent.process, unit):
            yield None
            return
        folder = await in_thread(_prepare, self.paths, unit, name, script, session)
        try:
            argv = ("/bin/bash", "-s", "--", str(folder), unit, name)
            yield Command(argv=argv, environment=command.environment, cwd=command.cwd, stdin=_SERVER.encode())
        finally:
            await in_thread(shutil.rmtree, folder, ignore_errors=True)


def _prepare(paths: UnitPaths, unit: str, name: str, script: Path | None, session: DebugSession) -> Path:
    paths.own.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="debug-", dir=paths.own))
    run = f"./{script.relative_to(paths.charm)}" if script is not None else "(there is nothing to run)"
    what = str(script) if script is not None else "not implemented by the charm"
    window = _BEGIN + _SHELL
    if session.at and script is not None:
        at, path = shlex.quote(session.at), shlex.quote(str(script))
        window = f'{_BEGIN}export JUJU_DEBUG_AT={at}\n{path} 9>&-\necho "$?" >&9\n'
    (folder / "window").write_text(window)
    (folder / "rc").write_text(_RC)
    (folder / "welcome").write_text(_WELCOME.format(unit=unit, name=name, what=what, run=run))
    return folder


def attach(unit: str, file: Path, folder: Path) -> list[str]:
    """The command that makes a session, shows it, and ends it with whoever looks at it."""
    tmux = shlex.join(TMUX)
    text = (
        'trap \'rm -f -- "$2"; ' + tmux + ' kill-session -t "=$1" 2>/dev/null\' EXIT\n'
        'cd "$3" || exit 1\n'
        f'{tmux} new-session -A -s "$1" -n session\n'
    )
    return ["/bin/bash", "-c", text, "debug-hooks", unit, str(file), str(folder)]
