from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from plugins.model.tests.commands.conftest import CommandLine

PATIENCE = 30.0


@pytest.fixture
def log(undercroft: CommandLine) -> Callable[..., Path]:
    """Add a line to the model's log."""
    uuid = undercroft.json("show-model")["default"]["model-uuid"]
    folder = Path(undercroft.data, "models", str(uuid))
    folder.mkdir(parents=True)

    def add(entity: str, level: str, message: str, *, module: str = "juju-log") -> Path:
        file = folder / "debug.log"
        line = {"time": "2026-01-31T12:00:00+00:00", "entity": entity, "level": level, "message": message}
        with file.open("a") as opened:
            opened.write(json.dumps({**line, "module": module}) + "\n")
        return file

    return add


def test_lines_are_shown_as_juju_shows_them(undercroft: CommandLine, log: Callable[..., Path]) -> None:
    log("mysql/0", "INFO", "ready", module="unit.mysql/0.juju-log")

    assert undercroft.ok("debug-log").out == "unit-mysql-0: 12:00:00 INFO unit.mysql/0.juju-log ready\n"


def test_no_log_is_no_error(undercroft: CommandLine) -> None:
    assert undercroft.ok("debug-log", "--limit", "0").out == ""


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ((), [str(number) for number in range(5, 15)]),
        (("-n", "2"), ["13", "14"]),
        (("--limit", "3"), ["12", "13", "14"]),
        (("--limit", "0"), [str(number) for number in range(15)]),
        (("--replay",), [str(number) for number in range(15)]),
        (("--replay", "--include", "mysql/1"), ["1", "3", "5", "7", "9", "11", "13"]),
        (("--replay", "--include", "unit-mysql-1", "--level", "error"), ["9"]),
        (("--replay", "--exclude", "mysql"), []),
        (("--replay", "--include-module", "outer"), ["0", "5", "10"]),
        (("-n", "2", "--exclude-module", "outer.inner"), ["13", "14"]),
    ],
)
def test_filters_choose_the_lines(
    undercroft: CommandLine, log: Callable[..., Path], words: tuple[str, ...], shown: list[str]
) -> None:
    for number in range(15):
        module = "outer.inner" if number % 5 == 0 else "outermost"
        log(f"mysql/{number % 2}", "ERROR" if number == 9 else "INFO", str(number), module=module)

    assert [line.split()[-1] for line in undercroft.ok("debug-log", *words).out.splitlines()] == shown


def test_what_is_no_line_of_a_log_is_passed_over(undercroft: CommandLine, log: Callable[..., Path]) -> None:
    file = log("mysql/0", "INFO", "whole")
    with file.open("a") as opened:
        opened.write('not json\n{"time": "half')

    assert len(undercroft.ok("debug-log").out.splitlines()) == 1


def test_following_shows_what_is_added_also_when_the_log_begins_anew(
    undercroft: CommandLine, log: Callable[..., Path]
) -> None:
    file = log("mysql/0", "INFO", "first")
    following = subprocess.Popen(
        [sys.executable, "-m", "undercroft", "debug-log", "-f"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "UNDERCROFT_DATA": str(undercroft.data), "PYTHONUNBUFFERED": "1"},
    )
    assert following.stdout is not None

    seen = [following.stdout.readline().split()[-1]]
    log("mysql/0", "INFO", "second")
    seen.append(following.stdout.readline().split()[-1])
    file.rename(file.with_name("debug.log.1"))
    log("mysql/0", "INFO", "third")
    seen.append(following.stdout.readline().split()[-1])
    following.send_signal(signal.SIGINT)
    _, errors = following.communicate(timeout=PATIENCE)

    assert seen == ["first", "second", "third"]
    assert (following.returncode, errors) == (0, "")
