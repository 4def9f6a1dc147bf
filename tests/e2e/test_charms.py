"""Charms of our own, deployed by the commands that an operator types, on an agent that is a process of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from tests.e2e.machine import CHARMS, OneMachine

from undercroft.linux import mountinfo

pytestmark = pytest.mark.slow
root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root: run the tests as root")


def test_charm_deployed_while_the_agent_is_down_runs_when_it_comes(machine: OneMachine) -> None:
    machine.do("deploy", "token-source")
    machine.start()
    machine.until_settled(token_source_0="active: handing out swordfish")
    assert (machine.data_dir / "models").is_dir()


def test_related_charms_exchange_what_they_say(machine: OneMachine) -> None:
    machine.start()
    machine.do("deploy", "token-source")
    machine.do("deploy", "token-sink")
    machine.do("integrate", "token-sink", "token-source")
    machine.until_settled(token_source_0="active: handing out swordfish", token_sink_0="active: swordfish")
    machine.do("config", "token-source", "token=halibut")
    machine.until_settled(token_source_0="active: handing out halibut", token_sink_0="active: halibut")


def test_subordinate_lives_beside_its_principal_and_goes_with_the_relation(machine: OneMachine) -> None:
    machine.start()
    machine.do("deploy", "token-source")
    machine.do("deploy", "onlooker")
    machine.do("integrate", "onlooker", "token-source")
    machine.until_settled(token_source_0="active: handing out swordfish", onlooker_0="active: beside token-source/0")
    machine.do("remove-relation", "onlooker", "token-source")
    machine.until_settled(token_source_0="active: handing out swordfish")


def test_removal_leaves_nothing_behind(machine: OneMachine) -> None:
    machine.start()
    machine.do("deploy", "token-source", "-n", "2")
    machine.do("deploy", "token-sink")
    machine.do("integrate", "token-sink", "token-source")
    machine.until(lambda: machine.messages().get("token-sink/0") == "active: swordfish", "the token has come")
    machine.do("remove-application", "token-source", "token-sink", "--no-prompt")
    machine.until(lambda: not machine.ask("status")["applications"], "the applications are gone")
    (agents,) = machine.data_dir.glob("models/*/agents")
    machine.until(lambda: not any(agents.iterdir()), "the folders are gone")


def test_commands_and_actions_are_run_and_answered(machine: OneMachine) -> None:
    machine.start()
    machine.do("deploy", "token-source")
    machine.until_settled(token_source_0="active: handing out swordfish")
    assert machine.do("exec", "--unit", "token-source/0", "--", "config-get token").strip() == "swordfish"
    (task,) = machine.ask("run", "token-source/0", "rotate", "token=turbot").values()
    assert task["status"] == "completed"
    failed = machine.run("exec", "--unit", "token-source/0", "--", "exit 3")
    assert failed.returncode != 0


def test_upgrade_takes_away_what_only_the_old_charm_had(machine: OneMachine) -> None:
    machine.start()
    source = machine.folder / "token-source"
    shutil.copytree(CHARMS / "token-source", source)
    (source / "old").mkdir()
    (source / "old" / "file").write_text("of the old charm")
    machine.do("deploy", str(source))
    machine.until_settled(token_source_0="active: handing out swordfish")
    (charm,) = machine.data_dir.glob("models/*/agents/*/charm")
    (charm / "kept").write_text("by the workload")
    shutil.rmtree(source / "old")
    (source / "new").write_text("of the new charm")
    machine.do("refresh", "token-source", "--path", str(source))
    machine.until((charm / "new").exists, "the new charm is there")
    machine.until_settled(token_source_0="active: handing out swordfish")
    assert not (charm / "old").exists()
    assert (charm / "kept").read_text() == "by the workload"


def test_hook_that_fails_is_resolved(machine: OneMachine) -> None:
    machine.start()
    machine.do("model-config", "automatically-retry-hooks=false")
    source = machine.folder / "token-source"
    shutil.copytree(CHARMS / "token-source", source)
    (source / "hooks" / "start").write_text("#!/bin/bash\nexit 1\n")
    (source / "hooks" / "start").chmod(0o755)
    machine.do("deploy", str(source))

    def status() -> str:
        unit = machine.units()["token-source/0"]
        return f"{unit['workload-status']['current']}: {unit['workload-status'].get('message', '')}"

    machine.until(lambda: status() == 'error: hook failed: "start"', "the failure is shown")
    machine.do("resolved", "token-source/0", "--no-retry")
    machine.until(lambda: not status().startswith("error"), "the unit goes on")


def test_charm_written_with_ops_counts_its_hooks(machine: OneMachine) -> None:
    machine.start()
    machine.do("deploy", "counter", "-n", "2")
    machine.until(
        lambda: all(said.startswith("active: ") and "seen" in said for said in machine.messages().values()),
        "both count",
    )
    units = machine.units()
    (leader,) = [name for name, unit in units.items() if unit.get("leader")]
    (task,) = machine.ask("run", leader, "reset", "to=40").values()
    assert task["status"] == "completed"
    follower = next(name for name in units if name != leader)
    machine.until(lambda: machine.messages()[follower] == "active: 40 seen", "the follower has heard of it")


@root
@pytest.mark.root
def test_charm_has_the_storage_that_was_asked_for(machine: OneMachine) -> None:
    machine.start()
    machine.do("deploy", "keeper", "--storage", "data=loop,64M")
    machine.until_settled(keeper_0="blocked: no password")
    (storage,) = machine.ask("storage")["storage"].values()
    place = Path(storage["attachments"]["units"]["keeper/0"]["location"])
    (found,) = [mount for mount in mountinfo.read() if mount.target == str(place)]
    assert found.filesystem_type == "ext4"
    (place / "kept").write_text("by the charm")
    refused = machine.run("add-unit", "keeper")
    assert (refused.returncode, "which two units cannot share" in refused.stderr) == (1, True)
    machine.do("deploy", "keeper", "rival")
    machine.until(lambda: "overlaps with" in machine.run("status").stdout, "the other unit says why it waits")
    machine.do("remove-application", "rival", "--no-prompt")
    machine.until(lambda: list(machine.messages()) == ["keeper/0"], "the other unit is gone")
    assert machine.end() == 0
    machine.start()
    machine.until_settled(keeper_0="blocked: no password")
    assert (place / "kept").read_text() == "by the charm"
    machine.do("remove-application", "keeper", "--no-prompt")
    machine.until(lambda: not machine.ask("status")["applications"], "the application is gone")
    machine.until(lambda: not machine.ask("storage"), "its storage is gone")
    assert not [mount for mount in mountinfo.read() if mount.target == str(place)]
