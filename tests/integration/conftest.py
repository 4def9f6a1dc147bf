"""A real agent in a process of its own, with plugins that a test writes down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

PATIENCE_SECONDS = 20.0

PRELUDE = """
import asyncio, os, signal
import msgspec
from undercroft import NoOpWorker, SimpleWorker
from undercroft_hookspecs import *
"""


class Agents:
    """Writes plugins, runs `undercroft agent` and other commands on one data folder, and leaves no process behind."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data_dir, self.site = folder, folder / "data", folder / "site"
        self.config_file = folder / "undercroft.toml"
        self.config_file.write_text("")
        self.site.mkdir()
        self.environment = {
            **{
                name: value
                for name, value in os.environ.items()
                if not name.startswith(("UNDERCROFT", "NOTIFY", "WATCH"))
            },
            "PYTHONPATH": str(self.site),
            "UNDERCROFT_DATA": str(self.data_dir),
            "UNDERCROFT_CONFIG": str(self.config_file),
            "UNDERCROFT_PLUGINS": "none",
        }
        self._running: list[subprocess.Popen[bytes]] = []

    def plugin(self, name: str, source: str) -> None:
        """A distribution with one plugin, as pip would leave it; only such plugins are loaded."""
        info = self.site / f"undercroft_{name}-1.0.dist-info"
        info.mkdir()
        headers = ["Metadata-Version: 2.1", f"Name: undercroft-{name}", "Version: 1.0"]
        headers.append("Requires-Dist: undercroft-hookspecs>=1.0,<2")
        (info / "METADATA").write_text("\n".join(headers) + "\n")
        (info / "entry_points.txt").write_text(f"[undercroft.plugins]\n{name} = written_{name}\n")
        (self.site / f"written_{name}.py").write_text(PRELUDE + dedent(source))
        self.environment["UNDERCROFT_PLUGINS"] += f",{name}"

    def command(self, *words: str) -> list[str]:
        """`undercroft` with these words, as a command line."""
        return [sys.executable, "-m", "undercroft", *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*words), env=self.environment, capture_output=True, text=True, timeout=60, check=False
        )

    def ask(self, *words: str) -> Any:  # Any: JSON.
        """Run a command that has to succeed, and read its JSON."""
        done = self.run(*words, "--format", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def start(self, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        """Start an agent, and return when it is ready."""
        before = self._times_ready()
        with (self.folder / "log").open("ab") as log:
            agent = subprocess.Popen(self.command("agent", *words), env={**self.environment, **environment}, stderr=log)
        self._running.append(agent)
        self.until(lambda: self._times_ready() > before or agent.poll() is not None)
        return agent

    def _times_ready(self) -> int:
        path = self.folder / "log"
        return path.read_text().count('"ready: ') if path.exists() else 0

    def log(self) -> list[str]:
        """The lines of all agents' logs."""
        return (self.folder / "log").read_text().splitlines()

    def records(self) -> list[dict[str, Any]]:
        """The same as records."""
        return [json.loads(line) for line in self.log()]

    def until(self, condition: Callable[[], object]) -> None:
        """Wait until a condition holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, "\n".join(self.log())
            time.sleep(0.02)

    def end(self, agent: subprocess.Popen[bytes], number: signal.Signals = signal.SIGTERM) -> int:
        """Signal an agent, and wait for its end."""
        agent.send_signal(number)
        return agent.wait(PATIENCE_SECONDS)

    def close(self) -> None:
        """End what still runs."""
        for agent in self._running:
            if agent.poll() is None:
                agent.kill()
            agent.wait()


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[Agents]:
    """See Agents."""
    made = Agents(tmp_path)
    yield made
    made.close()
