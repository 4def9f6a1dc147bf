"""Commands from this machine."""

from __future__ import annotations

import asyncio

import pytest
from plugins.uniter.tests.stage import UNIT, Stage

from undercroft_hookspecs import NotValidError
from undercroft_hookspecs.hook_facades import HookFacade
from undercroft_uniter.seams import Commands


async def test_the_answer_has_the_output_and_the_exit_code(stage: Stage) -> None:
    answer = await stage.commands("echo $JUJU_CHARM_DIR; echo err >&2; exit 42")

    assert (answer.returncode, answer.failure) == (42, "")
    assert answer.stdout.decode() == f"{stage.paths.charm}\n"
    assert answer.stderr == b"err\n"


async def test_commands_have_all_tools(stage: Stage) -> None:
    assert (await stage.commands("config-get colour; unit-get private-address")).stdout == b"red\n10.0.0.1\n"


async def test_changes_are_kept_if_the_commands_succeed(stage: Stage) -> None:
    await stage.commands("state-set a=1")
    await stage.commands("state-set b=1; exit 1")

    assert await stage.of(UNIT, HookFacade).charm_state() == {"a": "1"}


async def test_death_by_a_signal_is_told_as_a_shell_does(stage: Stage) -> None:
    assert (await stage.commands("kill -KILL $$")).returncode == 137


async def test_a_charm_that_is_gone_is_a_failure_that_says_so(stage: Stage) -> None:
    stage.paths.charm.rename(stage.paths.charm.with_name("moved"))

    answer = await stage.commands("true")

    assert answer.returncode == 1
    assert "No such file or directory" in answer.failure


async def test_commands_can_reboot(stage: Stage) -> None:
    after = await (await stage.executions.commands(Commands(text="juju-reboot"))).run()
    failed = await (await stage.executions.commands(Commands(text="juju-reboot; exit 1"))).run()
    now = await (await stage.executions.commands(Commands(text="juju-reboot --now; sleep 1000"))).run()

    assert (after.reboot, failed.reboot, now.reboot) == ("after", "", "now")


async def test_cancelled_commands_are_killed_and_have_no_answer(stage: Stage) -> None:
    execution = await stage.executions.commands(Commands(text="touch begun; sleep 1000"))
    running = asyncio.ensure_future(execution.run())
    async with asyncio.timeout(60):
        while not (stage.paths.charm / "begun").exists():
            await asyncio.sleep(0.01)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert execution.answer is None


async def test_without_a_relation_there_is_none(stage: Stage) -> None:
    assert (await stage.commands("echo [${JUJU_RELATION-none}]")).stdout == b"[none]\n"


async def told(stage: Stage, **fields: object) -> str:
    answer = await stage.commands("echo $JUJU_RELATION_ID [$JUJU_REMOTE_UNIT]", **fields)
    return answer.stdout.decode().strip()


async def test_the_only_member_need_not_be_named(stage: Stage) -> None:
    relation = await stage.related()
    stage.keep(relation, "mysql/1")

    assert await told(stage, relation=relation) == f"db:{relation} [mysql/1]"


async def test_a_member_can_be_named(stage: Stage) -> None:
    relation = await stage.related()

    assert await told(stage, relation=relation, remote_unit="mysql/0") == f"db:{relation} [mysql/0]"


async def test_anybody_can_be_named_by_force(stage: Stage) -> None:
    relation = await stage.related()

    assert await told(stage, relation=relation, remote_unit="mysql/9", force_remote_unit=True) == (
        f"db:{relation} [mysql/9]"
    )
    assert await told(stage, relation=relation, force_remote_unit=True) == f"db:{relation} []"


@pytest.mark.parametrize(
    ("members", "fields", "words"),
    [
        ((), {"relation": 999}, "unknown relation id: 999"),
        ((), {"remote_unit": "mysql/0"}, 'remote unit "mysql/0" provided without a relation'),
        ((), {}, "is missing: its members are none"),
        (("mysql/0", "mysql/1"), {}, "is ambiguous: its members are mysql/0, mysql/1"),
        (("mysql/0",), {"remote_unit": "mysql/1"}, '"mysql/1" is no member of relation db:'),
        (("mysql/0",), {"remote_unit": "no unit"}, "no unit"),
    ],
)
async def test_what_cannot_be_told_is_refused(
    stage: Stage, members: tuple[str, ...], fields: dict[str, object], words: str
) -> None:
    relation = await stage.related()
    stage.keep(relation, *members)
    if "relation" not in fields and words != 'remote unit "mysql/0" provided without a relation':
        fields = {**fields, "relation": relation}

    with pytest.raises(NotValidError) as caught:
        await stage.commands("true", **fields)

    assert words in str(caught.value)
