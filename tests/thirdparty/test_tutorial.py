"""The tutorial for plugin authors, typed in as it stands, in an environment of its own.

A block whose first line is a comment with a path is that file. Each line of a bash block is a command, and a text block
right after it is what the last of them prints, where `...` stands for any text, also within a line.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from tests.repo.venvs import ROOT, Venv, build, environment

pytestmark = pytest.mark.slow

PAGE = ROOT / "docs" / "tutorials" / "first-plugin.md"
SET_UP = """\
python3 -m venv venv && . venv/bin/activate
pip install ./undercroft/hookspecs ./undercroft/core ./undercroft/tests/conformance
"""
PATIENCE = 30.0

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (?P<path>\S+\.(?:py|toml))\n(?P<text>.*)", re.DOTALL)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheels that the tutorial's set-up makes."""
    folder = tmp_path_factory.mktemp("wheels")
    for member in ("hookspecs", "core", "tests/conformance"):
        build(ROOT / member, folder)
    return folder


def fits(printed: str, shown: str) -> bool:
    """Whether what was printed is as shown."""
    parts = (r"\s+".join(map(re.escape, part.split())) for part in shown.split("..."))
    return re.fullmatch(r"\s*.*?\s*".join(parts), printed.strip(), re.DOTALL) is not None


@contextmanager
def running(venv: Venv, words: list[str], folder: Path) -> Iterator[None]:
    """An agent, as in a terminal of its own."""
    with (folder / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            [venv.folder / "bin" / words[0], *words[1:]],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        deadline = time.monotonic() + PATIENCE
        while not (folder / "data" / "agent.sock").exists():
            assert process.poll() is None, (folder / "agent.log").read_text()
            assert time.monotonic() < deadline, "the agent opens no socket"
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        assert process.wait(PATIENCE) == 0, (folder / "agent.log").read_text()


class Reader:
    """Types what the page says."""

    def __init__(self, venv: Venv, wheels: Path, folder: Path, terminals: ExitStack) -> None:
        self._venv, self._wheels, self._folder, self._terminals = venv, wheels, folder, terminals

    def write(self, path: str, text: str) -> None:
        """Make a file."""
        file = self._folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def command(self, line: str) -> str:
        """Type a command; gives what it prints, if it ends."""
        words = shlex.split(line)
        if words[:2] == ["pip", "install"]:
            self._venv.install(
                *(self._folder / word if word.startswith(".") else word for word in words[2:] if word != "-e"),
                wheels=self._wheels,
            )
            return ""
        if words[:2] == ["undercroft", "agent"]:
            self._terminals.enter_context(running(self._venv, words, self._folder))
            return ""
        done = self._venv.run(*words, check=False, timeout=180.0, cwd=self._folder)
        return done.stdout + done.stderr


def test_the_tutorial_works_as_it_stands(wheels: Path, tmp_path: Path) -> None:
    venv = Venv(tmp_path / "venv")
    venv.install("undercroft", "undercroft-conformance", wheels=wheels)
    blocks = _BLOCK.findall(PAGE.read_text())
    assert blocks[0] == ("bash", SET_UP)

    with ExitStack() as terminals:
        reader, printed = Reader(venv, wheels, tmp_path, terminals), ""
        for kind, text in blocks[1:]:
            if kind == "text":
                assert fits(printed, text), f"the page shows\n{text}but this was printed:\n{printed}"
            elif kind == "bash":
                printed = [reader.command(line) for line in text.splitlines()][-1]
            elif file := _FILE.fullmatch(text):
                reader.write(file["path"], file["text"])
            else:
                pytest.fail(f"nobody knows what to do with this block:\n{text}")


@pytest.mark.parametrize(
    ("printed", "shown", "expected"),
    [
        ("a b\n", "a b\n", True),
        ("a\n b\n", "a b\n", True),
        ("a\n", "a b\n", False),
        ("x load 1.0 active y", "... load ... active ...", True),
        ("load active", "... load ... active ...", True),
        ("load broken", "... load ... active ...", False),
    ],
)
def test_what_is_shown_is_compared_word_by_word(printed: str, shown: str, expected: bool) -> None:
    assert fits(printed, shown) is expected
