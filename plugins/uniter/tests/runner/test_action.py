"""Actions, and commands that operators send: how they run, end and are told of."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from plugins.uniter.tests.stage import UNIT, Stage

from undercroft.process import SystemProcess
from undercroft.testing import FakeProcess
from undercroft_hookspecs import Completed
from undercroft_hookspecs.hook_facades import HookFacade
from undercroft_uniter.errors import ActionNotValid
from undercroft_uniter.runner.fitting import fitted
from undercroft_uniter.runner.parameters import checked

PATIENCE = 60.0


async def until_written(path: Path) -> str:
    async with asyncio.timeout(PATIENCE):
        while not (path.exists() and path.read_text().endswith("\n")):
            await asyncio.sleep(0.01)
    return path.read_text().strip()


async def test_results_have_the_output_and_what_the_script_says(stage: Stage) -> None:
    stage.script("actions/plain", "echo out; echo err >&2; action-set a.b=1 a.c=2 d=3; action-log half way")

    ended = await stage.act("plain")

    assert (ended.status, ended.message) == ("completed", "")
    assert ended.results == {
        "return-code": 0,
        "stdout": "out\n",
        "stderr": "err\n",
        "a": {"b": "1", "c": "2"},
        "d": "3",
    }
    assert [text for _, text in ended.log] == ["half way"]


async def test_a_later_result_takes_the_place_of_an_earlier(stage: Stage) -> None:
    stage.script("actions/plain", "action-set a=1; action-set a.b=2; action-set c.d=1; action-set c=2")

    results = (await stage.act("plain")).results

    assert (results["a"], results["c"]) == ({"b": "2"}, "2")


async def test_parameters_have_the_schema_s_defaults(stage: Stage) -> None:
    stage.script("actions/backup", "action-get where; action-get level; action-get deep.er")

    assert (await stage.act("backup", level=3)).results["stdout"] == "/var\n3\nx\n"


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("nothing", {}, 'action "nothing" not defined on unit "shop/0"'),
        ("backup", {}, "'level' is a required property"),
        ("backup", {"level": "high"}, "level: 'high' is not of type 'integer'"),
        ("backup", {"level": True}, "level: True is not of type 'integer'"),
        ("juju-exec", {"timeout": 5}, '"juju-exec" needs the parameter "command"'),
    ],
)
async def test_what_the_charm_does_not_define_is_refused_before_it_runs(
    stage: Stage, name: str, parameters: dict[str, object], words: str
) -> None:
    action = await stage.task(name, **parameters)

    with pytest.raises(ActionNotValid) as caught:
        await stage.executions.action(action)

    assert words in str(caught.value)


async def test_a_script_that_fails_makes_the_action_fail_and_changes_nothing(stage: Stage) -> None:
    stage.script("actions/plain", "action-set kept=yes; state-set a=b; echo said; exit 3")

    ended = await stage.act("plain")

    assert (ended.status, ended.message) == ("failed", "exit status 3")
    assert ended.results == {"kept": "yes", "return-code": 3, "stdout": "said\n"}
    assert await stage.of(UNIT, HookFacade).charm_state() == {}


async def test_action_fail_keeps_results_and_changes(stage: Stage) -> None:
    stage.script("actions/plain", "action-fail 'no disk'; action-set kept=yes; state-set a=b")

    ended = await stage.act("plain")

    assert (ended.status, ended.message, ended.results["kept"]) == ("failed", "no disk", "yes")
    assert await stage.of(UNIT, HookFacade).charm_state() == {"a": "b"}


async def test_an_action_without_a_script_fails_and_names_the_unit(stage: Stage) -> None:
    ended = await stage.act("plain")

    assert (ended.status, ended.message) == ("failed", 'action not implemented on unit "shop/0"')


async def test_an_action_whose_script_cannot_run_fails_and_says_why(stage: Stage) -> None:
    stage.script("actions/plain", "true", first="#!/no/such/sh\n")

    ended = await stage.act("plain")

    assert ended.status == "failed"
    assert "its interpreter" in ended.message


async def test_dispatch_runs_actions_too(stage: Stage) -> None:
    stage.script("dispatch", "echo $JUJU_DISPATCH_PATH")

    assert (await stage.act("plain")).results["stdout"] == "actions/plain\n"


async def test_changes_that_cannot_be_written_make_the_action_fail(stage: Stage) -> None:
    await stage.lead()
    relation = await stage.related()
    stage.script(
        "actions/plain", f"relation-set -r {relation} --app a=b; touch set; while [ -e set ]; do sleep 0.02; done"
    )
    action = await stage.task("plain")
    execution = await stage.executions.action(action)
    await stage.side.facades.action.begin(action.id)
    running = asyncio.ensure_future(execution.run())
    async with asyncio.timeout(PATIENCE):
        while not (stage.paths.charm / "set").exists():
            await asyncio.sleep(0.01)

    await stage.side.facades.leadership.resign()
    (stage.paths.charm / "set").unlink()
    ending = await running

    ended = await stage.ended(action.id)
    assert ending.failure == ended.message
    assert ended.status == "failed"
    assert "what it has changed could not be written" in ended.message


async def test_an_aborted_action_is_killed_and_told_as_aborted(stage: Stage) -> None:
    stage.script("actions/plain", "action-set begun=yes; state-set a=b; echo $$ > pid; sleep 1000")
    action = await stage.task("plain")
    execution = await stage.executions.action(action)
    await stage.side.facades.action.begin(action.id)
    running = asyncio.ensure_future(execution.run())
    await until_written(stage.paths.charm / "pid")

    execution.abort()
    await running

    ended = await stage.ended(action.id)
    assert (ended.status, ended.message, ended.results) == ("aborted", "action terminated", {"begun": "yes"})
    assert await stage.of(UNIT, HookFacade).charm_state() == {}


async def test_an_action_aborted_before_it_runs_never_does(stage: Stage) -> None:
    stage.script("actions/plain", "touch ran")
    action = await stage.task("plain")
    execution = await stage.executions.action(action)
    await stage.side.facades.action.begin(action.id)

    execution.abort()
    await execution.run()

    assert (await stage.ended(action.id)).status == "aborted"
    assert not (stage.paths.charm / "ran").exists()


async def test_a_task_that_is_gone_at_the_end_is_no_error(stage: Stage) -> None:
    stage.script("actions/plain", "true")
    action = await stage.task("plain")
    execution = await stage.executions.action(action)
    object.__setattr__(execution, "_number", 99_999)

    ending = await execution.run()

    assert not ending.failure


async def test_an_action_cannot_reboot(stage: Stage) -> None:
    stage.script("actions/plain", "juju-reboot; echo $?")

    ended = await stage.act("plain")

    assert ended.results["stdout"] == "1\n"
    assert "not supported" in str(ended.results["stderr"])


async def test_output_that_is_no_text_is_in_base64(stage: Stage) -> None:
    stage.script("actions/plain", "printf '\\xff\\xfe'")

    results = (await stage.act("plain")).results

    assert (results["stdout"], results["stdout-encoding"]) == ("//4=", "base64")


async def test_of_output_without_end_the_beginning_is_kept(stage: Stage) -> None:
    stage.script("actions/plain", "head -c 9000000 /dev/zero | tr '\\0' x")

    ended = await stage.act("plain")

    stdout = str(ended.results["stdout"])
    assert ended.status == "completed"
    assert stdout.startswith("x" * 100_000)
    assert stdout.endswith("bytes more\n")
    assert len(stdout) < 140_000


async def test_commands_of_an_operator_have_their_status_and_are_no_failure(stage: Stage) -> None:
    ended = await stage.act("juju-exec", command="echo out; echo err >&2; exit 42", timeout=0)

    assert ended.status == "completed"
    assert ended.results == {"return-code": 42, "stdout": "out\n", "stderr": "err\n"}


async def test_commands_of_an_operator_are_told_to_the_operator_alone(stage: Stage) -> None:
    await stage.act("juju-exec", command="echo secret")

    assert stage.log.lines == []


async def test_the_old_name_of_commands_is_known(stage: Stage) -> None:
    assert (await stage.act("juju-run", command="pwd")).results["stdout"] == f"{stage.paths.charm}\n"


async def test_commands_of_an_operator_that_take_too_long_are_killed(stage: Stage) -> None:
    async with asyncio.timeout(PATIENCE):
        ended = await stage.act("juju-exec", command="echo begun; sleep 1000", timeout=300_000_000.0)

    assert (ended.status, ended.message) == ("failed", "timed out, and was killed")
    assert ended.results["stdout"] == "begun\n"


async def test_commands_of_an_operator_change_what_they_set_only_if_they_succeed(stage: Stage) -> None:
    await stage.act("juju-exec", command="state-set a=1")
    await stage.act("juju-exec", command="state-set b=1; false")

    assert await stage.of(UNIT, HookFacade).charm_state() == {"a": "1"}


async def test_actions_side_by_side_have_each_their_own_results(stage: Stage) -> None:
    stage.script("actions/plain", 'for i in 1 2 3; do action-set mine="$JUJU_ACTION_UUID"; done; action-set n=$i')

    ended = await asyncio.gather(*(stage.act("plain") for _ in range(4)))

    assert [each.results["mine"] for each in ended] == [str(each.id) for each in ended]


EXPONENTIAL = {
    "definitions": {f"d{depth}": {"allOf": [{"$ref": f"#/definitions/d{depth + 1}"}] * 2} for depth in range(40)}
    | {"d40": {}},
    "properties": {"a": {"$ref": "#/definitions/d0"}},
}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"properties": {"a": {"type": "nonsense"}}}, "'nonsense' is not valid under any of the given schemas"),
        ({"properties": {"a": {"pattern": "("}}}, "'(' is not a 'regex'"),
        ({"properties": {"a": {"$ref": "#"}}, "allOf": [{"$ref": "#"}]}, "maximum recursion depth exceeded"),
        ({"properties": {"a": {"$ref": "http://127.0.0.1:9/schema"}}}, "http://127.0.0.1:9/schema"),
    ],
)
async def test_a_schema_that_is_none_is_the_charm_s_fault(schema: dict[str, object], words: str) -> None:
    with pytest.raises(ActionNotValid) as caught:
        await checked(SystemProcess(), "x", {"a": "b"}, {"type": "object", **schema})

    assert 'the schema of action "x" is not valid' in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("schema", [{"properties": {"a": {"pattern": "^(a|a)*$"}}}, EXPONENTIAL])
async def test_a_schema_that_takes_for_ever_is_the_charm_s_fault_and_stalls_nobody(schema: dict[str, object]) -> None:
    turns = 0
    checking = asyncio.ensure_future(checked(SystemProcess(), "x", {"a": "a" * 64 + "b"}, schema, patience=1.0))

    while not checking.done():
        await asyncio.sleep(0.01)
        turns += 1

    with pytest.raises(ActionNotValid, match=r'the schema of action "x" could not be applied .* within 1 s'):
        await checking
    assert turns > 10


async def test_a_check_that_crashes_is_told_and_no_failure_of_the_unit() -> None:
    crashed = Completed(("python",), 1, b"", b"Traceback")

    with pytest.raises(ActionNotValid, match=r'action "x" could not be applied .*: Traceback'):
        await checked(FakeProcess({(sys.executable,): crashed}), "x", {"a": 1}, {})


def test_defaults_are_copies_and_nested() -> None:
    schema = {
        "type": "object",
        "properties": {
            "l": {"type": "array", "default": []},
            "o": {"type": "object", "properties": {"p": {"default": 1}}},
        },
    }

    first = fitted("x", {}, schema)
    first["l"].append(1)

    assert fitted("x", {}, schema) == {"l": [], "o": {"p": 1}}
