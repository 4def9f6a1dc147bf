"""The contract of a hook tool."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from undercroft_conformance.drive import Bench, deadline, left_behind, look, turns
from undercroft_conformance.leaks import lines
from undercroft_conformance.rules import hook_tools as rules
from undercroft_conformance.verdict import Check, NotApplicable, describe, expect
from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.hook_tools import Flag, HookContext, HookTool, NotInContextError, ToolCall

T = TypeVar("T")

NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", re.ASCII)
FORMATS = ("smart", "json", "yaml")
WORDS = ("", "=", "=x", "a=b=c", "-", "null", "{}", "../../etc/passwd", "caf\u00e9", "\udcff", "\0", "9" * 5000)
"""What charms call tools with sooner or later, by mistake or not."""


class PoorHook:
    """A hook that has nothing to offer."""

    id, unit, hook = "shop/0-collect-metrics-1", "shop/0", "collect-metrics"

    def get(self, kind: type[T]) -> T:
        """Never."""
        raise NotInContextError(f"{self.hook} has no {kind.__name__}")


@dataclass(frozen=True, slots=True)
class ToolCase:
    """One tool, the hook that it is called in, and what a call of it looks like that is right."""

    tool: HookTool
    hook: HookContext
    arguments: Sequence[str]
    values: Mapping[str, str]
    folder: Path
    bench: Bench = field(default_factory=Bench)
    files: Mapping[str, bytes] = field(default_factory=dict)

    async def call(
        self,
        arguments: Sequence[str] | None = None,
        *,
        hook: HookContext | None = None,
        values: Mapping[str, str] | None = None,
        form: str = "",
    ) -> object:
        """Call the tool as the uniter does, with the right arguments unless told otherwise."""
        where = hook or self.hook
        defaults = {flag.names[-1]: flag.default for flag in self.tool.flags(where) if flag.value and flag.default}
        call = ToolCall(
            arguments=tuple(self.arguments if arguments is None else arguments),
            values={**defaults, **(self.values if values is None else values)},
            format=form or next(iter(self.tool.formats), ""),
            folder=self.folder,
            read=self._read,
            warn=lambda _: None,
        )
        return await self.tool.run(where, call)

    async def _read(self, name: str) -> bytes:
        if name not in self.files:
            raise UndercroftError(f"cannot read {name}: No such file or directory")
        return self.files[name]


async def whole(case: ToolCase) -> None:
    """It has all that a tool has."""
    expect(isinstance(case.tool, HookTool), f"{type(case.tool).__name__} lacks something that every HookTool has")


async def name(case: ToolCase) -> None:
    """Its name can be a command's."""
    expect(NAME.fullmatch(case.tool.name), f"it calls itself {case.tool.name!r}")


async def helped(case: ToolCase) -> None:
    """Its help is there."""
    tool = case.tool
    expect(tool.summary and "\n" not in tool.summary, f"its summary is {tool.summary!r}")
    takes = tool.arity[1] != 0
    expect(bool(tool.usage) == takes, f"with {_counted(tool)} its usage is {tool.usage!r}")
    for flag in tool.flags(case.hook):
        expect(flag.summary, f"the flag {_shown(flag)} has no summary")


async def formats(case: ToolCase) -> None:
    """It has formats that there are, each once."""
    found = list(case.tool.formats)
    unknown = [form for form in found if form not in FORMATS]
    expect(not unknown, f"there is no format {', '.join(map(repr, unknown))}")
    expect(len(found) == len(set(found)), f"its formats are {found}")


async def arity(case: ToolCase) -> None:
    """It can be called."""
    fewest, most = case.tool.arity
    expect(fewest >= 0 and (most is None or most >= fewest), f"it takes {_counted(case.tool)}")
    count = len(case.arguments)
    expect(
        fewest <= count and (most is None or count <= most),
        f"it takes {_counted(case.tool)}, and {count} are given in the call that is said to be right",
    )


async def flags(case: ToolCase) -> None:
    """Each name is one flag's."""
    own = ("h", "help", *(("format", "o", "output") if case.tool.formats else ()))
    seen = dict.fromkeys(own, "the uniter's")
    for flag in case.tool.flags(case.hook):
        expect(flag.names, "a flag has no name")
        for each in flag.names:
            expect(each and not each.startswith("-"), f"a flag is called {each!r}")
            expect(each not in seen, f"{each!r} is a name of {_shown(flag)}, and {seen.get(each)}")
            seen[each] = f"of {_shown(flag)}"
    unknown = set(case.values) - {flag.names[-1] for flag in case.tool.flags(case.hook)}
    expect(not unknown, f"the call that is right has {sorted(unknown)}, and no flag has that for its last name")


async def flags_anywhere(case: ToolCase) -> None:
    """They are told in a hook that has nothing, too."""
    for hook in (case.hook, PoorHook()):
        first, second = list(case.tool.flags(hook)), list(case.tool.flags(hook))
        expect(first == second, f"in {hook.hook} the flags are {first}, and asked again {second}")


async def answer(case: ToolCase) -> None:
    """What it answers can be printed."""
    for form in case.tool.formats or ("",):
        found = await case.call(form=form)
        if not form:
            expect(found is None or isinstance(found, str), f"without formats it answers with a {type(found).__name__}")
        else:
            _expect_printable(found, form)


async def poor_hook(case: ToolCase) -> None:
    """It says so where a hook has not got what it needs."""
    try:
        await case.call(hook=PoorHook())
    except UndercroftError:
        return
    except Exception as error:
        expect(False, f"in a hook that has nothing to offer it raises {describe(error)}")


async def any_words(case: ToolCase) -> None:
    """It takes what it is given."""
    fewest, most = case.tool.arity
    counts = {fewest, fewest + 1 if most is None else most}
    named = [flag.names[-1] for flag in case.tool.flags(case.hook) if flag.value]
    for word in WORDS:
        for count in sorted(counts):
            await _expect_told(case, [word] * count, dict(case.values), f"the arguments {[word[:20]] * count}")
        for flag in named:
            values = {**case.values, flag: word}
            await _expect_told(case, case.arguments, values, f"{word[:20]!r} for the flag {flag}")


async def unreadable(case: ToolCase) -> None:
    """It passes on why a file cannot be read."""
    if not case.files:
        raise NotApplicable("the call that is right reads no file")
    poorer = ToolCase(case.tool, case.hook, case.arguments, case.values, case.folder, case.bench)
    try:
        await poorer.call()
    except UndercroftError as error:
        expect("No such file" in str(error), f"a file is missing, and it says {error}")
    else:
        expect(False, "a file is missing, and it answers all the same")


async def cancelled(case: ToolCase) -> None:
    """It lets itself be ended at any moment."""
    for moment in range(5):
        task = asyncio.ensure_future(case.call())
        await turns(moment)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=deadline())
        expect(done, f"it was cancelled, and runs still {deadline():g} s later")
        error = None if task.cancelled() else task.exception()
        expect(error is None, f"it was cancelled, and raised {describe(error)}")


async def clean(case: ToolCase) -> None:
    """It leaves nothing."""
    await case.call()
    before = look()
    await case.call()
    leaks = await left_behind(before)
    expect(not leaks, f"a call leaves behind:\n{lines(leaks)}")


async def loop_free(case: ToolCase) -> None:
    """It never holds up the loop; the first call does not count, for imports that come late."""
    await case.call()
    stalls = case.bench.watch.stalls
    await turns(2)
    stalls.clear()
    await case.call()
    await turns(2)
    expect(not stalls, "the loop was held up:\n" + "\n".join(f"  {stall}" for stall in stalls[:10]))


def _expect_printable(found: object, form: str) -> None:
    try:
        msgspec.json.encode(found, enc_hook=_refuse)
    except (TypeError, NotImplementedError, UnicodeEncodeError) as error:
        expect(False, f"for the format {form} it answers with what cannot be printed: {error}")


def _refuse(value: object) -> NoReturn:
    raise NotImplementedError(f"a {type(value).__name__}")


async def _expect_told(case: ToolCase, arguments: Sequence[str], values: Mapping[str, str], called: str) -> None:
    try:
        await case.call(arguments, values=values)
    except UndercroftError:
        return
    except Exception as error:
        expect(False, f"called with {called} it raises {describe(error)}")


def _counted(tool: HookTool) -> str:
    fewest, most = tool.arity
    return f"{fewest} to {'any number of' if most is None else most} arguments"


def _shown(flag: Flag) -> str:
    return "/".join(flag.names)


CHECKS: tuple[Check[ToolCase], ...] = (
    Check(rules.TOOL_WHOLE, whole),
    Check(rules.TOOL_NAME, name),
    Check(rules.TOOL_HELP, helped),
    Check(rules.TOOL_FORMATS, formats),
    Check(rules.TOOL_ARITY, arity),
    Check(rules.TOOL_FLAGS, flags),
    Check(rules.TOOL_FLAGS_ANYWHERE, flags_anywhere),
    Check(rules.TOOL_ANSWER, answer),
    Check(rules.TOOL_POOR_HOOK, poor_hook),
    Check(rules.TOOL_ANY_WORDS, any_words),
    Check(rules.TOOL_UNREADABLE, unreadable),
    Check(rules.TOOL_CANCELLED, cancelled),
    Check(rules.TOOL_CLEAN, clean),
    Check(rules.TOOL_LOOP_FREE, loop_free),
)
