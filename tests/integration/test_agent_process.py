"""Real signals to real agents."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.conftest import Agents

ORDERED = """
@hookimpl
def undercroft_manifolds(agent):
    def worker(inputs):
        def start(context):
            for needed in inputs:
                context.get(needed)
            async def work(stop):
                await stop.wait()
                agent.data_dir.joinpath("order").open("a").write(context.name + " ")
            return SimpleWorker(work)
        return Manifold(start=start, inputs=inputs)
    return {"low": worker([]), "high": worker(["low"])}
"""

STUBBORN = """
@hookimpl
def undercroft_manifolds(agent):
    async def work(stop):
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass
    return {"stubborn": Manifold(start=lambda context: SimpleWorker(work))}
"""

SIGNALS = """
@hookimpl
def undercroft_manifolds(agent):
    async def work(stop):
        if not await stop.sleep(0.2):
            raise %s("as the test asks")
    return {"acme": Manifold(start=lambda context: SimpleWorker(work))}
"""

NUMBER = """
class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int = 1

@hookimpl
def undercroft_config():
    return Config

@hookimpl
def undercroft_manifolds(agent):
    number = agent.config(Config).number
    def start(context):
        agent.data_dir.joinpath("numbers").open("a").write(f"{number}\\n")
        return NoOpWorker()
    return {"NAME": Manifold(start=start)}
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_agent_in_order_and_it_exits_0(agents: Agents, number: signal.Signals) -> None:
    agents.plugin("acme", ORDERED)
    agent = agents.start()

    code = agents.end(agent, number)

    assert code == 0
    assert (agents.data_dir / "plugins" / "acme" / "order").read_text() == "high low "
    assert not (agents.data_dir / "agent.sock").exists()
    assert agents.records()[-1]["event"] == "stopped"


def test_a_second_signal_stops_by_force(agents: Agents) -> None:
    agents.plugin("acme", STUBBORN)
    agent = agents.start()

    agent.send_signal(signal.SIGTERM)
    agents.until(lambda: "a second signal" in (agents.folder / "log").read_text())
    code = agents.end(agent)

    assert code == 1
    assert "stubborn" in agents.records()[-1]["event"]


@pytest.mark.parametrize(("wish", "code"), [("RestartAgent", 75), ("TerminateAgent", 0)])
def test_a_workers_wish_is_the_exit_code(agents: Agents, wish: str, code: int) -> None:
    agents.plugin("acme", SIGNALS % wish)

    agent = agents.start()

    assert agent.wait(20) == code
    assert "as the test asks" in (agents.folder / "log").read_text()


def test_a_reboot_runs_systemctl_where_it_is_allowed(agents: Agents) -> None:
    agents.plugin("acme", SIGNALS % "RebootMachine")
    agents.config_file.write_text("allow_reboot = true")
    tools = agents.folder / "tools"
    tools.mkdir()
    (tools / "systemctl").write_text(f'#!/bin/sh\necho "$@" > {agents.folder}/asked\n')
    (tools / "systemctl").chmod(0o755)

    agent = agents.start(PATH=f"{tools}:{os.environ['PATH']}")

    assert agent.wait(20) == 0
    assert (agents.folder / "asked").read_text() == "reboot\n"


def test_a_reboot_that_is_not_allowed_is_logged_and_the_agent_runs_on(agents: Agents) -> None:
    agents.plugin("acme", SIGNALS % "RebootMachine")
    agent = agents.start()

    agents.until(lambda: "blocked: reboot requested" in (agents.folder / "log").read_text())

    assert agent.poll() is None
    assert agents.end(agent) == 0


def test_hangup_bounces_the_plugin_whose_section_changed_and_no_other(agents: Agents) -> None:
    for name in ("acme", "beta"):
        agents.plugin(name, NUMBER.replace("NAME", name))
    agent = agents.start()

    agents.config_file.write_text("[plugins.beta]\nnumber = 2\n")
    agent.send_signal(signal.SIGHUP)
    numbers = agents.data_dir / "plugins" / "beta" / "numbers"
    agents.until(lambda: numbers.read_text() == "1\n2\n")

    assert (agents.data_dir / "plugins" / "acme" / "numbers").read_text() == "1\n"
    assert agents.end(agent) == 0


def test_a_bad_config_at_a_hangup_changes_nothing_and_is_logged(agents: Agents) -> None:
    agents.plugin("acme", NUMBER.replace("NAME", "acme"))
    agent = agents.start()

    agents.config_file.write_text("[plugins.acme]\nnumbr = 2\n")
    agent.send_signal(signal.SIGHUP)
    agents.until(lambda: "plugins.acme.numbr" in (agents.folder / "log").read_text())

    assert (agents.data_dir / "plugins" / "acme" / "numbers").read_text() == "1\n"
    assert agents.end(agent) == 0


def test_a_killed_agent_can_be_started_again_and_is_the_same_host(agents: Agents) -> None:
    first = agents.start()
    host = (agents.data_dir / "host-id").read_text()

    agents.end(first, signal.SIGKILL)
    left = (agents.data_dir / "agent.sock").exists()
    second = agents.start()
    report = agents.ask("report")

    assert left
    assert second.poll() is None
    assert report["state"] == "started"
    assert (agents.data_dir / "host-id").read_text() == host


def test_a_second_agent_on_the_folder_is_refused_with_one_message(agents: Agents) -> None:
    first = agents.start()

    second = agents.run("agent")

    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    assert str(agents.data_dir) in line
    assert f"pid {first.pid}" in line
    assert agents.ask("report")["state"] == "started"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("stroe = 'sqlite:'", ("undercroft.toml", "stroe")),
        ("required = 'acme'", ("undercroft.toml", "required", "list")),
        ("[plugins.acme]\nnumber = 'x'", ("undercroft.toml", "plugins.acme.number", "whole number")),
        ("= 1", ("undercroft.toml", "TOML")),
    ],
)
def test_a_bad_config_is_one_message_and_exit_78(agents: Agents, config: str, words: tuple[str, ...]) -> None:
    agents.plugin("acme", NUMBER.replace("NAME", "acme"))
    agents.config_file.write_text(config)

    done = agents.run("agent")

    assert done.returncode == 78
    (line,) = done.stderr.splitlines()
    assert all(word in line for word in words)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise RuntimeError('not today')", ("acme", "not today")),
        (NUMBER.replace('"NAME"', '"store"'), ("acme", "'store'", "core")),
        (NUMBER.replace("Manifold(start=start)", "Manifold(start=start, inputs=('NAME',))"), ("acme", "circle")),
    ],
)
def test_a_bad_plugin_is_reported_by_name_and_fatal_only_if_asked_for(
    agents: Agents, source: str, words: tuple[str, ...]
) -> None:
    agents.plugin("acme", source)

    strict = agents.run("agent", "--strict")
    agent = agents.start()
    (row,) = [row for row in agents.ask("plugins") if row["name"] == "acme"]

    assert strict.returncode == 1
    assert "Traceback" not in strict.stderr
    assert all(word in strict.stderr.splitlines()[-1] for word in words)
    assert row["state"] == "broken"
    assert all(word in f"{row['name']} {row['why']}" for word in words)
    assert agents.end(agent) == 0


def test_an_unusable_data_folder_is_one_message_and_exit_1(agents: Agents) -> None:
    agents.data_dir.write_text("")

    done = agents.run("agent")

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert f"{agents.data_dir}: is not a folder" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_data_folder_is_one_message_and_exit_1(agents: Agents) -> None:
    agents.data_dir.mkdir(mode=0o000)

    done = agents.run("agent")

    assert done.returncode == 1
    assert "cannot read and write" in done.stderr


def test_a_failing_worker_is_quarantined_and_restart_lets_it_out(agents: Agents) -> None:
    agents.config_file.write_text("restart_limit = {failures = 1, seconds = 600}")
    agents.plugin(
        "acme",
        """
@hookimpl
def undercroft_manifolds(agent):
    def start(context):
        if not agent.data_dir.joinpath("mended").exists():
            raise OSError("broken disk")
        return NoOpWorker()
    return {"acme": Manifold(start=start)}
""",
    )
    agents.start()

    agents.until(lambda: agents.ask("explain", "acme")["state"] == "quarantined")
    explained = agents.ask("explain", "acme")
    (agents.data_dir / "plugins" / "acme" / "mended").write_text("")
    agents.ask("restart", "acme")
    agents.until(lambda: agents.ask("explain", "acme")["state"] == "started")

    assert "broken disk" in explained["sentences"][0]


def test_every_line_of_the_log_is_json_and_a_workers_has_its_path(agents: Agents) -> None:
    agents.plugin(
        "acme",
        """
import logging
@hookimpl
def undercroft_manifolds(agent):
    def start(context):
        logging.getLogger(__name__).warning("from the worker")
        return NoOpWorker()
    return {"acme": Manifold(start=start)}
""",
    )
    agent = agents.start()
    agents.end(agent)

    lines = [record for record in agents.records() if record["event"] == "from the worker"]
    assert [line["worker"] for line in lines] == ["agent/acme"]


def test_the_service_manager_is_told_from_start_to_stop(agents: Agents, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        agent = agents.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000")
        heard: list[str] = []
        while heard.count("WATCHDOG=1") < 3 or "READY=1" not in heard:
            heard += manager.recv(4096).decode().splitlines()
        agent.send_signal(signal.SIGHUP)
        while "RELOADING=1" not in heard:
            heard += manager.recv(4096).decode().splitlines()
        agent.send_signal(signal.SIGTERM)
        while "STOPPING=1" not in heard:
            heard += manager.recv(4096).decode().splitlines()

        assert agent.wait(20) == 0
    assert any(re.fullmatch(r"STATUS=(\d+) of \1 workers up", line) for line in heard)


def test_a_stranger_in_json_is_answered_over_the_socket(agents: Agents) -> None:
    agents.start()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(agents.data_dir / "agent.sock"))
        client.sendall(b'{"request": "transitions"}\nnonsense\n{"request": "plugins"}\n')
        with client.makefile() as lines:
            answers = [json.loads(lines.readline()) for _ in range(3)]

    assert [sorted(answer) for answer in answers] == [["transitions"], ["error"], ["plugins"]]


def test_the_unit_file_is_printed_and_nothing_is_run(agents: Agents) -> None:
    done = agents.run("agent", "--print-unit")

    assert done.returncode == 0
    assert f"UNDERCROFT_DATA={agents.data_dir}" in done.stdout
    assert not agents.data_dir.exists()
