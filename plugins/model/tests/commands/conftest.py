"""The command line, run in this process on a data folder of its own, and charms in folders."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from undercroft.cli.main import main
from undercroft.clock import SystemClock
from undercroft_hookspecs import Store
from undercroft_model.models import find_model, model_id
from undercroft_model.sqlite_store import open_sqlite
from undercroft_model.transaction import Transaction

T = TypeVar("T")

SERVER = """\
name: server
summary: It serves
description: It serves
provides:
  web: {interface: http}
peers:
  mates: {interface: mates}
resources:
  data: {type: file, filename: data.bin}
"""
CLIENT = """\
name: client
summary: It asks
description: It asks
requires:
  backend: {interface: http}
"""
OPTIONS = """\
options:
  title: {type: string, default: hello, description: What it is called}
  workers: {type: int, default: 4}
  nickname: {type: string}
"""
ACTIONS = """\
backup:
  description: Keep a copy
  params:
    path: {type: string, default: /srv}
    level: {type: integer}
  required: [level]
  additionalProperties: false
"""


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # Any: JSON.
        """What was printed, read as JSON."""
        return json.loads(self.out)


class CommandLine:
    """Runs commands; `ok` ones that have to succeed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._capsys, self.folder, self._monkeypatch = capsys, folder, monkeypatch
        self.data = folder / "data"

    def __call__(self, *words: str, stdin: str = "") -> Ran:
        """Run a command."""
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        self._capsys.readouterr()
        code = main(list(words))
        said = self._capsys.readouterr()
        return Ran(code, said.out, said.err)

    def ok(self, *words: str, stdin: str = "") -> Ran:
        """Run a command that has to succeed."""
        ran = self(*words, stdin=stdin)
        assert ran.code == 0, ran.err
        return ran

    def json(self, *words: str) -> Any:  # Any: JSON.
        """The document that a command prints."""
        return self.ok(*words, "--format", "json").document

    def refused(self, *words: str, stdin: str = "", code: int = 1) -> str:
        """The one message of a command that has to fail."""
        ran = self(*words, stdin=stdin)
        assert (ran.code, ran.out) == (code, ""), ran
        assert "Traceback" not in ran.err
        return ran.err

    def refused_late(self, *words: str, stdin: str = "") -> str:
        """The last message of a command that fails after it has said what it did."""
        ran = self(*words, stdin=stdin)
        assert (ran.code, ran.out) == (1, ""), ran
        return ran.err.splitlines()[-1]

    def on_store(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """Do some work on the store."""

        async def run() -> T:
            async with open_sqlite("sqlite:", data_dir=self.data, clock=SystemClock()) as store:
                return await work(store)

        return asyncio.run(run())

    def stored(self, model: str = "default") -> dict[str, bytes]:
        """All that is stored of a model."""

        async def read(store: Store) -> dict[str, bytes]:
            found = await find_model(Transaction(store), model)
            prefix = f"/models/{model_id(found)}/"
            return {entry.key.removeprefix(prefix): entry.value for entry in (await store.list(prefix)).entries}

        return self.on_store(read)

    def charm(self, metadata: str, *, config: str = "", actions: str = "", name: str = "") -> str:
        """A charm that is complete as it is; its path."""
        folder = self.folder / (name or metadata.split()[1])
        (folder / "hooks").mkdir(parents=True)
        (folder / "metadata.yaml").write_text(metadata)
        for file, text in (("config.yaml", config), ("actions.yaml", actions)):
            if text:
                (folder / file).write_text(text)
        hook = folder / "hooks" / "install"
        hook.write_text("#!/bin/sh\n")
        hook.chmod(0o755)
        return str(folder)


@pytest.fixture
def undercroft(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    """The command line on a data folder of its own."""
    for name in [name for name in os.environ if name.startswith("UNDERCROFT")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UNDERCROFT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return CommandLine(capsys, tmp_path, monkeypatch)


@pytest.fixture
def server(undercroft: CommandLine) -> str:
    """A charm that provides something, with options and an action."""
    return undercroft.charm(SERVER, config=OPTIONS, actions=ACTIONS)


@pytest.fixture
def client(undercroft: CommandLine) -> str:
    """A charm that requires it."""
    return undercroft.charm(CLIENT)
