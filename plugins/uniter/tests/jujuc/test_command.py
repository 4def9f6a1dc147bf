"""One call of a tool, from its words to its answer."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from plugins.uniter.tests.jujuc.bench import FakeContext

from undercroft_hookspecs import NotLeaderError, UndercroftError
from undercroft_hookspecs.hook_tools import Flag, HookContext, ToolCall, ToolUsageError
from undercroft_uniter.jujuc.command import Answer, all_flags, run
from undercroft_uniter.jujuc.tools.tool import Tool

FOLDER = Path("/charm")


class Recorder:
    """A tool's work: keeps its calls, and gives `answer` or raises it."""

    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self.answer: object = None

    async def __call__(self, context: HookContext, call: ToolCall) -> object:
        self.calls.append(call)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.fixture
def work() -> Recorder:
    return Recorder()


@pytest.fixture
def tool(work: Recorder) -> Tool:
    return Tool(
        name="relation-get",
        summary="  Get relation settings.\n",
        usage="<key> [<unit>]",
        details="\nMore of it.\n\nAnd more.\n",
        work=work,
        formats=("smart", "json", "yaml"),
        arity=(0, 2),
        options=(
            Flag(names=("r", "relation"), value="relation", summary="Specify a relation by id", default="db:3"),
            Flag(names=("app",), summary="Get the application's"),
        ),
    )


async def no_file(name: str) -> bytes:
    raise AssertionError(name)


async def called(tool: Tool, *arguments: str) -> Answer:
    return await run(tool, FakeContext(), arguments, folder=FOLDER, read=no_file)


async def test_a_call_arrives_parsed(tool: Tool, work: Recorder) -> None:
    await called(tool, "key", "--app", "-r", "db:4", "shop/1", "--format=json")

    (call,) = work.calls
    assert call.arguments == ("key", "shop/1")
    assert call.values == {"relation": "db:4"}
    assert call.switches == frozenset(("app",))
    assert (call.folder, call.format) == (FOLDER, "json")


async def test_files_are_read_by_whoever_can(tool: Tool, work: Recorder) -> None:
    async def read(name: str) -> bytes:
        return name.encode()

    await run(tool, FakeContext(), [], folder=FOLDER, read=read)

    assert await work.calls[0].read("a") == b"a"


@pytest.mark.parametrize(
    ("arguments", "stdout"), [((), "True\n"), (("--format", "json"), "true\n"), (("--format=yaml",), "true\n")]
)
async def test_the_answer_is_printed_in_the_format(
    tool: Tool, work: Recorder, arguments: tuple[str, ...], stdout: str
) -> None:
    work.answer = True

    assert await called(tool, *arguments) == Answer(stdout=stdout)


async def test_the_first_format_is_the_default(tool: Tool, work: Recorder) -> None:
    work.answer = {"a": 1}

    assert await called(replace(tool, formats=("yaml", "json"))) == Answer(stdout="a: 1\n")


async def test_another_format_is_misuse(tool: Tool, work: Recorder) -> None:
    answer = await called(tool, "--format", "xml")

    assert answer == Answer(code=2, stderr='ERROR invalid value "xml" for option --format: unknown format "xml"\n')
    assert work.calls == []


@pytest.mark.parametrize("arguments", [("-o", "out"), ("--output", "out"), ("--output=out",)])
async def test_the_output_may_go_to_a_file(tool: Tool, work: Recorder, arguments: tuple[str, ...]) -> None:
    work.answer = "text"

    assert await called(tool, *arguments) == Answer(stdout="text\n", output="out")


async def test_a_tool_without_formats_prints_what_it_says(tool: Tool, work: Recorder) -> None:
    work.answer = "/path/to/resource"

    assert await called(replace(tool, formats=())) == Answer(stdout="/path/to/resource")


async def test_a_tool_without_formats_knows_no_format(tool: Tool) -> None:
    assert (await called(replace(tool, formats=()), "--format=json")).code == 2


async def test_a_failure_ends_with_status_1(tool: Tool, work: Recorder) -> None:
    work.answer = NotLeaderError("permission denied")

    assert await called(tool) == Answer(code=1, stderr="ERROR permission denied\n")


async def test_misuse_that_the_tool_finds_ends_with_status_2(tool: Tool, work: Recorder) -> None:
    work.answer = ToolUsageError("no relation id specified")

    assert await called(tool) == Answer(code=2, stderr="ERROR no relation id specified\n")


@pytest.mark.parametrize("error", [None, UndercroftError("no"), ToolUsageError("no")])
async def test_warnings_come_first(tool: Tool, error: UndercroftError | None) -> None:
    async def warn(context: HookContext, call: ToolCall) -> object:
        call.warn("careful")
        if error is not None:
            raise error
        return None

    answer = await called(replace(tool, work=warn))

    assert answer.stderr == ("careful\n" if error is None else "careful\nERROR no\n")


async def test_a_mistake_of_a_tool_is_told_apart(tool: Tool, work: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    work.answer = object()

    answer = await called(tool)

    assert answer.code == 1
    assert answer.stderr.startswith("ERROR the hook tool relation-get is broken: TypeError")
    assert "cannot answer with a object" in caplog.text


async def test_what_a_tool_was_told_is_not_logged(tool: Tool, work: Recorder, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    work.answer = UndercroftError("no")

    await called(tool, "s3cret")

    assert "s3cret" not in caplog.text


async def test_a_cancellation_passes(tool: Tool, work: Recorder) -> None:
    work.answer = asyncio.CancelledError()

    with pytest.raises(asyncio.CancelledError):
        await called(tool)


async def test_too_many_arguments_are_named(tool: Tool) -> None:
    answer = await called(tool, "a", "b", "c d", "e")

    assert answer == Answer(code=2, stderr='ERROR unrecognized args: ["c d" "e"]\n')


async def test_too_few_arguments_are_misuse(tool: Tool) -> None:
    answer = await called(replace(tool, arity=(1, 1)))

    assert answer == Answer(code=2, stderr="ERROR too few arguments; usage: relation-get <key> [<unit>]\n")


async def test_help_reads_as_jujus(tool: Tool, work: Recorder) -> None:
    answer = await called(tool, "--help", "--nope")

    assert answer == Answer(
        stdout="""\
Usage: relation-get [options] <key> [<unit>]

Summary:
Get relation settings.

Options:
--app  (= false)
    Get the application's
--format  (= smart)
    Specify output format (json|smart|yaml)
-o, --output  (= "")
    Specify an output file
-r, --relation  (= db:3)
    Specify a relation by id

Details:
More of it.

And more.
"""
    )
    assert work.calls == []


async def test_the_help_of_a_tool_without_anything_is_short(work: Recorder) -> None:
    answer = await called(Tool(name="juju-reboot", summary="Reboot.", work=work), "-h")

    assert answer.stdout == "Usage: juju-reboot\n\nSummary:\nReboot.\n"


async def test_flags_may_depend_on_the_hook(tool: Tool) -> None:
    flag = Flag(names=("s",), value="id", summary="which", default="data/0")

    flags = all_flags(replace(tool, options_of=lambda context: (flag,)), FakeContext())

    assert flag in flags
    assert flags[-1].names == ("o", "output")


async def test_old_charms_find_the_storage_in_the_help(tool: Tool) -> None:
    flag = Flag(names=("s",), value="id", summary="which", default="data/0")

    answer = await called(replace(tool, options=(flag,)), "--help")

    assert "\n-s  (= data/0)\n" in answer.stdout
