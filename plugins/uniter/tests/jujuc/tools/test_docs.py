"""The page about the hook tools is made from them, and the guide's example works."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from plugins.uniter.tests.jujuc.tools import render_tools
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, failure, misused

from undercroft.testing import FakeClock
from undercroft.testing.agent import FakeUnitAgent
from undercroft_hookspecs.hook_tools import HookTool
from undercroft_uniter.jujuc.tools.catalogue import builtin_tools

GUIDE = Path(__file__).parents[5] / "docs" / "how-to" / "add-a-hook-tool.md"


def test_the_page_is_fresh() -> None:
    fresh = render_tools.render()

    command = "uv run python plugins/uniter/tests/jujuc/tools/render_tools.py"
    assert render_tools.PAGE.read_text() == fresh, f"run: {command}"


def test_the_page_has_every_tool_once() -> None:
    listed = [name for names in render_tools.SECTIONS.values() for name in names]

    assert sorted([*listed, *render_tools.ALIASES]) == sorted(builtin_tools(clock=FakeClock()))


def guide() -> Mapping[str, object]:
    """What the guide defines."""
    code = "\n".join(re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL))
    module: dict[str, object] = {}
    exec(compile(code, str(GUIDE), "exec"), module)
    return module


def guide_tools() -> Mapping[str, HookTool]:
    """The tools of the guide."""
    collect = guide()["undercroft_hook_tools"]
    assert callable(collect)
    tools: Mapping[str, HookTool] = collect(FakeUnitAgent())
    return tools


@pytest.fixture
def guided(bench: Bench) -> Bench:
    """A bench that has the guide's tool, too."""
    bench.tools = {**bench.tools, **guide_tools()}
    return bench


async def test_the_guide_s_tool_answers(guided: Bench, hook: FakeHook) -> None:
    hook.config.values = {"colour": "red", "shade": None}

    assert await guided("config-export", "--prefix", "SHOP") == done("export SHOP_COLOUR=red\n")
    assert (await guided("config-export", "--help")).stdout.startswith("Usage: config-export [options]")


async def test_the_guide_s_tool_fails_as_tools_do(guided: Bench, hook: FakeHook) -> None:
    assert await guided("config-export", "--prefix", "1") == misused('"1" cannot begin a variable')
    hook.restrict()
    assert await guided("config-export") == failure("config-changed has no ConfigContext")
