"""What the tutorials tell a reader to type works, and prints what they show.

The ```python blocks of a page are one script, in order. A ```text block right after one is what that block prints. A
```console block has commands after `$ `, each followed by what it prints; those of `undercroft` are run. A line `...`
stands for any lines.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PAGES = sorted((Path(__file__).parents[2] / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^# [\w./-]+\.(py|toml)\n")
SEPARATOR = "---- the next block ----"
SECONDS = 60.0


@dataclass(frozen=True)
class Block:
    """One block of code, and what it shows to be printed; None if it shows nothing."""

    line: int
    code: str
    shown: str | None


def blocks(page: Path) -> Iterator[Block]:
    """The Python that a page has its readers run; a block that begins with its file's name is a file, and not run."""
    text = page.read_text()
    found = list(BLOCK.finditer(text))
    for i, block in enumerate(found):
        if block[1] != "python" or FILE.match(block[2]):
            continue
        after = found[i + 1] if i + 1 < len(found) else None
        is_next = after is not None and after[1] == "text" and not text[block.end() : after.start()].strip()
        shown = after[2] if after is not None and is_next else None
        yield Block(text.count("\n", 0, block.start()) + 1, block[2], shown)


def commands(page: Path) -> Iterator[tuple[str, str]]:
    """Each command of `undercroft` that a page shows, and what it shows to be printed."""
    for kind, text in BLOCK.findall(page.read_text()):
        if kind != "console":
            continue
        for command, shown in re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
            if command.startswith("undercroft "):
                yield command, shown


def fits(printed: str, shown: str) -> bool:
    """Whether the text is as shown, but for spaces at the ends of lines, and with `...` for any lines."""
    lines = [line.rstrip() for line in shown.strip().splitlines()]
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + r"[ ]*\n" for line in lines)
    return re.fullmatch(pattern, printed.strip() + "\n" if printed.strip() else "") is not None


def run(argv: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder of its own, with this environment's scripts first on the path."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "UNDERCROFT_DATA": str(folder / "data"),
        "LC_ALL": "C.UTF-8",
    }
    return subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
    )


@pytest.mark.parametrize("page", [page for page in PAGES if any(blocks(page))], ids=lambda page: page.stem)
def test_python_of_a_page_runs_and_prints_what_is_shown(page: Path, tmp_path: Path) -> None:
    typed = list(blocks(page))
    script = tmp_path / "typed.py"
    script.write_text(f"\nprint({SEPARATOR!r}, flush=True)\n".join(block.code for block in typed))

    done = run([sys.executable, "-X", "dev", str(script)], tmp_path)

    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(SEPARATOR + "\n")
    assert len(printed) == len(typed)
    for block, text in zip(typed, printed, strict=True):
        assert fits(text, block.shown or ""), f"{page.name}:{block.line} prints\n{text}and shows\n{block.shown}"


def test_commands_of_every_page_run_and_print_what_is_shown(tmp_path: Path) -> None:
    for page in PAGES:
        folder = tmp_path / page.stem
        folder.mkdir()
        for command, shown in commands(page):
            done = run(shlex.split(command), folder)
            assert fits(done.stdout + done.stderr, shown), f"{page.name}: {command} prints\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize(
    ("printed", "shown", "expected"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a  \nb\n", "a\nb\n", True),
        ("a\nb\n", "a\n", False),
        ("a\n", "a\nb\n", False),
        ("", "", True),
        ("a\n", "", False),
        ("a\nx\ny\nb\n", "a\n...\nb\n", True),
        ("a\nb\n", "a\n...\nb\n", True),
        ("a\nx\n", "a\n...\nb\n", False),
        ("a.c\n", "abc\n", False),
    ],
)
def test_what_is_shown_is_compared_line_by_line(printed: str, shown: str, expected: bool) -> None:
    assert fits(printed, shown) is expected
