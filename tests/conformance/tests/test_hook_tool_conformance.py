"""The kit on a hook tool that keeps the contract, and on one bad tool for each rule."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from undercroft_conformance import HookToolConformance
from undercroft_conformance.checks.hook_tools import CHECKS, ToolCase
from undercroft_conformance.drive import judge
from undercroft_conformance.verdict import RuleBroken
from undercroft_hookspecs import UndercroftError
from undercroft_hookspecs.hook_tools import (
    ConfigContext,
    Flag,
    HookContext,
    HookTool,
    NotInContextError,
    ToolCall,
    ToolUsageError,
)

T = TypeVar("T")
FILES = {"words": b"good day"}


class Config:
    """A charm's config."""

    async def settings(self) -> Mapping[str, str | bool | int | float | None]:
        return {"colour": "red"}


class Hook:
    """A hook that has a config."""

    id, unit, hook = "shop/0-start-1", "shop/0", "start"

    def get(self, kind: type[T]) -> T:
        found = Config()
        if not isinstance(found, kind):
            raise NotInContextError(f"there is no {kind.__name__}")
        return found


class Greet:
    """Greets in a colour, with the words of a file."""

    name, summary, usage, details = "greet", "Greet somebody", "<name>", ""
    formats: Sequence[str] = ("smart", "json")
    arity: tuple[int, int | None] = (1, 1)

    def flags(self, context: HookContext) -> Sequence[Flag]:
        return (Flag(names=("f", "file"), value="FILE", summary="what to say"),)

    async def run(self, context: HookContext, call: ToolCall) -> object:
        settings = await context.get(ConfigContext).settings()
        await asyncio.sleep(0)
        if not call.arguments[0].isidentifier():
            raise ToolUsageError("that is nobody")
        words = (await call.read(call.values["file"])).decode()
        return {"colour": settings["colour"], "said": f"{words}, {call.arguments[0]}"}


class TestGreet(HookToolConformance):
    @pytest.fixture
    def tool(self) -> HookTool:
        return Greet()

    @pytest.fixture
    def hook(self) -> HookContext:
        return Hook()

    @pytest.fixture
    def arguments(self) -> Sequence[str]:
        return ("anna",)

    @pytest.fixture
    def values(self) -> Mapping[str, str]:
        return {"file": "words"}

    @pytest.fixture
    def files(self) -> Mapping[str, bytes]:
        return FILES


class LacksFormats:
    name, summary, usage, details = "greet", "Greet somebody", "<name>", ""


class Shouts(Greet):
    name = "GREET"


class SaysNothing(Greet):
    summary = ""


class PrintsXml(Greet):
    formats = ("xml",)


class TakesFewer(Greet):
    arity = (2, 1)


class HasDashes(Greet):
    def flags(self, context: HookContext) -> Sequence[Flag]:
        return (Flag(names=("--file",), value="FILE", summary="what to say"),)


class NeedsConfigForItsFlags(Greet):
    def flags(self, context: HookContext) -> Sequence[Flag]:
        context.get(ConfigContext)
        return super().flags(context)


class AnswersWithAnObject(Greet):
    async def run(self, context: HookContext, call: ToolCall) -> object:
        return object()


class TrustsItsHook(Greet):
    async def run(self, context: HookContext, call: ToolCall) -> object:
        try:
            return await super().run(context, call)
        except NotInContextError:
            raise KeyError(context.hook) from None


class TrustsItsWords(Greet):
    async def run(self, context: HookContext, call: ToolCall) -> object:
        return {"number": call.arguments[0].encode().decode()}


class GuessesAtFiles(Greet):
    async def run(self, context: HookContext, call: ToolCall) -> object:
        try:
            return await super().run(context, call)
        except UndercroftError:
            return None


class Perseveres(Greet):
    async def run(self, context: HookContext, call: ToolCall) -> object:
        try:
            return await super().run(context, call)
        except asyncio.CancelledError:
            raise ValueError("not now") from None


class Leaks(Greet):
    async def run(self, context: HookContext, call: ToolCall) -> object:
        os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        return await super().run(context, call)


class Blocks(Greet):
    async def run(self, context: HookContext, call: ToolCall) -> object:
        time.sleep(0.15)
        return await super().run(context, call)


BAD: Mapping[str, type] = {
    "tool-whole": LacksFormats,
    "tool-name": Shouts,
    "tool-help": SaysNothing,
    "tool-formats": PrintsXml,
    "tool-arity": TakesFewer,
    "tool-flags": HasDashes,
    "tool-flags-anywhere": NeedsConfigForItsFlags,
    "tool-answer": AnswersWithAnObject,
    "tool-poor-hook": TrustsItsHook,
    "tool-any-words": TrustsItsWords,
    "tool-unreadable": GuessesAtFiles,
    "tool-cancelled": Perseveres,
    "tool-clean": Leaks,
    "tool-loop-free": Blocks,
}


def test_there_is_a_bad_tool_for_each_rule() -> None:
    assert list(BAD) == [check.rule.id for check in CHECKS]


@pytest.mark.allow_leaks("fd")
@pytest.mark.slow_callbacks
@pytest.mark.parametrize("rule", BAD)
def test_a_tool_that_breaks_a_rule_is_caught_by_its_name(rule: str, tmp_path: Path) -> None:
    (check,) = (check for check in CHECKS if check.rule.id == rule)

    with pytest.raises(RuleBroken) as caught:
        judge(
            check,
            lambda bench: ToolCase(BAD[rule](), Hook(), ("anna",), {"file": "words"}, tmp_path, bench, FILES),
            loop="uvloop",
        )

    assert caught.value.rule.id == rule
    assert check.rule.sentence in str(caught.value)
