"""All tools together: which there are, their help, and that they answer when a hook has nothing for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook

from undercroft.testing import FakeClock
from undercroft_hookspecs.hook_tools import Flag, HookContext, HookTool, ToolCall
from undercroft_uniter.jujuc.formats import FORMATS
from undercroft_uniter.jujuc.tools.catalogue import builtin_tools, with_plugins
from undercroft_uniter.jujuc.tools.tool import Tool


class Own:
    """A plugin's tool, which says which it is."""

    summary = "Say which"
    usage = details = ""
    formats: Sequence[str] = ()
    arity = (0, 0)

    def __init__(self, name: str) -> None:
        self.name = name

    def flags(self, context: HookContext) -> Sequence[Flag]:
        return ()

    async def run(self, context: HookContext, call: ToolCall) -> object:
        return self.name


LISTED = """\
action-fail action-get action-log action-set add-metric application-version-set close-port config-get credential-get
function-fail function-get function-log function-set goal-state is-leader juju-log juju-reboot leader-get leader-set
network-get open-port opened-ports payload-register payload-status-set payload-unregister relation-get relation-ids
relation-list relation-model-get relation-set resource-get secret-add secret-get secret-grant secret-ids
secret-info-get secret-remove secret-revoke secret-set state-delete state-get state-set status-get status-set
storage-add storage-get storage-list unit-get
"""
NAMES = LISTED.split()


@pytest.fixture(params=NAMES)
def tool(request: pytest.FixtureRequest) -> HookTool:
    """Each tool."""
    return builtin_tools(clock=FakeClock())[str(request.param)]


def test_every_tool_of_juju_is_there() -> None:
    assert sorted(builtin_tools(clock=FakeClock())) == NAMES


def test_every_tool_describes_itself(tool: HookTool) -> None:
    assert isinstance(tool, HookTool)
    assert re.fullmatch(r"[A-Z].*[^.]", tool.summary)
    assert set(tool.formats) <= set(FORMATS)
    assert all(len(line) <= 120 for line in tool.details.splitlines())
    fewest, most = tool.arity
    assert most is None or fewest <= most
    assert bool(tool.usage) == (most != 0)


async def test_every_tool_has_help(bench: Bench, tool: HookTool) -> None:
    answer = await bench(tool.name, "--help")

    assert await bench(tool.name, "-h") == answer
    assert (answer.code, answer.stderr) == (0, "")
    assert answer.stdout.startswith(f"Usage: {tool.name}")
    assert tool.summary in answer.stdout
    assert all(f"--{name}" in answer.stdout for one in tool.flags(bench.hook) for name in one.names if len(name) > 1)


async def test_every_tool_knows_its_flags_only(bench: Bench, tool: HookTool) -> None:
    answer = await bench(tool.name, "--no-such-flag")

    assert (answer.code, answer.stdout) == (2, "")
    assert answer.stderr == "ERROR option provided but not defined: --no-such-flag\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("action-log", "no message specified"),
        ("add-metric", "no metrics specified"),
        ("application-version-set", "no version specified"),
        ("close-port", "no port or range specified"),
        ("juju-log", "no message specified"),
        ("network-get", "no arguments specified"),
        ("open-port", "no port or range specified"),
        ("payload-register", "missing required arguments"),
        ("payload-status-set", "missing required arguments"),
        ("payload-unregister", "missing required arguments"),
        ("resource-get", "missing required resource name"),
        ("secret-grant", "missing secret URI"),
        ("secret-remove", "missing secret URI"),
        ("secret-revoke", "missing secret URI"),
        ("secret-set", "missing secret URI"),
        ("status-set", "invalid args, require <status> [message]"),
        ("storage-add", "storage add requires a storage directive"),
        ("unit-get", "no setting specified"),
    ],
)
async def test_missing_arguments_are_called_what_juju_calls_them(bench: Bench, name: str, said: str) -> None:
    answer = await bench(name)

    assert (answer.code, answer.stdout, answer.stderr) == (2, "", f"ERROR {said}\n")


def test_every_tool_that_needs_arguments_says_which_are_missing(tool: HookTool) -> None:
    assert isinstance(tool, Tool)
    assert bool(tool.missing) == (tool.arity[0] > 0)


async def test_every_answer_can_go_to_a_file(bench: Bench, tool: HookTool) -> None:
    is_known = (await bench(tool.name, "--output", "file", "--no-such-flag")).stderr.endswith("--no-such-flag\n")

    assert is_known == bool(tool.formats)


async def test_in_a_restricted_hook_every_tool_says_so(bench: Bench, hook: FakeHook, tool: HookTool) -> None:
    """Or does what needs nothing of the hook; in no case is that a fault of the tool."""
    hook.restrict()
    (bench.folder / "metadata.yaml").write_text("payloads: {a: {type: a}}")
    arguments = {"open-port": ["80"], "close-port": ["80"], "status-set": ["active"], "unit-get": ["private-address"]}
    fewest = tool.arity[0]

    answer = await bench(tool.name, *arguments.get(tool.name, ["a=b" if "=" in tool.usage else "a"] * fewest))

    assert "broken" not in answer.stderr
    assert bool(answer.code) == bool(answer.stderr)


def test_the_tools_of_all_units_are_the_same_few_objects(tmp_path: Path) -> None:
    assert Bench(tmp_path).tools["action-get"] is Bench(tmp_path).tools["action-get"]


def test_plugins_bring_more_tools_and_their_own_add_metric() -> None:
    builtin = builtin_tools(clock=FakeClock())
    own, metric = Own("acme-say"), Own("add-metric")

    tools = with_plugins(builtin, [("acme", {"acme-say": own}), ("metrics", {"add-metric": metric})])

    assert tools == {**builtin, "acme-say": own, "add-metric": metric}


@pytest.mark.parametrize(
    ("name", "tool", "reason"),
    [
        ("is-leader", Own("is-leader"), "there is a tool of Juju of that name"),
        ("../sh", Own("../sh"), "a name has lowercase letters, digits and hyphens only"),
        ("Say", Own("Say"), "a name has lowercase letters, digits and hyphens only"),
        ("say", Own("tell"), "it calls itself 'tell'"),
        ("say", object(), "its type object lacks something that every HookTool has"),
    ],
)
def test_what_does_not_fit_is_left_out_with_a_warning(
    caplog: pytest.LogCaptureFixture, name: str, tool: object, reason: str
) -> None:
    builtin = builtin_tools(clock=FakeClock())

    tools = with_plugins(builtin, [("acme", {name: tool})])

    assert tools == builtin
    assert caplog.messages == [f"the hook tool {name!r} of the plugin acme is left out: {reason}"]
