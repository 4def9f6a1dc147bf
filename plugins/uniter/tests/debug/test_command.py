"""The commands that open debug sessions, up to where they become tmux."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from click.testing import CliRunner
from plugins.uniter.tests.fakemodel import THEN

from undercroft_hookspecs import NotFoundError
from undercroft_hookspecs.state import Model
from undercroft_hookspecs.unit_facades import ModelFacade
from undercroft_uniter.debug.command import debug_code, debug_hooks
from undercroft_uniter.debug.session import DebugSession, read_session

T = TypeVar("T")


class Session:
    """What a command is given: of the models `a` and `b`, of which `a` is the current one."""

    def __init__(self, data_dir: Path, model: str = "a") -> None:
        self.data_dir, self.chosen = data_dir, model

    @asynccontextmanager
    async def open(self, name: str, kind: type[ModelFacade]) -> AsyncIterator[Models]:
        assert (name, kind) == ("model", ModelFacade)
        yield Models(self.chosen)

    def run(self, main: Coroutine[object, object, T]) -> T:
        return asyncio.run(main)


class Models:
    """`ModelFacade`, of which only `model` is asked."""

    def __init__(self, chosen: str) -> None:
        self._chosen = chosen

    async def model(self) -> Model:
        if self._chosen not in ("a", "b"):
            raise NotFoundError(self._chosen, f'model "{self._chosen}" not found')
        return Model(uuid=f"uuid-of-{self._chosen}", name=self._chosen, created=THEN)


def unit_in(data: Path, model: str) -> Path:
    folder = data / "models" / f"uuid-of-{model}" / "agents" / "unit-shop-0"
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
        ((), "shop/0", "a", 1, 'unit "shop/0" of model "a" not found on this machine'),
        (("a",), "shop/0", "b", 1, 'unit "shop/0" of model "b" not found on this machine'),
        (("a",), "shop/0", "c", 1, 'model "c" not found'),
        (("a",), "../../etc", "a", 2, "etc"),
    ],
)
def test_a_unit_that_cannot_be_told_is_refused(
    tmp_path: Path,
    became: list[list[str]],
    models: tuple[str, ...],
    unit: str,
    model: str,
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
