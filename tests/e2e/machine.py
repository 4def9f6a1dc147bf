"""One machine: a data folder, its agent, which may be killed at any moment, and an operator's commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from plugins.etcd.tests.cluster import keeper

PATIENCE_SECONDS = 60.0
CHARMS = Path(__file__).parents[1] / "charms"


class Operator:
    """An operator's commands on one machine, and what they show; `within` is what each command line begins with."""

    def __init__(self, folder: Path, *, within: Sequence[str] = ()) -> None:
        self.folder, self.data_dir = folder, folder / "data"
        self._within = within
        self._log = folder / "agent.log"
        foreign = ("UNDERCROFT", "NOTIFY", "WATCH", "JUJU")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
            "UNDERCROFT_DATA": str(self.data_dir),
            "UNDERCROFT_CHARMS": str(CHARMS),
        }

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command."""
        return subprocess.run(
            self._command(*words),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def do(self, *words: str) -> str:
        """Run a command that has to succeed; what it printed."""
        done = self.run(*words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}\n{self.log()[-3000:]}"
        return done.stdout

    def ask(self, *words: str) -> Any:  # Any: JSON.
        """Run a command that has to succeed, and read its JSON."""
        return json.loads(self.do(*words, "--format", "json"))

    def log(self) -> str:
        """What the agents of this machine have logged."""
        return self._log.read_text() if self._log.exists() else ""

    def units(self) -> dict[str, Mapping[str, Any]]:  # Any: JSON.
        """The status of all units, subordinates among them."""
        found: dict[str, Mapping[str, Any]] = {}  # as above
        for application in self.ask("status")["applications"].values():
            for name, unit in (application.get("units") or {}).items():
                found[name] = unit
                found.update(unit.get("subordinates") or {})
        return found

    def messages(self) -> dict[str, str]:
        """What each unit's charm says, of units whose agent is idle; `...` of the others."""
        return {
            name: (
                f"{unit['workload-status']['current']}: {unit['workload-status'].get('message', '')}"
                if unit["juju-status"]["current"] == "idle"
                else "..."
            )
            for name, unit in self.units().items()
        }

    def _command(self, *words: str) -> Sequence[str]:
        return (*self._within, sys.executable, "-m", "undercroft", *words)


class OneMachine(Operator):
    """A machine, with SQLite unless its config says otherwise, and its agent."""

    def __init__(self, folder: Path, *, within: Sequence[str] = ()) -> None:
        super().__init__(folder, within=within)
        self.agent: subprocess.Popen[bytes] | None = None
        self._launched = 0

    def start(self, *options: str) -> None:
        """Start the agent, and return when it is ready."""
        self.launch(*options)
        self.until_ready()

    def launch(self, *options: str) -> None:
        """Start the agent, and do not wait until it is ready."""
        self._launched = len(self.log())
        with self._log.open("ab") as log:
            argv = (*keeper(), *self._command("agent", *options))
            self.agent = subprocess.Popen(argv, env=self.environment, stderr=log, stdout=log)

    def until_ready(self) -> None:
        """Wait until the agent that was launched last is ready."""
        agent = self.agent
        assert agent is not None
        self.until(lambda: '"ready: ' in self.log()[self._launched :] or agent.poll() is not None, "the agent is ready")
        assert agent.poll() is None, self.log()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal the agent, and wait for its end."""
        assert self.agent is not None
        self.agent.send_signal(number)
        try:
            return self.agent.wait(PATIENCE_SECONDS)
        finally:
            self.agent.kill()
            self.agent.wait()
            self.agent = None

    def until_settled(self, **wanted: str) -> None:
        """Wait until these units (`app_0` for app/0; `_` for `-` in names) are idle and say this, and no others are."""
        expected = {_unit(name): said for name, said in wanted.items()}
        self.until(lambda: self.messages() == expected, f"the units say {expected}")

    def until(self, condition: Callable[[], object], what: str = "so", seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until a condition holds."""
        give_up = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > give_up:
                state = self.messages() if self.data_dir.exists() else ""
                raise AssertionError(f"it never came that {what}; {state}\n{self.log()[-5000:]}")
            time.sleep(0.1)


def _unit(name: str) -> str:
    application, _, number = name.rpartition("_")
    return f"{application.replace('_', '-')}/{number}"
