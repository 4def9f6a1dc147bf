"""Runs of the real command line in a process of its own, and an agent's control socket that gives canned answers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PATIENCE = 60.0


@dataclass(frozen=True)
class Ran:
    """How a run of the command line ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> object:
        """What was printed, read as JSON."""
        return json.loads(self.out)


@dataclass
class CommandLine:
    """Runs `python -m undercroft` with a data folder of its own; `environ` is added to what it inherits."""

    folder: Path
    path: Sequence[Path] = ()
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """The data folder; nobody has made it yet."""
        return self.folder / "data"

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of a run."""
        inherited = {name: value for name, value in os.environ.items() if "UNDERCROFT" not in name}
        inherited.pop("NO_COLOR", None)
        own = {
            "HOME": str(self.folder),
            "COLUMNS": "100",
            "PYTHONPATH": os.pathsep.join(map(str, self.path)),
            "UNDERCROFT_DATA": str(self.data),
        }
        return {**inherited, **own, **self.environ}

    @property
    def argv(self) -> list[str]:
        """What is run, before its arguments."""
        return [sys.executable, "-m", "undercroft"]

    def __call__(self, *arguments: str) -> Ran:
        done = subprocess.run(
            [*self.argv, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def config(self, text: str) -> Path:
        """Write the config where it is looked for."""
        self.data.mkdir(exist_ok=True)
        file = self.data / "undercroft.toml"
        file.write_text(text)
        return file


@pytest.fixture
def undercroft(tmp_path: Path) -> CommandLine:
    """The command line, with what this environment has installed."""
    return CommandLine(tmp_path)


Answer = Callable[[Mapping[str, object]], bytes]


class CannedAgent:
    """Listens on a data folder's control socket and answers each request with `answer`; `requests` are those heard."""

    def __init__(self, data: Path, answer: Answer) -> None:
        data.mkdir(exist_ok=True)
        self.requests: list[Mapping[str, object]] = []
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(data / "agent.sock"))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                request = json.loads(lines.readline())
                self.requests.append(request)
                connection.sendall(self._answer(request))


@pytest.fixture
def canned_agent(undercroft: CommandLine) -> Iterator[Callable[[Mapping[str, object] | bytes], CannedAgent]]:
    """Have an agent on the command line's data folder that answers every request with this."""
    started: list[CannedAgent] = []

    def start(answer: Mapping[str, object] | bytes) -> CannedAgent:
        line = answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n"
        agent = CannedAgent(undercroft.data, lambda request: line)
        started.append(agent)
        return agent

    yield start
    for agent in started:
        agent.close()
