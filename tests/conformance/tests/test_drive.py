"""A check runs to a verdict, whatever the subject does to the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

import pytest

from undercroft_conformance.checks.exposure import shortfall
from undercroft_conformance.drive import Bench, judge, within
from undercroft_conformance.rules.rule import Rule
from undercroft_conformance.verdict import Broken, Check, RuleBroken, Unjudged

RULE = Rule("some-rule", "Some sentence.")


def verdict(run: Callable[[Bench], Awaitable[None]], loop: str = "uvloop") -> None:
    judge(Check(RULE, run), lambda bench: bench, loop=loop, seconds=0.1)


def test_a_broken_rule_quotes_its_sentence() -> None:
    async def run(_: Bench) -> None:
        raise Broken("it does not")

    with pytest.raises(RuleBroken) as caught:
        verdict(run)

    assert str(caught.value) == "[some-rule] it does not\n  the contract (undercroft_conformance) says: Some sentence."


def test_an_error_that_nobody_foresaw_breaks_the_rule_and_says_where() -> None:
    async def run(_: Bench) -> None:
        raise KeyError("what")

    with pytest.raises(RuleBroken, match=r"KeyError: 'what' was raised in run, .*test_drive\.py:\d+"):
        verdict(run)


def test_what_is_unjudged_stays_so() -> None:
    async def run(_: Bench) -> None:
        raise Unjudged("no fake")

    with pytest.raises(Unjudged, match="no fake"):
        verdict(run)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_task_that_never_ends_does_not_keep_the_verdict(loop: str) -> None:
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                continue

    async def run(_: Bench) -> None:
        task = asyncio.get_running_loop().create_task(stubborn())
        await asyncio.sleep(0)
        task.cancel()

    verdict(run, loop)


def test_within_gives_up_in_time() -> None:
    async def run(_: Bench) -> None:
        await within(asyncio.sleep(60), "a long sleep was to end")

    with pytest.raises(RuleBroken, match=r"a long sleep was to end, which takes longer than 0\.1 s"):
        verdict(run)


def test_within_tells_what_was_raised() -> None:
    async def fail() -> None:
        raise ValueError("no")

    async def run(_: Bench) -> None:
        await within(fail(), "it was to end")

    with pytest.raises(RuleBroken, match="it was to end, which raises ValueError: no"):
        verdict(run)


@runtime_checkable
class Kind(Protocol):
    size: int

    async def get(self, key: str, *, deep: bool = False) -> str: ...


class Fits:
    size = 1

    async def get(self, name: str, *, deep: bool = True, extra: int = 0) -> str:
        return name


class LacksSize:
    async def get(self, key: str, *, deep: bool = False) -> str:
        return key


class LacksDeep:
    size = 1

    async def get(self, key: str) -> str:
        return key


class NeedsMore:
    size = 1

    async def get(self, key: str, more: str, *, deep: bool = False) -> str:
        return key


class HasNoMethod:
    size = 1
    get = "text"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (Fits(), ""),
        (LacksSize(), "has no size"),
        (LacksDeep(), "does not take what the kind says"),
        (NeedsMore(), "does not take what the kind says"),
        (HasNoMethod(), "has a get that cannot be called"),
    ],
)
def test_what_a_value_lacks_to_be_of_a_protocol(value: object, problem: str) -> None:
    found = shortfall(value, Kind)

    assert problem in found
    assert bool(found) == bool(problem)


def test_what_a_value_lacks_to_be_of_a_class() -> None:
    assert shortfall(1, int) == ""
    assert shortfall("1", int) == "is a str"
