"""The class that judges a hook tool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from undercroft_conformance.checks import hook_tools
from undercroft_conformance.checks.hook_tools import ToolCase
from undercroft_conformance.doors import LOOPS, judge_or_skip, parameters
from undercroft_conformance.verdict import Check
from undercroft_hookspecs.hook_tools import HookContext, HookTool

CHECKS: tuple[Check[ToolCase], ...] = hook_tools.CHECKS


class HookToolConformance:
    """Judge a tool: subclass it, and give it the fixtures `tool` and `hook`.

    `hook` is a hook that has what the tool asks for. `arguments`, `values` (of flags, by their names) and `files` make
    a call that is right; each is a fixture, too, and empty unless it is overridden.
    """

    @pytest.fixture
    def tool(self) -> HookTool:
        """The tool; to be overridden."""
        raise NotImplementedError("a subclass of HookToolConformance has a fixture `tool`")

    @pytest.fixture
    def hook(self) -> HookContext:
        """The hook that it is called in; to be overridden."""
        raise NotImplementedError("a subclass of HookToolConformance has a fixture `hook`")

    @pytest.fixture
    def arguments(self) -> Sequence[str]:
        """The arguments of a call that is right."""
        return ()

    @pytest.fixture
    def values(self) -> Mapping[str, str]:
        """The flags of that call."""
        return {}

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        """The files that it reads, by the names that it is given."""
        return {}

    @pytest.mark.parametrize("loop", LOOPS)
    @pytest.mark.parametrize("check", parameters(CHECKS))
    def test_tool(
        self,
        check: Check[ToolCase],
        loop: str,
        tool: HookTool,
        hook: HookContext,
        arguments: Sequence[str],
        values: Mapping[str, str],
        files: Mapping[str, bytes],
        tmp_path: Path,
    ) -> None:
        """The tool keeps one rule on one loop."""
        judge_or_skip(check, lambda bench: ToolCase(tool, hook, arguments, values, tmp_path, bench, files), loop=loop)
