"""What reaches units from outside of the agent: juju-exec, force, hooks that hang, and vandals."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from tests.e2e.machine import OneMachine

pytestmark = pytest.mark.slow


class Outside:
    """juju-exec as `host-setup` puts it in place, below a root of its own."""

    def __init__(self, machine: OneMachine) -> None:
        root = machine.folder / "root"
        root.mkdir()
        machine.do("host-setup", "--root", str(root))
        self._machine = machine
        self.program = root / "usr" / "bin" / "juju-exec"

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Begin to run commands."""
        return subprocess.Popen(
            [str(self.program), *arguments],
            env={"PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def exec(self, *arguments: str) -> tuple[int, str, str]:
        """The status, output and complaints of commands."""
        with self.begin(*arguments) as running:
            stdout, stderr = running.communicate(timeout=60)
        return running.returncode, stdout, stderr


def charm(folder: Path, name: str, **hooks: str) -> Path:
    """A charm with these hooks (`_` for `-` in their names), each a line of bash."""
    source = folder / name
    (source / "hooks").mkdir(parents=True)
    (source / "metadata.yaml").write_text(f"name: {name}\nsummary: it is\ndescription: it is\n")
    for hook, text in hooks.items():
        path = source / "hooks" / hook.replace("_", "-")
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    return source


def test_juju_exec_runs_commands_as_a_hook_is_run(machine: OneMachine) -> None:
    machine.start()
    machine.do("deploy", "token-source")
    machine.until_settled(token_source_0="active: handing out swordfish")
    outside = Outside(machine)

    told = outside.exec("token-source/0", 'config-get token; pwd; echo "[$JUJU_HOOK_NAME]"; echo oh >&2; exit 4')
    changed = outside.exec("unit-token-source-0", "status-set active changed")

    (folder,) = machine.data_dir.glob("models/*/agents/unit-token-source-0/charm")
    assert told == (4, f"swordfish\n{folder}\n[]\n", "oh\n")
    assert changed == (0, "", "")
    machine.until_settled(token_source_0="active: changed")


def test_juju_exec_runs_commands_in_a_relation(machine: OneMachine) -> None:
    machine.start()
    machine.do("deploy", "token-source")
    machine.do("deploy", "token-sink")
    machine.do("integrate", "token-sink", "token-source")
    machine.until_settled(token_source_0="active: handing out swordfish", token_sink_0="active: swordfish")
    outside = Outside(machine)
    _, number, _ = outside.exec("token-sink/0", "relation-ids token")

    told = outside.exec("-r", number.strip(), "token-sink/0", 'echo "$JUJU_REMOTE_UNIT"; relation-get token')
    unknown = outside.exec("-r", "77", "token-sink/0", "true")
    stranger = outside.exec("-r", number.strip(), "--remote-unit", "token-source/9", "token-sink/0", "true")

    assert told == (0, "token-source/0\nswordfish\n", "")
    assert unknown == (1, "", "ERROR unknown relation id: 77\n")
    assert stranger[0] == 1
    assert "token-source/9" in stranger[2]


def test_who_waits_for_commands_is_told_when_the_agent_is_killed(machine: OneMachine) -> None:
    machine.start()
    machine.do("deploy", "token-source")
    machine.until_settled(token_source_0="active: handing out swordfish")
    begun = machine.folder / "begun"
    with Outside(machine).begin("token-source/0", f"echo $$ >{begun}; exec sleep 300") as waiting:
        machine.until(lambda: _number(begun), "the commands run")
        assert machine.agent is not None
        machine.end(signal.SIGKILL)

        _, stderr = waiting.communicate(timeout=60)
    machine.start()
    machine.until(lambda: not _is_alive(_number(begun)), "what the killed agent has left running is ended")

    assert waiting.returncode == 1
    assert "command execution aborted" in stderr


def test_hook_that_outlives_its_agent_is_ended_before_it_is_run_again(machine: OneMachine) -> None:
    machine.start()
    first, both = machine.folder / "first", machine.folder / "both"
    once = f"[ -e {first} ] || {{ echo $$ >{first}; exec sleep 300; }}"
    again = f"if kill -0 $(cat {first}); then touch {both}; fi; status-set active done"
    machine.do("deploy", str(charm(machine.folder, "hanger", start=f"{once}; {again}")))
    machine.until(lambda: _number(first), "the hook runs")

    machine.end(signal.SIGKILL)
    left_running = _is_alive(_number(first))
    machine.start()
    machine.until_settled(hanger_0="active: done")

    assert left_running
    assert not both.exists()


def test_hook_that_hangs_is_named_and_does_not_hold_up_other_units_for_ever(machine: OneMachine) -> None:
    machine.start()
    machine.do("deploy", "token-source", "--config", "token=trout")
    machine.until_settled(token_source_0="active: handing out trout")
    (machine.data_dir / "undercroft.toml").write_text("[plugins.uniter]\nmachine_lock_patience = 1.0\n")
    assert machine.agent is not None
    machine.agent.send_signal(signal.SIGHUP)
    machine.until(lambda: "reload: replaced uniter" in machine.log(), "the new patience is heeded")
    begun = machine.folder / "begun"
    machine.do("deploy", str(charm(machine.folder, "hanger", start=f"echo $$ >{begun}; exec sleep 300")))
    machine.until(lambda: _number(begun), "the hook hangs")

    machine.do("config", "token-source", "token=turbot")
    machine.until(
        lambda: machine.messages().get("token-source/0") == "active: handing out turbot", "the other unit goes on"
    )

    assert "start of unit hanger/0 has kept the hooks of this machine waiting" in machine.log()
    os.kill(_number(begun), signal.SIGTERM)


def test_unit_removed_by_force_does_not_wait_for_its_hook(machine: OneMachine) -> None:
    machine.start()
    begun, deaf = machine.folder / "begun", "trap '' TERM"
    machine.do("deploy", str(charm(machine.folder, "hanger", start=f"{deaf}; echo $$ >{begun}; exec sleep 300")))
    machine.until(lambda: _number(begun), "the hook hangs")

    machine.do("remove-unit", "hanger/0", "--force", "--no-prompt")

    machine.until(lambda: not list(machine.data_dir.glob("models/*/agents/unit-hanger-0")), "it is gone", seconds=20)
    assert not _is_alive(_number(begun))
    assert "unexpected" not in machine.log()


def test_charm_that_deletes_itself_is_in_error_and_comes_back_with_the_next_one(machine: OneMachine) -> None:
    machine.start()
    machine.do("deploy", str(charm(machine.folder, "vandal", start='rm -rf "$CHARM_DIR"')))

    def status() -> str:
        unit = machine.units().get("vandal/0")
        return unit["workload-status"]["current"] if unit is not None else ""

    (machine.folder / "whole").mkdir()
    whole = charm(machine.folder / "whole", "vandal", upgrade_charm="status-set active whole")
    machine.until(lambda: not list(machine.data_dir.glob("models/*/agents/*/charm")) and status(), "it is deleted")
    machine.do("refresh", "vandal", "--path", str(whole), "--force-units")
    machine.until(lambda: machine.messages()["vandal/0"] == "active: whole", "the unit is whole again")


def test_unit_removed_by_force_while_the_agent_is_down_is_cleared_away_and_its_name_begins_anew(
    machine: OneMachine,
) -> None:
    machine.start()
    machine.do("deploy", "token-source")
    machine.do("deploy", "token-sink")
    machine.until(lambda: machine.messages().get("token-source/0", "...") != "...", "one runs")
    machine.until(lambda: machine.messages().get("token-sink/0", "...") != "...", "the other runs")
    (kept,) = machine.data_dir.glob("models/*/agents/unit-token-source-0")
    (kept / "charm" / "old").touch()
    assert machine.end() == 0

    machine.do("remove-application", "token-source", "token-sink", "--force", "--no-prompt")
    machine.do("deploy", "token-source", "--config", "token=turbot")
    machine.start()

    machine.until_settled(token_source_0="active: handing out turbot")
    machine.until(lambda: [path.name for path in kept.parent.iterdir()] == [kept.name], "the other's folder is gone")
    assert not (kept / "charm" / "old").exists()
    assert machine.log().count("token-source/0: ran install hook") == 2


def test_destroyed_model_leaves_nothing_behind(machine: OneMachine) -> None:
    machine.start()
    machine.do("deploy", "token-source")
    machine.until_settled(token_source_0="active: handing out swordfish")

    machine.do("destroy-model", "default", "--no-prompt", "--force")

    machine.until(lambda: not list((machine.data_dir / "models").iterdir()), "the model's folder is gone")


def _number(file: Path) -> int:
    """The number in a file; 0 if there is none yet."""
    return int(file.read_text() or 0) if file.exists() else 0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
