"""The commands that open debug sessions, up to where they become tmux."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from undercroft_uniter.debug.command import debug_code, debug_hooks
from undercroft_uniter.debug.session import DebugSession, read_session


@dataclass
class Session:
    """What a command is given; only these two are asked."""

    data_dir: Path
    model: str | None = None


def unit_in(data: Path, model: str) -> Path:
    folder = data / "models" / model / "agents" / "unit-shop-0"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    found: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda _, argv: found.append(argv))
    monkeypatch.setattr("shutil.which", lambda _: "/usr/bin/tmux")
    return found


def test_it_says_which_hooks_and_becomes_tmux(tmp_path: Path, became: list[list[str]]) -> None:
    folder = unit_in(tmp_path, "a")

    done = CliRunner().invoke(debug_hooks, ["shop/0", "install", "start"], obj=Session(tmp_path))

    assert done.exit_code == 0
    assert read_session(folder / "debug.json") == DebugSession(hooks=("install", "start"))
    assert became[0][-3:] == ["shop/0", str(folder / "debug.json"), str(folder / "charm")]


def test_breakpoints_are_everywhere_unless_told_otherwise(tmp_path: Path, became: list[list[str]]) -> None:
    folder = unit_in(tmp_path, "a")

    CliRunner().invoke(debug_code, ["shop/0"], obj=Session(tmp_path))

    assert read_session(folder / "debug.json") == DebugSession(at="all")
    assert became


@pytest.mark.parametrize(
    ("models", "unit", "model", "code", "words"),
    [
        ((), "shop/0", None, 1, 'unit "shop/0" not found on this machine'),
        (("a", "b"), "shop/0", None, 1, "one of a, b"),
        (("a",), "../../etc", None, 2, "etc"),
    ],
)
def test_a_unit_that_cannot_be_told_is_refused(
    tmp_path: Path,
    became: list[list[str]],
    models: tuple[str, ...],
    unit: str,
    model: str | None,
    code: int,
    words: str,
) -> None:
    for name in models:
        unit_in(tmp_path, name)

    done = CliRunner().invoke(debug_hooks, [unit], obj=Session(tmp_path, model))

    assert (done.exit_code, became) == (code, [])
    assert words in done.output


def test_the_model_tells_units_of_one_name_apart(tmp_path: Path, became: list[list[str]]) -> None:
    unit_in(tmp_path, "a")
    folder = unit_in(tmp_path, "b")

    CliRunner().invoke(debug_hooks, ["shop/0"], obj=Session(tmp_path, "b"))

    assert became[0][-1] == str(folder / "charm")


def test_without_tmux_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit_in(tmp_path, "a")
    monkeypatch.setattr("shutil.which", lambda _: None)

    done = CliRunner().invoke(debug_hooks, ["shop/0"], obj=Session(tmp_path))

    assert done.exit_code == 1
    assert "apt-get install tmux" in done.output
