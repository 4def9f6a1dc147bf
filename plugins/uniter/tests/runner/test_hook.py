"""Hooks that are run for real, well and badly."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from plugins.uniter.tests.stage import UNIT, Stage

from undercroft_hookspecs.hook_facades import HookFacade
from undercroft_hookspecs.relation_facades import LeadershipFacade, RelationFacade
from undercroft_hookspecs.unit_facades import StatusFacade, UnitFacade
from undercroft_model.tables import STORAGE_REQUESTS
from undercroft_model.transaction import Transaction
from undercroft_uniter.hook.info import HookInfo, HookKind

PATIENCE = 60.0


async def until_written(path: Path) -> str:
    async with asyncio.timeout(PATIENCE):
        while not (path.exists() and path.read_text().endswith("\n")):
            await asyncio.sleep(0.01)
    return path.read_text().strip()


async def test_output_goes_to_the_unit_s_log_line_by_line(stage: Stage) -> None:
    ending = await stage.hook("echo one; echo two; echo oops >&2")

    assert not ending.failure
    assert stage.log.said(logging.DEBUG, "install") == ["one", "two"]
    assert stage.log.said(logging.WARNING, "install") == ["oops"]


async def test_it_runs_in_the_charm_s_folder_with_nothing_to_read(stage: Stage) -> None:
    assert await stage.printed("pwd; cat; echo end") == f"{stage.paths.charm}\nend"


async def test_a_hook_without_a_script_is_missing_and_no_failure(stage: Stage) -> None:
    ending = await stage.hook()

    assert ending.is_missing
    assert not ending.failure


async def test_what_the_charm_lacks_is_known_without_running_anything(stage: Stage) -> None:
    stage.script("hooks/start", "")

    assert await stage.executions.lacking(["start", "stop", "install"]) == {"stop", "install"}

    stage.script("dispatch", "")
    assert await stage.executions.lacking(["start", "stop"]) == frozenset()


async def test_nothing_lacks_where_running_it_would_say_what_is_wrong_or_somebody_debugs(stage: Stage) -> None:
    stage.paths.debug.write_bytes(b"{}")
    assert await stage.executions.lacking(["stop"]) == frozenset()

    stage.paths.debug.unlink()
    (stage.paths.charm / "metadata.yaml").unlink()
    assert await stage.executions.lacking(["stop"]) == frozenset()


async def test_a_script_that_another_hook_has_made_is_found(stage: Stage) -> None:
    await stage.hook("ln -s install hooks/start; echo $0")

    assert await stage.printed("", "start") == f"{stage.paths.charm}/hooks/start"


async def test_an_exit_status_is_a_failure_that_names_unit_hook_and_cause(stage: Stage) -> None:
    ending = await stage.hook("exit 99")

    assert ending.failure == "exit status 99"
    assert stage.log.errors == f"hook install of unit {UNIT} failed: exit status 99"


async def test_a_hook_killed_from_outside_has_failed(stage: Stage) -> None:
    assert (await stage.hook("kill -KILL $$")).failure == "signal: killed"


async def test_dispatch_is_run_in_place_of_a_hook_that_is_there(stage: Stage) -> None:
    stage.script("dispatch", "echo dispatched $JUJU_DISPATCH_PATH")

    assert await stage.printed("echo direct") == "dispatched hooks/install"


async def test_dispatch_is_run_for_a_hook_that_is_not_there(stage: Stage) -> None:
    stage.script("dispatch", "echo dispatched $JUJU_DISPATCH_PATH")

    assert await stage.printed("", "start") == "dispatched hooks/start"


@pytest.mark.parametrize("name", ["dispatch", "hooks/install"])
async def test_a_script_that_cannot_be_executed_fails_and_says_what_to_do(stage: Stage, name: str) -> None:
    stage.script(name, "true", mode=0o644)

    ending = await stage.hook()

    assert f"{name} is not executable: chmod +x it" in ending.failure
    assert UNIT in stage.log.errors
    assert "hook install" in stage.log.errors


async def test_a_missing_interpreter_fails_and_says_so(stage: Stage) -> None:
    stage.script("hooks/install", "true", first="#!/no/such/python3\n")

    assert "its interpreter, or what it links to, is missing" in (await stage.hook()).failure


async def test_no_interpreter_at_all_is_an_exec_format_error(stage: Stage) -> None:
    stage.script("hooks/install", "true", first="")

    assert "Exec format error" in (await stage.hook()).failure


async def test_a_link_that_leads_nowhere_fails_and_is_not_missing(stage: Stage) -> None:
    (stage.paths.charm / "hooks").mkdir()
    (stage.paths.charm / "hooks" / "install").symlink_to("../src/charm.py")

    ending = await stage.hook()

    assert not ending.is_missing
    assert "hooks/install is a link that leads nowhere" in ending.failure


async def test_a_folder_in_the_script_s_place_fails(stage: Stage) -> None:
    (stage.paths.charm / "hooks" / "install").mkdir(parents=True)

    assert "is not a file" in (await stage.hook()).failure


async def test_a_hook_that_deletes_its_charm_ends_and_the_next_one_says_what_is_missing(stage: Stage) -> None:
    first = await stage.hook('rm -rf "$CHARM_DIR"; exit 0')
    second = await (await stage.execution("start")).run()

    assert not first.failure
    assert second.failure == f"there is no charm in {stage.paths.charm}: its metadata.yaml is missing"


async def test_a_daemon_that_keeps_the_pipes_holds_no_hook_up(stage: Stage) -> None:
    async with asyncio.timeout(PATIENCE):
        ending = await stage.hook("setsid sleep 1000 & echo $! > pid")

    os.kill(int(await until_written(stage.paths.charm / "pid")), signal.SIGKILL)
    assert not ending.failure


async def test_a_quarter_of_a_gigabyte_of_output_does_not_grow_the_agent(stage: Stage) -> None:
    class Counting:
        count = 0

        def write(self, level: int, module: str, message: str) -> None:
            self.count += len(message)

    counting = Counting()
    object.__setattr__(stage.side, "log", counting)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    ending = await stage.hook("head -c 268435456 /dev/zero")

    assert not ending.failure
    assert counting.count == 256 * 1024 * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 48 * 1024


async def test_output_that_is_no_text_is_logged_with_replacements(stage: Stage) -> None:
    assert await stage.printed("printf 'caf\\xe9 \\xff\\n'") == "caf\ufffd \ufffd"


async def test_a_long_line_is_logged_in_pieces_of_4096(stage: Stage) -> None:
    await stage.hook("head -c 5000 /dev/zero | tr '\\0' x")

    assert [len(line) for line in stage.log.said(logging.DEBUG, "install")] == [4096, 904]


AT_ONCE = "status-set maintenance trying; application-version-set 1.2; leader-set a=b; juju-log here"
AT_THE_END = "relation-set -r {0} a=b; relation-set -r {0} --app c=d; open-port 80; storage-add data; state-set e=f"


@dataclass(frozen=True, slots=True)
class Found:
    """What is in the model of what a hook has changed."""

    at_once: Sequence[object]
    at_the_end: Sequence[object]


async def found(stage: Stage, relation: int) -> Found:
    unit, mysql = await stage.of(UNIT, UnitFacade).unit(), stage.of("mysql/0", RelationFacade)
    status = await stage.of(UNIT, StatusFacade).workload_status()
    told = await stage.of(UNIT, LeadershipFacade).leader_settings()
    requests = await Transaction(stage.world.store).get(STORAGE_REQUESTS.of(stage.world.model), "shop", "0")
    return Found(
        (status.message, unit.workload_version, told.get("a"), stage.log.said(logging.INFO, "juju-log")),
        (
            (await mysql.read_settings(relation, UNIT)).get("a"),
            (await mysql.read_settings(relation, "shop")).get("c"),
            [str(ports) for ports in await stage.side.facades.network.opened_ports()],
            requests.counts if requests is not None else {},
            await stage.of(UNIT, HookFacade).charm_state(),
        ),
    )


@pytest.mark.parametrize(
    ("end", "kept"), [("exit 0", ("b", "d", ["80/tcp"], {"data": 1}, {"e": "f"})), ("exit 1", (None, None, [], {}, {}))]
)
async def test_some_of_what_a_hook_changes_is_kept_only_if_it_succeeds(
    stage: Stage, end: str, kept: Sequence[object]
) -> None:
    relation = await stage.related()
    await stage.lead()

    ending = await stage.hook(f"set -e; {AT_ONCE}; {AT_THE_END.format(relation)}; {end}")

    assert ending.is_status_set
    assert ending.failure == ("exit status 1" if end == "exit 1" else "")
    assert await found(stage, relation) == Found(("trying", "1.2", "b", ["here"]), kept)


async def test_a_hook_goes_on_after_a_refused_write_and_may_succeed(stage: Stage) -> None:
    relation = await stage.related()

    ending = await stage.hook(f"relation-set -r {relation} --app a=b || state-set refused=$?")

    assert not ending.failure
    assert await stage.of(UNIT, HookFacade).charm_state() == {"refused": "1"}


async def test_changes_that_the_model_refuses_at_the_end_make_the_hook_fail(stage: Stage) -> None:
    await stage.lead()
    relation = await stage.related()
    stage.script("hooks/install", f"relation-set -r {relation} --app a=b; touch set; read -r _ < go")
    os.mkfifo(stage.paths.charm / "go")
    running = asyncio.ensure_future((await stage.execution()).run())
    async with asyncio.timeout(PATIENCE):
        while not (stage.paths.charm / "set").exists():
            await asyncio.sleep(0.01)

    await stage.side.facades.leadership.resign()
    (stage.paths.charm / "go").write_text("\n")
    ending = await running

    assert "what it has changed could not be written" in ending.failure
    assert "not the leader" in stage.log.errors


async def test_a_cancelled_hook_is_killed_and_changes_nothing(stage: Stage) -> None:
    stage.script("hooks/install", "state-set a=b; echo $$ > pid; sleep 1000")
    running = asyncio.ensure_future((await stage.execution()).run())
    pid = await until_written(stage.paths.charm / "pid")

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert not Path(f"/proc/{pid}").exists()
    assert await stage.of(UNIT, HookFacade).charm_state() == {}


async def test_a_tool_of_a_daemon_is_refused_once_its_hook_has_ended(stage: Stage) -> None:
    await stage.hook(
        "mkfifo go; (read -r _ < go; state-set late=1 2>said; echo $? >> said) >/dev/null 2>&1 & disown; true"
    )

    (stage.paths.charm / "go").write_text("\n")
    async with asyncio.timeout(PATIENCE):
        while not (stage.paths.charm / "said").exists() or "1\n" not in (stage.paths.charm / "said").read_text():
            await asyncio.sleep(0.01)

    assert await stage.of(UNIT, HookFacade).charm_state() == {}


async def test_a_reboot_after_the_hook_is_told_if_it_succeeds(stage: Stage) -> None:
    ending = await stage.hook("juju-reboot; state-set a=b")

    assert (ending.reboot, ending.failure) == ("after", "")
    assert await stage.of(UNIT, HookFacade).charm_state() == {"a": "b"}


async def test_a_reboot_after_a_hook_that_fails_is_not(stage: Stage) -> None:
    ending = await stage.hook("juju-reboot; exit 1")

    assert (ending.reboot, ending.failure) == ("", "exit status 1")


async def test_a_reboot_now_kills_the_hook_and_drops_its_changes(stage: Stage) -> None:
    async with asyncio.timeout(PATIENCE):
        ending = await stage.hook("state-set a=b; juju-reboot --now; sleep 1000")

    assert (ending.reboot, ending.failure) == ("now", "")
    assert await stage.of(UNIT, HookFacade).charm_state() == {}
    assert stage.log.errors == ""


async def test_an_aborted_hook_is_killed(stage: Stage) -> None:
    stage.script("hooks/install", "echo $$ > pid; sleep 1000")
    execution = await stage.execution()
    running = asyncio.ensure_future(execution.run())
    await until_written(stage.paths.charm / "pid")

    execution.abort()

    assert (await running).failure == "aborted"


async def test_a_hook_that_is_asked_to_end_may_tidy_up_and_has_failed(stage: Stage) -> None:
    stage.script("hooks/install", "trap 'echo bye; exit 0' TERM; state-set a=b; echo $$ > pid; sleep 1000 & wait")
    execution = await stage.execution()
    running = asyncio.ensure_future(execution.run())
    await until_written(stage.paths.charm / "pid")

    execution.end()

    assert (await running).failure == "aborted"
    assert stage.log.said(logging.DEBUG, "install") == ["bye"]
    assert await stage.of(UNIT, HookFacade).charm_state() == {}


async def test_a_hook_that_is_asked_to_end_before_it_begins_never_does(stage: Stage) -> None:
    stage.script("hooks/install", "echo here")
    execution = await stage.execution()

    execution.end()

    assert (await execution.run()).failure == "aborted"
    assert stage.log.said(logging.DEBUG, "install") == []


async def test_a_name_that_is_a_path_is_no_script(stage: Stage) -> None:
    execution = await stage.executions.hook(HookInfo(kind=HookKind.INSTALL), "../../etc/passwd")

    assert "cannot be the name of a script" in (await execution.run()).failure
