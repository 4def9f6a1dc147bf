"""Charms that do what no charm should: each comes to the end that Juju would show, and the other units go on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.e2e.machine import OneMachine

pytestmark = pytest.mark.slow

HALF_A_REQUEST = """\
import os, socket, time
at = socket.socket(socket.AF_UNIX)
at.connect(os.environ["JUJU_AGENT_SOCKET_ADDRESS"])
at.send(b"UCT1\\0\\0")
time.sleep(300)
"""
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a]\nc: [*b, *b, *b, *b, *b, *b]\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A charm with one bad hook, and what its unit comes to.

    `fails` is the hook that has failed then, empty if none has; `says` stands in the unit's log.
    """

    hook: str = "start"
    text: str = ""
    first: str = "#!/bin/bash"
    files: dict[str, str] = field(default_factory=dict)
    fails: str = ""
    says: str = ""

    def write(self, folder: Path, name: str) -> Path:
        """Make the charm."""
        source = folder / name
        (source / "hooks").mkdir(parents=True)
        peers = "peers: {cluster: {interface: cluster}}\n"
        (source / "metadata.yaml").write_text(f"name: {name}\nsummary: bad\ndescription: bad\n{peers}")
        script = source / (self.hook if self.hook == "dispatch" else f"hooks/{self.hook}")
        script.write_text(f"{self.first}\n{self.text}\n")
        script.chmod(0o755)
        for path, text in self.files.items():
            (source / path).write_text(text)
        return source


CHARMS = {
    "breeder": Bad(text="for _ in 1 2 3; do setsid sleep 300 & echo $! >>pids; done"),
    "shouter": Bad(text="head -c 40000000 /dev/zero | tr '\\0' x"),
    "mumbler": Bad(text="printf 'caf\\xe9 \\xff\\n'", says="caf\ufffd \ufffd"),
    "suicide": Bad(text="kill -KILL $$", fails="start", says="signal: killed"),
    "deaf": Bad(text="relation-set -r 99 a=b; exit 0", says='ERROR invalid value "99" for option -r'),
    "lame": Bad(
        hook="dispatch",
        text="chmod -x dispatch",  # `deploy` packs none that is not.
        fails="cluster-relation-created",
        says="dispatch is not executable: chmod +x it",
    ),
    "foreign": Bad(first="#!/no/such/python3", fails="start", says="its interpreter, or what it links to, is missing"),
    "windbag": Bad(
        text="status-set active \"$(head -c 10000000 /dev/zero | tr '\\0' x)\"", fails="start", says="exit status 126"
    ),
    "stammerer": Bad(text="python3 half.py & echo $! >>pids; config-get >/dev/null", files={"half.py": HALF_A_REQUEST}),
    "juggler": Bad(
        text='for i in {1..30}; do state-set "k$i=v" & done; wait; juju-log "kept $(state-get | wc -l)"', says="kept 30"
    ),
    "bomber": Bad(
        hook="cluster-relation-created",
        text="relation-set --file bomb.yaml",
        files={"bomb.yaml": BOMB},
        fails="cluster-relation-created",
        says="exit status 1",
    ),
}


def test_bad_charms_end_as_juju_shows_it_and_the_others_go_on(machine: OneMachine) -> None:
    machine.do("model-config", "automatically-retry-hooks=false")
    for name, bad in CHARMS.items():
        machine.do("deploy", str(bad.write(machine.folder, name)))
    machine.do("deploy", "token-source")

    try:
        machine.start()
        machine.until(lambda: not _unsettled(machine), "each unit is at its end", seconds=120)
        said = _said(machine)
    finally:
        _end_daemons(machine.data_dir)

    assert "ran install hook" in said["token-source/0"]
    for name, bad in CHARMS.items():
        wanted = f"hook {bad.fails} of unit {name}/0 failed: {bad.says}" if bad.fails else bad.says
        found = [line[:300] for line in said.get(f"{name}/0", []) if not line.startswith("xxx")]
        assert not wanted or any(_is_in(wanted, line) for line in found), f"{name}: {wanted!r} is not in {found}"


def _unsettled(machine: OneMachine) -> dict[str, str]:
    """How those units are that are not where they are to end."""
    present = {
        name: f"{unit['workload-status']['current']}: {unit['workload-status'].get('message', '')}"
        for name, unit in machine.units().items()
        if unit["juju-status"]["current"] != "executing"
    }
    wanted = {
        f"{name}/0": f'error: hook failed: "{bad.fails}"' if bad.fails else "unknown: " for name, bad in CHARMS.items()
    }
    wanted["token-source/0"] = "active: handing out swordfish"
    return {name: present.get(name, "...") for name, said in wanted.items() if present.get(name) != said}


def _said(machine: OneMachine) -> dict[str, list[str]]:
    """What the units' logs say, by unit."""
    found: dict[str, list[str]] = {}
    for file in machine.data_dir.glob("models/*/debug.log*"):
        for text in file.read_text().splitlines():
            line = json.loads(text)
            found.setdefault(line["entity"], []).append(line["message"])
    return found


def _is_in(wanted: str, line: str) -> bool:
    """With anything between what failed and why, such as the script's path."""
    what, _, why = wanted.rpartition("failed: ")
    return what in line and why in line


def _end_daemons(data: Path) -> None:
    for file in data.glob("models/*/agents/*/charm/pids"):
        for pid in file.read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
